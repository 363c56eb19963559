"""Write a run's model as ONNX: one graph, or a folder with all that is needed to use the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elman.errors import UserError
from elman.export.exported import Exported
from elman.export.onnx.check import compare, find_runtimes, measure_int8, observe
from elman.export.onnx.drawing import draw, graphs_of
from elman.export.onnx.int8 import to_int8
from elman.export.onnx.metadata import KEY, describe
from elman.export.onnx.warnings import warnings_of
from elman.export.options import ExportOptions
from elman.models.modes import in_eval_mode
from elman.strict_json import dumps
from elman.tasks.exchange import Say, Trained

ENDING = ".onnx"
ONLY = "int8: an LSTM is onnxruntime's own operator DynamicQuantizeLSTM, which other runtimes lack"


def places(run: Trained, path: Path) -> list[Path]:
    """NAME.onnx, or the files of a folder. Raises `UserError` where one file is not enough, or the folder is a file."""
    names = [f"{name}{ENDING}" for name in graphs_of(run)]
    if path.suffix == ENDING:
        if len(names) > 1:
            got = f"one file for {' and '.join(names)}"
            raise UserError(f"{path}", expected="a folder's name", got=got, exit_code=2)
        return [path]
    if path.is_file():
        raise UserError(f"{path}", expected="a folder, or a name that ends in .onnx", got="a file", exit_code=2)
    return [path / name for name in (*names, "config.json", *(f"{name}.json" for name in run.codecs))]


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's model.

    Raises:
        UserError: there is no graph for the model; or the graph computes something else.
    """
    with in_eval_mode(run.model):
        runtimes, drawing = find_runtimes(options.check, say), draw(run, options)
        graphs = [*drawing.graphs.values()]
        about = describe(run, drawing)
        # JSON in ASCII, for metadata; a runner reads the file or the metadata.
        models = {name: graph.model({KEY: dumps(about)}) for name, graph in drawing.graphs.items()}
        exact = {name: model.SerializeToString() for name, model in models.items()}
        written = exact
        if options.int8:
            about["int8"] = True
            written = {name: smaller(model, {KEY: dumps(about)}) for name, model in models.items()}
        observed = observe(run, say) if runtimes else None
        checks = compare(exact, drawing, observed, runtimes)
        quantised = measure_int8(exact, written, drawing, observed) if options.int8 else None
    has_lstm = any(node.op_type == "LSTM" for graph in graphs for node in graph.nodes)
    notes = (*drawing.notes, *warnings_of(graphs), *([ONLY] if options.int8 and has_lstm else []))
    paths, files = places(run, path), [*written.values(), (json.dumps(about, indent=1) + "\n").encode()]
    files += [(json.dumps(codec.to_json(), ensure_ascii=False) + "\n").encode() for codec in run.codecs.values()]
    return Exported("onnx", path, dict(zip(paths, files[: len(paths)], strict=True)), notes, checks, quantised)


def smaller(model: Any, metadata: Mapping[str, str]) -> bytes:
    """The file of a model with weights of one byte."""
    from onnx import helper

    made = to_int8(model)
    helper.set_model_props(made, dict(metadata))
    content: bytes = made.SerializeToString()
    return content

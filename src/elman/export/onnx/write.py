"""Write a run's model as ONNX: one graph, or a folder with all that is needed to use the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elman.errors import UserError
from elman.export.exported import Exported
from elman.export.onnx.check import compare, measure_int8
from elman.export.onnx.drawing import draw
from elman.export.onnx.int8 import to_int8
from elman.export.onnx.metadata import KEY, describe
from elman.export.onnx.warnings import warnings_of
from elman.export.options import ExportOptions
from elman.models.modes import in_eval_mode
from elman.strict_json import dumps
from elman.tasks.task import Say, Trained

ENDING = ".onnx"
ONLY = "int8: an LSTM is onnxruntime's own operator DynamicQuantizeLSTM, which other runtimes lack"


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write `NAME.onnx`, or a folder of any other name.

    Raises:
        UserError: there is no graph for the model; the graph computes something else; or the place is not free.
    """
    with in_eval_mode(run.model):
        return _write(run, path, options, say)


def _write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    drawing = draw(run, options)
    about = describe(run, drawing)
    # JSON in ASCII, for metadata; a runner reads the file or the metadata.
    models = {name: graph.model({KEY: dumps(about)}) for name, graph in drawing.graphs.items()}
    written = {name: model.SerializeToString() for name, model in models.items()}
    about["int8"] = options.int8
    smaller = written
    if options.int8:
        made = {name: to_int8(graph.model({KEY: dumps(about)})) for name, graph in drawing.graphs.items()}
        smaller = {name: model.SerializeToString() for name, model in made.items()}
    files = _places(run, path, {f"{name}{ENDING}": data for name, data in smaller.items()}, about)
    checks = compare(run, written, drawing, options.check, say)  # the exact graphs
    quantised = measure_int8(run, written, smaller, drawing) if options.int8 else None
    graphs = [*drawing.graphs.values()]
    has_lstm = any(node.op_type == "LSTM" for graph in graphs for node in graph.nodes)
    notes = (*drawing.notes, *warnings_of(graphs), *([ONLY] if options.int8 and has_lstm else []))
    return Exported("onnx", path, files, notes, checks, quantised)


def _places(run: Trained, path: Path, content: dict[str, bytes], about: dict[str, Any]) -> dict[Path, bytes]:
    """The files by their paths. Raises `UserError` where a path is not free, or one file is not enough."""
    if path.suffix == ENDING:
        if len(content) > 1:
            names = " and ".join(content)
            raise UserError(f"{path}", expected="a folder's name", got=f"one file for {names}", exit_code=2)
        return {path: next(iter(content.values()))}
    if path.is_file():
        raise UserError(f"{path}", expected="a folder, or a name that ends in .onnx", got="a file", exit_code=2)
    content["config.json"] = (json.dumps(about, indent=1) + "\n").encode()
    for name, codec in run.codecs.items():
        content[f"{name}.json"] = (json.dumps(codec.to_json(), ensure_ascii=False) + "\n").encode()
    return {path / name: data for name, data in content.items()}

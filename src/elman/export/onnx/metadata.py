"""The description of an exported model, as `config.json` and in the metadata of each of its graphs."""

from __future__ import annotations

from typing import Any

from elman import __version__
from elman.export.onnx.drawing import Drawing
from elman.export.onnx.graph import TYPES
from elman.tasks.exchange import Trained

FORMAT = 1
KEY = "elman"  # of the metadata
DTYPES = {number: name for name, number in TYPES.items()}


def describe(run: Trained, drawing: Drawing) -> dict[str, Any]:
    """Everything that a program needs to run the graphs: plain values.

    The state is that of the last graph, each tensor with the name of the tensor after. A size is a number, or the name
    of one that is open; a state is zeros at first, and has no entry along an open size other than the batch. An encoder
    gives first states under the names of those after; the last graph does not give those that are constant.
    """
    graphs, last = drawing.graphs, [*drawing.graphs.values()][-1]
    before = [value for value in last.inputs if value.name.startswith("state_")]
    after = {value.name for value in last.outputs}
    state = [_value(value) | {"next": f"next_{value.name}", "initial": 0} for value in before]
    for entry in state:
        if entry["next"] not in after:
            entry["constant"] = True
    own = {
        "format": FORMAT,
        "elman": __version__,
        "task": run.task.name,
        "model": run.config["model"].get("model"),
        "causal": drawing.causal,
        "int8": False,
        "graphs": {name: f"{name}.onnx" for name in graphs},
    }
    if len(graphs) == 1:
        own |= _ports(last)
    else:
        own |= {"ports": {name: _ports(graph) for name, graph in graphs.items()}}
    codecs = {name: f"{name}.json" for name in run.codecs}
    return {**own, "state": state, "codecs": codecs, "answer": dict(drawing.answer)}


def _ports(graph: Any) -> dict[str, Any]:
    """The inputs and outputs other than the state."""
    inputs = [_value(value) for value in graph.inputs if not value.name.startswith("state_")]
    outputs = [_value(value) for value in graph.outputs if not value.name.startswith("next_state_")]
    return {"inputs": inputs, "outputs": outputs}


def _value(value: Any) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = [size.dim_param or size.dim_value for size in kind.shape.dim]
    return {"name": value.name, "dtype": DTYPES[kind.elem_type], "shape": shape}

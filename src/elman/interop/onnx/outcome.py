"""The model that a graph has become: its configuration, its tensors, and what there is to say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from elman.interop.imported import Imported
from elman.interop.onnx.axes import BATCH, REVERSED, TIME, features, joined
from elman.interop.onnx.drafts import INPUT, Draft
from elman.interop.onnx.messages import OnnxGraph, shown
from elman.interop.onnx.values import Lifted, Refusal, Trace, Traced

KINDS = {"softmax": "probabilities", "sigmoid": "probabilities", "log_softmax": "logits"}


def finished(trace: Trace, graph: OnnxGraph, values: Mapping[str, Lifted]) -> Imported:
    """The model of the first output that is no state."""
    outputs = {name: value for name in graph.outputs if isinstance(value := values.get(name), Traced)}
    if not outputs:
        raise Refusal("the graph has no output that is computed from its input")
    states = [name for name, value in outputs.items() if _is_state(trace, value)]
    main, *others = [name for name in outputs if name not in states] or states[:1]
    states = [name for name in states if name != main]
    output, layers = outputs[main], trace.layers
    per_step = _check_output(trace, main, output)
    _check_states(trace)
    found = layers.finished(output.layer, [name for name, begin in trace.begins.items() if begin])
    if others:
        trace.notes.append(f"the output {shown(main)} is taken, and {_list(others)} are left out")
    _say(trace, found, states)
    (data,) = (
        value for name in graph.inputs if isinstance(value := values.get(name.name), Traced) and value.layer == INPUT
    )
    config = {
        "model": "imported",
        "framework": f"onnx {graph.producer}".strip(),
        "input": _input(trace, data),
        "nodes": [
            {"op": layer.op, "name": name, "inputs": list(layer.inputs), **layer.options}
            for name, layer in found.items()
        ],
        "outputs": output.size,
        "per_step": per_step,
        **_kind(found, layers.final.get(output.layer, output.layer), main),
    }
    steps = None if trace.states else trace.known.get("time")  # a graph of a state reads a sequence in many calls
    return Imported(config, _tensors(found), tuple(dict.fromkeys(trace.notes)), steps)


def _is_state(trace: Trace, value: Traced) -> bool:
    """Whether a value has states after the last step alone."""
    found = [trace.layers.found.get(piece.layer) for piece in trace.layers.pieces(value.layer)]
    return all(layer is not None and layer.op == "final" for layer in found)


def _check_output(trace: Trace, name: str, value: Traced) -> bool:
    """Whether an output has steps; its features must be in the order of the model's."""
    atoms = [atom for dim in value.dims for atom in dim]
    own = [atom for atom in atoms if atom.axis == "features"]
    if value.size is None or value.layer == INPUT or REVERSED in atoms or joined(own) != features(value.size):
        raise Refusal(f"output {name!r}: its steps or its features are in another order than the model's")
    axes = [BATCH, TIME] if TIME in atoms else [BATCH]
    if atoms[: len(axes)] != axes:
        trace.notes.append(f"the graph's {shown(name)} has other axes first; the imported model's is batch first")
    return TIME in atoms


def _check_states(trace: Trace) -> None:
    """See that no two states begin as the same part of an input."""
    taken: dict[Any, str] = {}
    for name, begin in trace.begins.items():
        for part, layer in begin.items():
            for piece in trace.layers.pieces(layer):
                if piece in taken:
                    who = f"{part} of {name}"
                    raise Refusal(f"{taken[piece]} and {who} begin as the same input, and each has its own state here")
                taken[piece] = f"{part} of {name}"


def _say(trace: Trace, found: Mapping[str, Draft], states: Sequence[str]) -> None:
    """Add what a person should know."""
    if trace.states:
        returned = f", which it returns as {_list(states)}," if states else ""
        trace.notes.append(f"the graph's {_list(trace.states)}{returned} are the model's state, zeros at first")
    if trace.lengths:
        trace.notes.append(f"the graph's {_list(trace.lengths)} are `lengths`; a row of length 0 keeps its state")
        pools = [layer.source for layer in found.values() if layer.op in ("last", "mean", "max") and layer.source]
        for source in [*trace.unaware, *pools]:
            trace.notes.append(f"{source} reads padding as if it were steps; the imported model leaves it out")


def _list(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names)


def _input(trace: Trace, data: Traced) -> dict[str, Any]:
    if data.size is not None:
        return {"kind": "values", "channels": data.size}
    if not trace.rows:
        raise Refusal("the graph reads two dimensions, and looks up no vectors by them: they are no tokens")
    return {"kind": "tokens", "vocab_size": min(trace.rows)}


def _kind(found: Mapping[str, Draft], output: str, name: str) -> dict[str, Any]:
    """What the output is, and what losses are computed from."""
    last, kind = found[output], "logits" if "logit" in name.lower() else "numbers"
    kind = KINDS.get(last.options["function"], kind) if last.op == "activation" else kind
    before = last.inputs[0] if kind == "probabilities" and last.inputs[0] in found else None
    return {"output": output, "output_kind": kind, "logits": before}


def _tensors(found: Mapping[str, Draft]) -> dict[str, torch.Tensor]:
    """The state dict of the `LayeredModel`."""
    return {
        f"nodes.{index}_{re.sub('[^A-Za-z0-9]+', '_', name)}.{key}": torch.from_numpy(np.array(value))
        for index, (name, layer) in enumerate(found.items())
        for key, value in layer.tensors.items()
    }

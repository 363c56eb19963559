"""RNN, GRU and LSTM of ONNX as layers of `elman.nn`; what these do not have is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.errors import UserError
from elman.interop.converter import from_arrays
from elman.interop.onnx.axes import BATCH, REVERSED, Atom, Dims, Size, features, joined
from elman.interop.onnx.drafts import Draft
from elman.interop.onnx.values import Filled, Lengths, Lifted, NodeCall, Operator, Traced, WrongOrder
from elman.wording import counted

DEFAULTS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
CELLS = {"RNN": "elman", "GRU": "gru", "LSTM": "lstm"}
STATES = {"RNN": ("h",), "GRU": ("h",), "LSTM": ("h", "c")}


def recurrent(call: NodeCall) -> list[Lifted]:
    """The outputs, and the states after the last step."""
    kind, options = call.node.op, _options(call)
    x, time = _input(call)
    arrays = {name: call.constant(index, name) for name, index in (("W", 1), ("R", 2))}
    arrays |= {"B": call.constant(3, "B")} if call.given(3) is not None else {}
    arrays |= {"P": call.constant(7, "P")} if call.given(7) is not None and kind == "LSTM" else {}
    n = 2 if options["direction"] == "both" else 1
    if any(not array.ndim or len(array) != n for array in arrays.values()):
        call.refuse(f"its weights are not those of {counted(n, 'direction')}")
    convention = "onnx.GRU_linear_before_reset" if call.attribute("linear_before_reset", 0) else f"onnx.{kind}"
    try:
        layer = from_arrays(convention, {key: np.asarray(value, np.float32) for key, value in arrays.items()})
    except UserError as error:
        call.refuse(f"{error}")
    H = layer.hidden_sizes[0]
    if x.size != layer.input_size or call.attribute("hidden_size", H) != H:
        call.refuse(f"its weights read {layer.input_size} features and make {H}, and it is given {x.size}")
    if time == REVERSED:
        turned = {"forward": "backward", "backward": "forward"}
        if options["direction"] not in turned:
            call.refuse("it reads both directions of an input that is turned around")
        options["direction"] = turned[options["direction"]]
    given = {"bias": layer.bias, "peepholes": getattr(layer, "peepholes", False)}
    given |= {name: getattr(layer, name) for name in ("reset_after", "nonlinearity") if name in type(layer).defaults}
    defaults = {"bias": True, "peepholes": False, "reset_after": True, "nonlinearity": "tanh"}
    options |= {name: value for name, value in given.items() if value != defaults[name]}
    options |= {"input_size": layer.input_size, "hidden_size": H, "cell": CELLS[kind], "_finals": {}}
    tensors = {f"layer.{name}": value.numpy() for name, value in layer.state_dict().items()}
    layers = call.trace.layers
    name = layers.add(call.name, Draft("recurrent", (x.layer,), n * H, options, tensors, f"{call.node}"))
    call.trace.begins[name] = _begin(call, n, H, options["direction"])
    _check_lengths(call)
    for part in STATES[kind]:
        final = Draft("final", (name,), n * H, {"part": part, "size": n * H}, source=f"{call.node}")
        options["_finals"][part] = layers.add(f"{name}_{part}", final)
    both = joined([Atom("features", n, H)])
    y: Dims = ((time,), both, (BATCH,), features(H))
    h: Dims = (both, (BATCH,), features(H))
    if call.attribute("layout", 0):
        y, h = ((BATCH,), (time,), both, features(H)), ((BATCH,), both, features(H))
    states = [Traced(final, n * H, h) for final in options["_finals"].values()]
    return [Traced(name, n * H, y), *states]


def _options(call: NodeCall) -> dict[str, Any]:
    """The direction; attributes that no layer of elman honours are refused."""
    kind, direction = call.node.op, call.attribute("direction", "forward").lower()
    directions = {"forward": "forward", "reverse": "backward", "bidirectional": "both"}
    if direction not in directions:
        call.refuse(f"its direction is {direction!r}")
    if (clip := call.attribute("clip", 0.0)) > 0:
        call.refuse(f"it clips what goes into its activations at ±{clip:g}, and elman clips nothing")
    if call.attribute("input_forget", 0):
        call.refuse("its input_forget makes f of i, and no LSTM of elman does")
    activations = [name.lower() for name in call.attribute("activations", list[str]())]
    n = 2 if direction == "bidirectional" else 1
    known = [[*names] * n for names in (DEFAULTS[kind], *([("relu",)] if kind == "RNN" else []))]
    if activations and activations not in known:
        expected = " or ".join(", ".join(names) for names in known)
        call.refuse(f"its activations are {', '.join(activations)}, and those of elman's {CELLS[kind]} {expected}")
    return {"direction": directions[direction]} | ({"nonlinearity": "relu"} if "relu" in activations else {})


def _input(call: NodeCall) -> tuple[Traced, Any]:
    """What it reads, and whether time runs forward."""
    x = call.value()
    order = ["batch", "time"] if call.attribute("layout", 0) else ["time", "batch"]
    axes = [dim[0] if len(dim) == 1 else None for dim in x.dims]
    found = ["time" if atom == REVERSED else atom.axis if atom else "" for atom in axes[:2]]
    if len(x.dims) != 3 or x.size is None or x.dims[2] != features(x.size) or found != order:
        raise WrongOrder(f"{call.node}: it reads ({', '.join(order)}, features), and is given them in another order")
    return x, axes[1 if call.attribute("layout", 0) else 0]


def _begin(call: NodeCall, n: int, H: int, direction: str) -> dict[str, str]:
    """The values of the graph that the states begin as; none where these are zeros."""
    found, both = dict[str, str](), joined([Atom("features", n, H)])
    dims = ((BATCH,), both, features(H)) if call.attribute("layout", 0) else (both, (BATCH,), features(H))
    for index, part in ((5, "h"), (6, "c")):
        begin = call.given(index) if part in STATES[call.node.op] else None
        if begin is None or (isinstance(begin, Filled) and begin.number == 0):
            continue
        if isinstance(begin, np.ndarray) and not begin.any():
            continue
        if not isinstance(begin, Traced):
            call.refuse(f"its state {part} begins as other numbers than zeros, and a fresh memory of elman is zeros")
        if begin.dims != dims or begin.size != n * H:
            call.refuse(f"its initial {part} has its axes in another order, or another size")
        if any(call.trace.layers[each.layer].op != "state" for each in call.trace.layers.pieces(begin.layer)):
            call.refuse(f"its state {part} begins as what other layers compute, which is no state of this model")
        found[part] = begin.layer
    if found and direction != "forward":
        call.trace.notes.append(f"{call.node} reads backwards, too: the imported one begins with zeros")
    return found


def _check_lengths(call: NodeCall) -> None:
    lengths = call.given(4)
    if lengths is None:
        call.trace.unaware.append(f"{call.node}")
        return
    if isinstance(lengths, Lengths):
        return
    if isinstance(lengths, Filled) and lengths.number in (Size(1, ("time",)), call.trace.known.get("time")):
        return
    if isinstance(lengths, np.ndarray) and (lengths == call.trace.known.get("time", -1)).all():
        return
    call.refuse("its sequence_lens are neither an input of the graph nor the number of all steps")


OPERATORS: dict[str, Operator] = dict.fromkeys(DEFAULTS, recurrent)

"""A description of the layers of a torch module, one after the other, as nodes of a `LayeredModel` with its tensors.

A description is a list, in YAML or JSON. An entry is a layer with the name of its tensors, `lstm: encoder.rnn`, and
options beside it, as `reads: last`; or a word alone, as `softmax`, for what has no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.errors import UserError, nearest
from elman.interop.imported import ImportOptions
from elman.models.layered import LayeredModel
from elman.models.layered_ops import POOLS
from elman.models.layered_pointwise import FUNCTIONS

RECURRENT = {"lstm": "lstm", "gru": "gru", "rnn": "elman"}
OPTIONS: dict[str, tuple[str, ...]] = {
    "embedding": (),
    **dict.fromkeys(("lstm", "gru"), ("reads",)),
    "rnn": ("reads", "nonlinearity"),
    "linear": (),
    "layer_norm": ("epsilon",),
    "batch_norm": ("epsilon",),
}
EPSILON = 1e-5  # of torch's normalisations, where nobody gives another
PART = re.compile(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+)(_reverse)?)?")


@dataclass(frozen=True)
class DescribedLayer:
    """An entry of a description."""

    op: str
    name: str = ""  # what the names of its tensors begin with, without the dot
    options: dict[str, Any] = field(default_factory=dict)


class Assembled(NamedTuple):
    """The configuration of a `LayeredModel`, its state dict, and what to tell a person."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    notes: tuple[str, ...]


def parse_layers(described: Any, where: str) -> list[DescribedLayer]:
    """The entries of a description. Raises `UserError` for what is none, which names the entry."""
    if not isinstance(described, list) or not described:
        raise UserError(where, expected="a list of layers", got=type(described).__name__)
    layers = []
    for number, entry in enumerate(described, 1):
        given = {entry: None} if isinstance(entry, str) else entry
        place = f"{where}: layer {number}"
        if not isinstance(given, dict) or not given or not all(isinstance(key, str) for key in given):
            raise UserError(place, expected="a layer with its name, or a word", got=repr(entry)[:60])
        (op, name), *options = given.items()
        known = [*OPTIONS, *POOLS, *FUNCTIONS]
        if op not in known:
            raise UserError(place, expected="a layer that is known", got=repr(op), remedy=nearest(op, known))
        if (op in OPTIONS) != isinstance(name, str):
            expected = f"{op}: the name of its tensors" if op in OPTIONS else f"{op} without a name"
            raise UserError(place, expected=expected, got=repr(name)[:60])
        for key, value in options:
            if key not in OPTIONS.get(op, ()):
                raise UserError(
                    f"{place}: {key}", expected=f"an option of {op}", remedy=nearest(key, OPTIONS.get(op, ()))
                )
            if not isinstance(value, str | float | int):
                raise UserError(f"{place}: {key}", expected="a word or a number", got=repr(value)[:60])
        layers.append(DescribedLayer(op, name or "", dict(options)))
    return layers


def assemble(
    layers: list[DescribedLayer], tensors: Mapping[str, Tensor], options: ImportOptions, where: str
) -> Assembled:
    """Nodes with the tensors of layers, each of which reads the output of the one before.

    Raises `UserError` where a tensor is missing, has another shape, or belongs to no layer.
    """
    nodes: list[dict[str, Any]] = []
    held: dict[str, dict[str, Tensor]] = {}
    used: set[str] = set()
    notes: list[str] = []

    def add(op: str, name: str, own: Mapping[str, Tensor], **settings: Any) -> None:
        before = nodes[-1]["name"] if nodes else "input"
        taken = {node["name"] for node in nodes} | {"input"}
        unique = next(each for each in (name, *(f"{name}_{n}" for n in range(2, len(nodes) + 3))) if each not in taken)
        nodes.append({"op": op, "name": unique, "inputs": [before], **settings})
        held[unique] = dict(own)

    for layer in layers:
        if layer.op in RECURRENT:
            used |= _add_recurrent(layer, tensors, add, where)
            if layer.op == "rnn" and "nonlinearity" not in layer.options:
                notes.append(f"{layer.name or 'rnn'}: taken for an RNN of tanh")
        elif layer.op in OPTIONS:
            used |= _add_plain(layer, tensors, add, where)
        elif layer.op in POOLS:
            add(layer.op, layer.op, {}, size=_size(nodes))
        else:
            add("activation", layer.op, {}, function=layer.op)
    if left := [name for name in tensors if name not in used]:
        raise UserError(f"{where}: {left[0]}", expected="a tensor of one of the layers", got="one that none reads")
    config = _config(nodes, options)
    with torch.device("meta"):
        model = LayeredModel(config)
    named = zip(model.named_nodes, model.nodes, strict=True)
    state = {f"nodes.{key}.layer.{tail}": t for name, key in named for tail, t in held[name].items()}
    return Assembled(config, state, tuple(notes))


def _config(nodes: list[dict[str, Any]], options: ImportOptions) -> dict[str, Any]:
    first, last = nodes[0], nodes[-1]
    tokens = first["op"] == "embedding"
    reads = (
        {"kind": "tokens", "vocab_size": first["rows"]} if tokens else {"kind": "values", "channels": _inputs(nodes)}
    )
    ends = last["op"] == "activation" and last["function"] in ("softmax", "sigmoid")
    kind = "probabilities" if ends else "logits" if tokens or options.labels else "numbers"
    whole = any(node["op"] in POOLS or node.get("reads") == "last" for node in nodes)
    return {
        "framework": "torch",
        "input": reads,
        "nodes": nodes,
        "output": last["name"],
        "output_kind": kind,
        "logits": last["inputs"][0] if ends else None,
        "outputs": _size(nodes),
        "per_step": not whole,
    }


def _size(nodes: list[dict[str, Any]]) -> int:
    """The size of the last value."""
    for node in reversed(nodes):
        if node["op"] == "recurrent":
            return (node["proj_size"] or node["hidden_size"]) * (1 + (node["direction"] == "both"))
        if node["op"] in ("linear", "embedding"):
            return node["output_size"] if node["op"] == "linear" else node["size"]
    raise UserError("the layers", expected="one with a matrix", got="none")


def _inputs(nodes: list[dict[str, Any]]) -> int:
    """The size of what the first layer with one reads."""
    return next(node.get("input_size") or node["size"] for node in nodes if {"input_size", "size"} & node.keys())


# Of each layer that has a matrix or a gain alone: its tensors with their dimensions, of which a bias may be missing.
TENSORS = {
    "embedding": {"weight": 2},
    "linear": {"weight": 2, "bias": 1},
    "layer_norm": {"weight": 1, "bias": 1},
    "batch_norm": {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1},
}
RENAMED = {"running_mean": "mean", "running_var": "variance"}


def _add_plain(layer: DescribedLayer, tensors: Mapping[str, Tensor], add: Any, where: str) -> set[str]:
    """A node of one of `TENSORS`."""
    found, used = {}, set()
    for tail, dims in TENSORS[layer.op].items():
        name = f"{layer.name}.{tail}" if layer.name else tail
        tensor = tensors.get(name)
        if tensor is None and tail != "bias":
            raise UserError(f"{where}: {name}", expected=f"a tensor of the layer {layer.op}", got="none of that name")
        if tensor is not None and tensor.dim() != dims:
            raise UserError(f"{where}: {name}", expected=f"{dims} dimensions", got=f"shape {tuple(tensor.shape)}")
        if tensor is not None:
            found[RENAMED.get(tail, tail)] = tensor
            used.add(name)
    sizes, bias = found["weight"].shape, "bias" in found
    epsilon = float(layer.options.get("epsilon", EPSILON))
    settings: dict[str, Callable[[], dict[str, Any]]] = {
        "embedding": lambda: {"rows": sizes[0], "size": sizes[1]},
        "linear": lambda: {"input_size": sizes[1], "output_size": sizes[0], "bias": bias},
        "layer_norm": lambda: {"size": sizes[0], "epsilon": epsilon, "bias": bias},
        "batch_norm": lambda: {"size": sizes[0], "epsilon": epsilon},
    }
    add(layer.op, layer.name or layer.op, found, **settings[layer.op]())
    return used


def _add_recurrent(layer: DescribedLayer, tensors: Mapping[str, Tensor], add: Any, where: str) -> set[str]:
    """A node for each layer of a stack: torch's names, as those of `elman.nn`, end with the layer's number."""
    own: dict[int, dict[str, Tensor]] = {}
    used = set()
    prefix = f"{layer.name}." if layer.name else ""
    for name, tensor in tensors.items():
        if name.startswith(prefix) and (match := PART.fullmatch(name.removeprefix(prefix))):
            field_, of, number, reverse = match.groups()
            own.setdefault(int(number or 0), {})[f"{field_}_{of}_l0{reverse or ''}"] = tensor
            used.add(name)
    if sorted(own) != list(range(len(own))) or not own:
        raise UserError(f"{where}: {layer.name}", expected=f"the tensors of the layer {layer.op}", got="none of them")
    for number, found in sorted(own.items()):
        place = f"{where}: {layer.name}, layer {number}"
        if not {"weight_ih_l0", "weight_hh_l0"} <= found.keys() or any(
            t.dim() != (2 if name.startswith("weight") else 1) for name, t in found.items()
        ):
            raise UserError(place, expected="weight_ih and weight_hh, (rows, inputs) each", got=", ".join(found))
        rows, inputs = found["weight_ih_l0"].shape
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[layer.op]
        P = found["weight_hh_l0"].shape[1]
        H = found["weight_hr_l0"].shape[-1] if "weight_hr_l0" in found else P
        if rows != gates * H:
            raise UserError(f"{place}: weight_ih", expected=f"{gates} rows for each of {H} units", got=rows)
        last = number == len(own) - 1
        add(
            "recurrent",
            (layer.name or layer.op) + (f".{number}" if len(own) > 1 else ""),
            found,
            cell=RECURRENT[layer.op],
            input_size=inputs,
            hidden_size=H,
            direction="both" if "weight_ih_l0_reverse" in found else "forward",
            reads=layer.options.get("reads", "sequence") if last else "sequence",
            bias="bias_ih_l0" in found,
            proj_size=P if "weight_hr_l0" in found else 0,
            nonlinearity=layer.options.get("nonlinearity", "tanh"),
        )
    return used

"""A `LayeredModel` as a short Python module of another framework: what those of torch and Flax have in common."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from torch import nn

from elman.arrays import Numbers
from elman.errors import UserError
from elman.models.layered import INPUT, LayeredModel, NodeSettings
from elman.models.layered_ops import POOLS
from elman.models.layered_values import Shape

OWN_WORDS = {"self", "state", "after", "nn", "torch", "jnp", "np", "functional"}  # of the modules that are written


class NodeToWrite(NamedTuple):
    """A node that a module calls."""

    name: str  # of its layer and of its value
    inputs: tuple[str, ...]  # the names of what it reads
    settings: NodeSettings
    node: Any  # a node of `elman.models.layered_ops`
    shape: Shape  # of its value
    state: int | None  # the number of its state, where the module can go on from one

    @property
    def x(self) -> str:
        """The first value that it reads."""
        return self.inputs[0]

    def option(self, name: str) -> Any:
        """An option of the node, or None."""
        return (self.settings.model_extra or {}).get(name)


class NodeSource(NamedTuple):
    """A node in a module."""

    make: str | None  # the expression of its layer; None: it has no layer
    statements: Sequence[str]  # these give its value and, where there is one, append its state to `after`
    arrays: Mapping[str, Numbers] = {}  # under their names within the layer
    folds: tuple[str, ...] = ()


Writers = Mapping[str, Callable[[NodeToWrite], NodeSource]]


@dataclass
class ModuleSource:
    """What a module is made of."""

    inputs: str  # in words
    output: str  # the name of its value
    outputs: str  # in words
    makes: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    arrays: dict[str, Numbers] = field(default_factory=dict)
    folds: list[str] = field(default_factory=list)
    states: int = 0  # how many states it takes and returns; 0: it cannot go on from one


def source_of(model: LayeredModel, writers: Writers, framework: str, separator: str) -> ModuleSource:
    """The parts of a module; the names of layers and of their arrays are joined by `separator`.

    Raises:
        UserError: the framework has no layer that computes the same as a node.
    """
    names, (channels, _) = identifiers([INPUT, *model.named_nodes]), model.shapes[INPUT]
    goes_on = model.causal and not any(node.op in POOLS for node in model.settings.nodes)
    inputs = "tokens (B, T)" if channels is None else f"values (B, T, {channels})"
    output = model.settings.output
    source = ModuleSource(inputs, names[output], f"{model.settings.output_kind} {model.shapes[output]}")
    for settings, node in zip(model.settings.nodes, model.named_nodes.values(), strict=True):
        if settings.op not in writers:
            raise UserError(f"{framework} has no layer for {settings.name!r}, which is of the kind {settings.op}")
        name, inputs_of = names[settings.name], tuple(names[given] for given in settings.inputs)
        state = source.states if goes_on and node.stateful else None
        call = NodeToWrite(name, inputs_of, settings, node, model.shapes[settings.name], state)
        written = writers[settings.op](call)
        source.states += state is not None
        if written.make is not None:
            source.makes.append(f"self.{name} = {written.make}")
        source.statements += written.statements
        source.arrays |= {f"{name}{separator}{part}": array for part, array in written.arrays.items()}
        source.folds += [f"{settings.name}: {fold}" for fold in written.folds]
    return source


def identifiers(names: Sequence[str]) -> dict[str, str]:
    """Names in Python for the names of values, all of them different.

    >>> identifiers(["input", "dense.logits", "class", "dense_logits"])
    {'input': 'input', 'dense.logits': 'dense_logits', 'class': 'class_', 'dense_logits': 'dense_logits_'}
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "layer"
        plain = f"layer_{plain}" if plain[0].isdigit() else plain
        while keyword.iskeyword(plain) or plain in OWN_WORDS or plain in found.values():
            plain += "_"
        found[name] = plain
    return found


def module_path(path: Path) -> Path:
    """The place of the module beside a file of arrays, with a name that Python can import.

    >>> module_path(Path("my-model.pt")).name
    'my_model.py'
    """
    return path.with_name(identifiers([path.stem])[path.stem] + ".py")


def numbers(module: nn.Module, *names: str) -> list[Numbers]:
    """Parameters and buffers of a module, of those names that it has."""
    found = [getattr(module, name, None) for name in names]
    return [tensor.detach().cpu().numpy() for tensor in found if tensor is not None]


def indented(lines: Sequence[str]) -> str:
    """The body of a function."""
    return "\n".join(f"        {line}" for line in lines)


def parts(source: ModuleSource) -> dict[str, object]:
    """The parts of a module's text that every framework's template has, by the names of its fields."""
    stateful = bool(source.states)
    begun = [f"state = [None] * {source.states} if state is None else state", "after = []"] * stateful
    returned = f"return {source.output}" + ", after" * stateful
    return {
        "inputs": source.inputs,
        "outputs": source.outputs,
        "memory": ", and the state after, from which the next call can go on" * stateful,
        "makes": indented(source.makes),
        "state": ", state=None" * stateful,
        "statements": indented([*begun, *source.statements, returned]),
    }


def ends(call: NodeToWrite, y: str, join: str) -> str:
    """The last outputs of the two directions of y (B, T, 2 H), the backward one at the first step, in `join`'s call."""
    H = call.node.layer.output_size
    return f"{join}([{y}[:, -1, :{H}], {y}[:, 0, {H}:]], -1)"


MERGES = {
    "sum": "{0}[..., :{H}] + {0}[..., {H}:]",
    "mul": "{0}[..., :{H}] * {0}[..., {H}:]",
    "ave": "({0}[..., :{H}] + {0}[..., {H}:]) / 2",
}


def merged(call: NodeToWrite) -> list[str]:
    """The statement that merges the two halves of a value, where they are not left beside each other."""
    if call.node.direction != "both" or call.node.merge == "concat":
        return []
    return [f"{call.name} = {MERGES[call.node.merge].format(call.name, H=call.node.layer.output_size)}"]


def expression(form: str) -> Callable[[NodeToWrite], NodeSource]:
    """The writer of a value that is an expression: an operator between all inputs, or with {0} the first, {all} all."""

    def write(call: NodeToWrite) -> NodeSource:
        whole = form.format(call.x, all=", ".join(call.inputs)) if "{" in form else form.join(call.inputs)
        return NodeSource(None, [f"{call.name} = {whole}"])

    return write


def refuse_masks(framework: str, call: NodeToWrite) -> NoReturn:
    """Raise the error for a node that makes a mask."""
    raise UserError(f"{framework} skips no masked steps, and {call.settings.name!r} makes a mask")

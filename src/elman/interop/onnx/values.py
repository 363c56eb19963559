"""What is known of the values of a graph while it is read, and the calls of its operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.onnx.axes import Dims, Size, features, reshaped, size_of
from elman.interop.onnx.drafts import Draft, Drafts
from elman.interop.onnx.messages import GraphNode

LARGEST = 1 << 24  # numbers that constants together may be computed to, or as many as the file has


class Traced(NamedTuple):
    """A value of the `LayeredModel`, as it stands in the graph."""

    layer: str
    size: int | None  # F; None: tokens
    dims: Dims


class Counts(NamedTuple):
    """Integers that are sizes of values; one alone, or a vector of these."""

    sizes: tuple[Size, ...]
    scalar: bool = False


class Filled(NamedTuple):
    """The same number everywhere, in a shape that depends on the input."""

    number: float | Size


class Lengths(NamedTuple):
    """The number of steps of each row, which the graph is given."""

    name: str


Lifted: TypeAlias = Traced | Numbers | Counts | Filled | Lengths
T = TypeVar("T")


class Refusal(UserError):
    """A node that is not understood, or not like this; `place` is its number in the graph."""

    place = 0


class WrongOrder(Refusal):
    """A recurrent node is given its axes in another order: the graph's input may be time first instead."""


class Trace:
    """What is known while a graph is read."""

    def __init__(self, opset: int, numbers: int) -> None:
        self.opset = opset
        self.known: dict[str, int] = {}  # of batch and time, the sizes that the graph fixes
        self.layers = Drafts()
        self.notes: list[str] = []
        self.states: list[str] = []  # inputs that are states
        self.lengths: list[str] = []  # and lengths
        self.unaware: list[str] = []  # recurrent nodes that read no lengths
        self.rows: list[int] = []  # of the embeddings of the tokens
        self.begins: dict[
            str, dict[str, str]
        ] = {}  # of a recurrent layer, the value that a part of its state begins as
        self.left = max(LARGEST, 2 * numbers)  # numbers that constants may yet be computed to


class NodeCall:
    """A node of the graph with its inputs."""

    def __init__(self, trace: Trace, node: GraphNode, inputs: Sequence[Lifted | None]) -> None:
        self.trace, self.node, self.inputs = trace, node, inputs

    @property
    def name(self) -> str:
        """A name for the layer."""
        return self.node.name or self.node.op.lower()

    def refuse(self, reason: str, **said: Any) -> NoReturn:
        """Raise an error that names the node."""
        raise Refusal(f"{self.node}: {reason}", **said)

    def attribute(self, name: str, default: T) -> T:
        """An attribute, of the type of its default."""
        value = self.node.attributes.get(name, default)
        if default is not None and not isinstance(value, type(default)):
            self.refuse(f"its attribute {name} is of another type")
        return value

    def given(self, index: int) -> Lifted | None:
        """An input, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int = 0) -> Traced:
        """An input that is a value of the model."""
        value = self.given(index)
        if not isinstance(value, Traced):
            self.refuse(f"its input {index + 1} is not computed from what the model reads")
        return value

    def numbers(self, index: int = 0) -> tuple[Traced, int]:
        """An input that has features, and their number."""
        value = self.value(index)
        return (value, value.size) if value.size is not None else self.refuse("it computes with tokens")

    def constant(self, index: int, what: str) -> Numbers:
        """An input that is a constant."""
        value = self.given(index)
        if not isinstance(value, np.ndarray):
            self.refuse(f"its {what} is computed from the input, or left out, and must be a constant")
        return value

    def integers(self, name: str, index: int, default: list[int] | None = None) -> list[int] | None:
        """Integers that are an attribute in old opsets and an input in new ones."""
        if name in self.node.attributes:
            found = self.node.attributes[name]
            if not isinstance(found, list) or not all(isinstance(n, int) for n in found):
                self.refuse(f"its attribute {name} is no list of integers")
            return found
        if self.given(index) is None:
            return default
        found = self.constant(index, name)
        if found.dtype.kind not in "iu":
            self.refuse(f"its {name} are no integers")
        return [int(n) for n in found.reshape(-1)[:64]]

    def axis(self, axis: int, dims: Sequence[Any]) -> int:
        """The number of a dimension, counted from the front."""
        if not -len(dims) <= axis < len(dims):
            self.refuse(f"its axis {axis} is none of {len(dims)} dimensions")
        return axis % len(dims)

    def layer(self, op: str, given: Sequence[Traced], size: int, dims: Dims, /, **options: Any) -> Traced:
        """The value of a new layer without parameters."""
        own = Draft(op, tuple(value.layer for value in given), size, options, source=f"{self.node}")
        return Traced(self.trace.layers.add(self.name, own), size, dims)

    def reshape(self, value: Traced, target: Sequence[Size]) -> Traced:
        """The value in other dimensions."""
        if len(target) > 8:
            self.refuse("it makes more than eight dimensions")
        found = reshaped(value.dims, target, self.trace.known)
        if found is None:
            self.refuse("it mixes axes (its shape cuts through the batch or the time)")
        dims, fixed = found
        for symbol, size in fixed.items():
            self.trace.known[symbol] = size
            self.trace.notes.append(
                f"{self.node} is right for {size} {'rows' if symbol == 'batch' else 'steps'} alone; "
                "the imported model reads any number"
            )
        return value._replace(dims=dims)

    def sizes(self, value: Traced) -> tuple[Size, ...]:
        """The shape of a value."""
        return tuple(size_of(dim, self.trace.known) for dim in value.dims)

    def spend(self, numbers: int) -> None:
        """Count numbers of a constant that is about to be computed."""
        self.trace.left -= numbers
        if self.trace.left < 0:
            self.refuse("its constants would take more memory than the file's own")


def is_whole(value: Traced, axis: int) -> bool:
    """Whether a dimension has all features, in their order."""
    return value.size is not None and value.dims[axis] == features(value.size)


Operator: TypeAlias = Callable[[NodeCall], Lifted | list[Lifted]]

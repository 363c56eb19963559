"""The convention of a recurrent layer of a framework: all that its arrays do not say themselves, as data.

Every convention is described by the words of `elman.cells`: gates are i, f, g, o and r, z, n, the weights are W_ih and
W_hh of shape (rows, inputs), and z multiplies h_{t-1}. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from elman.cells import CELLS, Cell

ACTIVATIONS = {"elman": ("tanh",), "gru": ("sigmoid", "tanh"), "lstm": ("sigmoid", "tanh", "tanh")}
PEEPHOLES = ("i", "f", "o")  # the rows of `weight_peephole`

Place: TypeAlias = tuple[str, str]
"""A field of `Weights` and a gate: the H rows of the gate. A projection, which has no gates, is under ""."""


class Array(NamedTuple):
    """An array of a framework: some gates' rows of one field of `Weights`, or of two.

    Two matrices are joined along their inputs, as [x; h] is; two biases one after the other, or `stacked`.

    >>> from elman.interop import convention_named
    >>> convention_named("flax.linen.GRUCell").arrays[0]
    Array(name='ir/kernel', fields=('weight_ih',), gates='r', transposed=None, optional=False, stacked=False)
    """

    name: str
    fields: tuple[str, ...]
    gates: str | None = None  # None: all, in the order of the convention
    transposed: bool | None = None  # None: as the convention says
    optional: bool = False
    stacked: bool = False


class Naming(NamedTuple):
    """The names of arrays in stacks and directions, as "{name}_l{layer}"; without {layer} there is one layer alone.

    "{name}[0]" is a slice of an array whose first axis has the directions.

    >>> from elman.interop import convention_named
    >>> convention_named("torch.LSTM").namings[0].forward, convention_named("keras.LSTM").namings[0].both[1]
    ('{name}_l{layer}', 'backward_layer.cell.{name}')
    """

    forward: str = "{name}"
    both: tuple[str, str] | None = None  # of a layer that reads in both directions

    @property
    def is_split(self) -> bool:
        """Whether arrays have the directions on their first axis."""
        return self.forward.endswith("]")


@dataclass(frozen=True)
class Convention:
    """The convention of one layer or cell of a framework.

    >>> from elman.interop import convention_named
    >>> keras = convention_named("keras.GRU")
    >>> keras.gates, keras.update_writes, keras.is_transposed(keras.arrays[0])
    ('zrn', False, True)
    >>> convention_named("keras.GRU", activations=("hard_sigmoid", "tanh")).why_not()
    "its activations are hard_sigmoid, tanh, and those of elman's gru are sigmoid, tanh"
    """

    name: str
    version: str  # the package with which the convention was measured
    cell: str  # in `elman.cells.CELLS`
    gates: str  # the order of the blocks
    arrays: tuple[Array, ...]  # the first has W_ih
    namings: tuple[Naming, ...] = (Naming(),)  # the first is written, each is read
    transposed: bool = False  # (inputs, rows), for x W, instead of (rows, inputs)
    interleaved: bool = False  # rows unit by unit instead of gate by gate
    reset_after: bool = True  # of a GRU: r multiplies W_hn h + b_hn, instead of h
    update_writes: bool = False  # of a GRU: h = (1 - z) h + z n instead of z h + (1 - z) n
    forget_offset: float = 0.0  # is added to f's sum at run time
    cell_clip: float | None = None  # c is clipped to its negative and to this
    activations: tuple[str, ...] = ()  # of the gates, of the candidate, of c; (): the cell's own
    state: tuple[str, ...] = ("h",)  # in the order of the framework
    # Of a call with lengths or a mask on the right, where the layer takes such: outputs at the padding, which repeat
    # the last one, are zero, or are read on as if there were no padding; and the final state of a row without steps.
    padding: Literal["repeat", "zero", "read"] | None = None
    empty: Literal["initial", "zero", "read"] | None = None

    def __post_init__(self) -> None:
        assert sorted(self.gates) == sorted(CELLS[self.cell].rows), f"{self.name}: the gates are those of the cell"
        assert self.arrays[0].fields[0] == "weight_ih", f"{self.name}: sizes are read from W_ih"
        assert all({("bias_ih", g), ("bias_hh", g)} & self.held.keys() for g in self.gates), f"{self.name}: no bias"

    @property
    def specification(self) -> Cell:
        """The cell, or variant of a cell, that computes the same."""
        cell = CELLS[self.cell]
        return cell.variant(self.options[cell.chosen_by]) if cell.chosen_by else cell

    @property
    def options(self) -> dict[str, Any]:
        """The option that chooses the variant of the cell."""
        choice = {"nonlinearity": self.functions[0], "reset_after": self.reset_after}
        chosen_by = CELLS[self.cell].chosen_by
        return {chosen_by: choice[chosen_by]} if chosen_by else {}

    @property
    def functions(self) -> tuple[str, ...]:
        """The activations."""
        return self.activations or ACTIVATIONS[self.cell]

    def places(self, array: Array) -> list[list[Place]]:
        """What an array holds: for each of its fields, the gates' rows in order."""
        gates = list(self.gates if array.gates is None else array.gates)
        return [[(field, gate) for gate in gates or [""]] for field in array.fields]

    @property
    def held(self) -> dict[Place, Array]:
        """Every place that an array holds."""
        return {place: array for array in self.arrays for part in self.places(array) for place in part}

    def is_transposed(self, array: Array) -> bool:
        """Whether an array is (inputs, rows)."""
        return self.transposed if array.transposed is None else array.transposed

    def why_not(self) -> str | None:
        """The reason why no layer of elman computes the same, or None."""
        if self.cell_clip is not None:
            return f"c is clipped to ±{self.cell_clip:g} at every step, and elman clips no state"
        known = [ACTIVATIONS[self.cell], *([("relu",)] if self.cell == "elman" else [])]
        if self.functions not in known:
            expected = " or ".join(", ".join(names) for names in known)
            return f"its activations are {', '.join(self.functions)}, and those of elman's {self.cell} are {expected}"
        return None

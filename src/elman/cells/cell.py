"""The specification of a recurrent cell as data, from which kernels, layers, models, lens and commands are made.

Nothing here imports torch, which takes seconds: a shell that completes a name needs names alone.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

LAYER_NORM_EPSILON = 1e-5  # as in torch.nn.LayerNorm; added to the variance


class Weights(NamedTuple):
    """The weights of one layer in one direction, under torch's names; G is the number of the cell's `rows`.

    The size of h is P: that of the projection where there is one, otherwise H.

    >>> import torch
    >>> weights = Weights(torch.zeros(12, 3), torch.zeros(12, 4))  # of a GRU with D = 3 and H = 4
    >>> weights.bias_ih is None, weights._fields[:4]
    (True, ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'))
    """

    weight_ih: Tensor  # (G * H, D)
    weight_hh: Tensor | None  # (G * H, P); None for a cell that is not `recurrent`
    bias_ih: Tensor | None = None  # (G * H,)
    bias_hh: Tensor | None = None  # (G * H,)
    weight_hr: Tensor | None = None  # (P, H)
    weight_peephole: Tensor | None = None  # (3 * H,), of the LSTM: of c_{t-1} for i and f, of c_t for o
    gain_ih: Tensor | None = None  # (G * H,): of the layer normalization of W_ih x_t
    gain_hh: Tensor | None = None  # (G * H,): and of W_hh h_{t-1}, where there is W_hh
    gain_cell: Tensor | None = None  # (H,): and of the LSTM's c_t where h_t reads c_t
    bias_cell: Tensor | None = None  # (H,)


CellState: TypeAlias = "tuple[Tensor, ...]"
"""The state of a cell, (B, ·) each, in the order of `Cell.states`.

The example is a fresh state of the LSTM, h and c:

>>> import torch
>>> from elman.cells import CELLS
>>> state = tuple(torch.zeros(2, size) for size in CELLS["lstm"].sizes(H=4, P=3))  # P: h is projected
>>> [part.shape[1] for part in state]
[3, 4]
"""
Hold: TypeAlias = "Callable[[str, Tensor], Tensor]"
"""A gate or a state (..., H) by its name, as a step computed it -> the value that the step goes on with.

A hold that keeps every forget gate open:

>>> import torch
>>> from elman.cells import CELLS
>>> def open_gates(name, computed):
...     return torch.ones_like(computed) if name == "f" else computed
>>> h, c, sums = torch.zeros(1, 2), torch.tensor([[3.0, -1.0]]), torch.zeros(1, 8)
>>> weights = Weights(torch.zeros(8, 1), torch.zeros(8, 2))
>>> (_, after), gates = CELLS["lstm"].step(sums, sums, (h, c), weights, hold=open_gates)
>>> after  # the same c: nothing is forgotten
tensor([[ 3., -1.]])
"""


def as_computed(name: str, computed: Tensor) -> Tensor:
    """The `Hold` that holds nothing.

    >>> import torch
    >>> as_computed("f", torch.tensor([0.5]))
    tensor([0.5000])
    """
    return computed


class CellStep(Protocol):
    """One step of a cell.

    >>> import torch
    >>> from elman.cells import CELLS, Weights
    >>> step, H = CELLS["gru"].step, 2
    >>> x, r = torch.zeros(1, 3 * H), torch.zeros(1, 3 * H)  # the sums of r, z and n
    >>> (h,), gates = step(x, r, (torch.ones(1, H),), Weights(torch.zeros(3 * H, 1), torch.zeros(3 * H, H)))
    >>> h, gates["z"]  # z = 1/2 keeps half of h
    (tensor([[0.5000, 0.5000]]), tensor([[0.5000, 0.5000]]))
    """

    def __call__(
        self, x: Tensor, r: Tensor | None, state: CellState, weights: Weights, *, hold: Hold = as_computed
    ) -> tuple[CellState, dict[str, Tensor]]:
        """The state after a step, and the gates (..., H) by the names of `Cell.gates`.

        x is W_ih x_t + b_ih and r is W_hh h_{t-1} + b_hh (..., G * H), None for a cell that is not `recurrent`. Each
        gate and each state of the cell passes `hold` under its name before anything else reads the value.
        """
        ...


class StateTensor(NamedTuple):
    """One of the tensors of a cell's state.

    >>> from elman.cells import CELLS
    >>> [(state.name, state.mixes) for state in CELLS["slstm"].states]
    [('h', True), ('c', True), ('n', False), ('m', False)]
    """

    name: str
    size: Literal["H", "P"] = "H"  # P only for h, which alone may be projected
    mixes: bool = True  # whether a linear map of it is again a valid state; False for scales and stabilizers of others


class Option(NamedTuple):
    """An argument of a layer.

    >>> from elman.cells import CELLS
    >>> [(option.name, option.default) for option in CELLS["gru"].options]
    [('reset_after', True)]
    """

    name: str
    default: Any
    words: str
    after: str = ""  # the argument before it in torch.nn; keyword-only where empty
    in_models: bool = False  # whether models have such a setting
    annotation: Any = None  # by default the type of the default value


def no_weights(options: Mapping[str, Any], H: int, P: int) -> dict[str, tuple[int, ...]]:
    """No weights: the `own_weights` of most cells."""
    return {}


@dataclass(frozen=True)
class Cell:
    """A recurrent cell. Parameters, options and kernels follow from this; `step` defines the maths.

    >>> from elman.cells import CELLS
    >>> gru = CELLS["gru"]
    >>> gru.rows, gru.keeping, gru.gates
    (('r', 'z', 'n'), 'z', {'r': 'reset gate', 'z': 'update gate'})
    >>> gru.sizes(H=8, P=8), gru.rows_of("z", 8)
    ((8,), slice(8, 16, None))
    """

    name: str  # for `--model` and configurations
    layer: str  # the name of its class in `elman.nn`
    doc: str  # its first sentence, equations and paper
    rows: tuple[str, ...]  # the blocks of H rows of W_ih and W_hh, in torch's order
    step: CellStep
    states: tuple[StateTensor, ...] = (StateTensor("h", "P"),)  # the first is the output of a layer
    recurrent: bool = True  # whether there are W_hh and b_hh
    # Reading: the gates' names in a report, 1 standing for open; and the gate that multiplies the state before.
    gates: Mapping[str, str] = field(default_factory=dict)
    keeping: str | None = None
    # Initialization: about the root mean square of h where all sums have unit variance; biases that do not begin at 0;
    # and the rows whose bias begins as the negative of the keeping gate's where that bias begins with a time scale.
    output_scale: float = 1 / 2
    biases: Mapping[str, float] = field(default_factory=dict)
    writing: str | None = None
    # Options and their weights, under the names of `Weights`. One option may choose among variants.
    options: tuple[Option, ...] = ()
    own_weights: Callable[[Mapping[str, Any], int, int], dict[str, tuple[int, ...]]] = no_weights
    chosen_by: str = ""
    variants: Mapping[Any, Cell] = field(default_factory=dict)  # by the value of that option, without the default
    lacks: tuple[str, ...] = ()  # the options of every layer that a variant does not have
    # The class of `torch.nn` whose parameters and arguments the layer has: "RNN" for Elman's network.
    torch_layer: str | None = None
    # Backends beside the readable loop: the function of `torch._VF`, the number in the compiled core (sweep.h), and, if
    # h_t = a_t h_{t-1} + b_t, the function from W_ih x + b_ih to a and b.
    aten: str | None = None
    native: int | None = None
    coefficients: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def __post_init__(self) -> None:
        assert self.keeping in (self.gates or [None]), "of a cell with gates, one keeps"

    def sizes(self, H: int, P: int) -> tuple[int, ...]:
        """The sizes of the states, for H units and a projection to P (H where there is none)."""
        return tuple(P if state.size == "P" else H for state in self.states)

    @cached_property
    def state_type(self) -> Callable[..., Any]:
        """The constructor of a model's state from the tensors: h itself, or a named tuple."""
        names = [state.name for state in self.states]
        if len(names) == 1:
            return lambda h: h
        return namedtuple(f"{self.layer}State", names, module="elman.cells")  # where pickle finds the type by its name

    def rows_of(self, name: str, H: int) -> slice:
        """The rows of a gate's weights."""
        place = self.rows.index(name)
        return slice(place * H, (place + 1) * H)

    def variant(self, value: Any) -> Cell:
        """The cell that the option `chosen_by` chooses.

        Raises:
            ValueError: there is no such variant.
        """
        default = next((option.default for option in self.options if option.name == self.chosen_by), value)
        if value == default:
            return self
        if value not in self.variants:
            known = " or ".join(repr(name) for name in (default, *self.variants))
            raise ValueError(f"Unknown {self.chosen_by} '{value}'. Select from {known}.")
        return self.variants[value]


def normalize(sums: Tensor, gain: Tensor, bias: Tensor | None) -> Tensor:
    """Layer normalization of the last dimension: mean 0 and variance 1, times gain, plus bias.

    >>> import torch
    >>> normalize(torch.tensor([1.0, 3.0]), torch.ones(2), torch.tensor([0.0, 10.0])).round(decimals=2)
    tensor([-1., 11.])
    """
    from torch.nn.functional import layer_norm

    return layer_norm(sums, gain.shape, gain, bias, LAYER_NORM_EPSILON)

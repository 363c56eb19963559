"""Modules that take a single step, as `torch.nn.LSTMCell` does: for loops that a person writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import torch
from torch import _VF, Tensor, nn

from elman.cells import CELLS, Cell, CellState, Weights, cell_named
from elman.errors import UserError
from elman.kernels import BACKENDS, check_backend, choose
from elman.nn import parameters
from elman.nn.layers import COMMON, complete, documentation
from elman.nn.shortcuts import REMEDY, refuse_script

OWN = ("input_size", "hidden_size", "bias", "device", "dtype", "backend")
EXAMPLE = """
>>> import torch
>>> from elman.nn import {name}Cell
>>> cell, x = {name}Cell(3, 5), torch.zeros(2, 3)
>>> {state} = cell(x)
>>> {state} = cell(x, {state})
>>> {last}.shape
torch.Size([2, 5])
"""


class SingleStep(nn.Module):
    """One step of a cell; abstract, see `single_step_of`.

    `cell(input, hx)` with `input` (B, D) or (D,) and `hx` h (B, H) or (H,), for the LSTM (h, c); by default zeros.
    Returns the state after the step, in the form of `hx`.
    """

    specification: ClassVar[Cell]
    defaults: ClassVar[dict[str, Any]]

    def _begin(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = (options[name] for name in OWN[:3])
        parameters.check_sizes(self.input_size, [self.hidden_size], 0)
        self.backend, self.options = options["backend"], dict(options)
        check_backend(self.backend)
        cell = self.specification.variant(options.get(self.specification.chosen_by))
        self.cell = cell.name
        given = {option.name: option.default for option in cell.options} | {"layer_norm": False, "bias": self.bias}
        self._names = parameters.shapes(cell, self.input_size, self.hidden_size, self.hidden_size, given)
        for name, shape in self._names.items():
            empty = torch.empty(shape, device=options["device"], dtype=options["dtype"])
            self.register_parameter(name, nn.Parameter(empty))
        for name in () if self.bias else ("bias_ih", "bias_hh"):
            self.register_parameter(name, None)  # as torch.nn does
        if chosen := self.specification.chosen_by:
            setattr(self, chosen, options[chosen])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1/sqrt(H), 1/sqrt(H)), as torch.nn does."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Take a step; see `SingleStep`.

        Raises:
            ValueError: a wrong number of dimensions.
            RuntimeError: a wrong size.
        """
        name, H, states = type(self).__name__, self.hidden_size, len(self.specification.states)

        def batched(argument: str, part: Tensor) -> Tensor:
            if part.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {argument} to be 1D or 2D, got {part.dim()}D instead")
            return part if part.dim() == 2 else part[None]

        x = batched("input", input)
        if hx is None:
            state = (x.new_zeros(x.shape[0], H),) * states
        else:
            given = (hx,) if states == 1 else tuple(hx)
            if len(given) != states:
                raise ValueError(f"{name}: Expected hx to be {states} tensors, got {len(given)}")
            names = ["hidden"] if states == 1 else [f"hx[{n}]" for n in range(states)]
            state = tuple(batched(*pair) for pair in zip(names, given, strict=True))
        step = self._traced_step if torch.jit.is_tracing() else self._step  # type: ignore[attr-defined]
        weights = Weights(**({"weight_hh": None} | {field: getattr(self, field) for field in self._names}))
        final = step(x, state, weights)
        final = final if input.dim() == 2 else tuple(part[0] for part in final)
        return final[0] if states == 1 else final

    def _step(self, x: Tensor, state: CellState, weights: Weights) -> CellState:
        """The state after x (B, D)."""
        H = self.hidden_size
        if x.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}")
        for n, part in enumerate(state):
            if len(part) != len(x):
                raise RuntimeError(f"Input batch size {len(x)} doesn't match hidden{n} batch size {len(part)}")
            if part.shape[1] != H:
                raise RuntimeError(f"hidden{n} has inconsistent hidden_size: got {part.shape[1]}, expected {H}")
        backend = choose(self.cell, x.device, self.backend, dtype=x.dtype, size=(1, len(x), H), whole=True)
        return BACKENDS[backend].kernel(self.cell)(x[None], state, weights).final

    def _traced_step(self, x: Tensor, state: CellState, weights: Weights) -> CellState:
        """The same as `torch.jit.trace` records it: one call of ATen's step, for any B. ATen checks the sizes."""
        function = cell_named(self.cell).aten
        if function is None or self.backend not in (None, "torch"):
            got = type(self).__name__ + ("" if self.backend is None else f" with backend={self.backend!r}")
            raise UserError("torch.jit.trace", expected="a step as in torch.nn", got=got, remedy=REMEDY)
        hx = state if len(state) > 1 else state[0]
        after = getattr(_VF, f"{function}_cell")(x, hx, *weights[:4])
        return (after,) if isinstance(after, Tensor) else tuple(after)

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_script(self)

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from the defaults."""
        names = [name for name in [*self.defaults][2:] if name not in ("device", "dtype")]
        others = [f"{name}={self.options[name]}" for name in names if self.options[name] != self.defaults[name]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *others])


_MADE: dict[str, type[SingleStep]] = {}


def single_step_of(name: str) -> type[SingleStep]:
    """The class of a single step of a cell in `CELLS`: `ElmanCell`, `GRUCell`, `LSTMCell`, ...

    >>> single_step_of("gru")(3, 5, bias=False)
    GRUCell(3, 5, bias=False)
    """
    cell = CELLS[name]
    if name not in _MADE or _MADE[name].specification is not cell:
        options = [option for option in COMMON if option.name in OWN]
        options[1] = options[1]._replace(words="H.", annotation=int)
        for chosen in (option for option in cell.options if option.name == cell.chosen_by):
            options.insert(3 if chosen.after else len(options), chosen)  # ours come last, by name alone
        made = type(f"{cell.layer}Cell", (SingleStep,), {"__module__": "elman.nn"})
        like = cell.torch_layer or ("LSTM" if len(cell.states) > 1 else "RNN")
        summary = f"One step of `{cell.layer}`, with the signature of torch.nn's {like}Cell.\n\n"
        _MADE[name] = complete(made, cell, options, summary + documentation(cell, options, EXAMPLE))
    return _MADE[name]

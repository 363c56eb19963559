"""What Elman's network, the GRU and the LSTM share as layers: torch.nn's parameters, shapes and errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.errors import UserError
from elman.kernels import BACKENDS, Cell, CellState, Kernel, Weights, check_backend, choose, recompute, variations
from elman.nn import arguments, layout, parameters
from elman.nn.dropout import check_probability
from elman.nn.layout import Steps
from elman.nn.noise import draw
from elman.nn.one_step import read_one_step
from elman.nn.parameters import suffix
from elman.nn.sequences import Flags, Integers, as_lengths, as_resets, as_tensor
from elman.nn.stack import read_stack
from elman.nn.states import Form
from elman.nn.traced import REMEDY, read_traced


class Recurrent(nn.Module):
    """A stack of recurrent layers; abstract, see `Elman`, `GRU` and `LSTM`.

    Parameters are named, shaped and drawn (U(-1/sqrt(H), 1/sqrt(H)), in the same order) as in torch.nn, and
    looked up at every call: `torch.func.functional_call` and parametrizations reach them.

    A call is that of torch.nn, `layer(input, hx)`, and more. With L = num_layers * num_directions:

    - `input` (T, B, D), with `batch_first` (B, T, D), unbatched (T, D), or a `PackedSequence`. T may be 0.
    - `hx` h (L, B, P), for the LSTM (h, c) with c (L, B, H); unbatched (L, ·). Default: zeros. Where `hidden_size`
      is a sequence, `hx` is a tuple with one such state for each layer, and so are the final and every other state.
    - `lengths` (B,), integers, beside the input, in any order, zeros allowed: steps t >= length are padding.
      They have zeros for outputs, leave the state alone, and what they hold (even NaN) changes nothing. `lengths` and
      `resets` are tensors, arrays or lists.
    - `resets` (B, T), boolean, always in this order (unbatched: (T,)): a new sequence begins at step t.
      Nothing passes the border in either direction: reading forward, the state is cleared before step t (at
      t = 0 the given one too); in reverse, between the steps t and t - 1 (so a final state is never cleared).
    - `return_states`: return every state as a third value, shaped as the final one with time: h (L, T, B, P),
      with `batch_first` (L, B, T, P), unbatched (L, T, P), c alike; for packed input padded. `h[k, t]` is the
      state after reading step t in layer k // num_directions, direction k % num_directions; zeros at padding.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        zoneout_cell: float = 0.0,
        peepholes: bool = False,
        layer_norm: bool = False,
        backend: str | None = None,
        recompute: bool | int = False,
    ) -> None:
        super().__init__()
        arguments.check_dropouts(dropout=dropout, weight_dropout=weight_dropout)
        probabilities = {"recurrent_dropout": recurrent_dropout, "zoneout": zoneout, "zoneout_cell": zoneout_cell}
        for name, p in probabilities.items():
            check_probability(name, p)
        arguments.check_flags(bias=bias, batch_first=batch_first, peepholes=peepholes, layer_norm=layer_norm)
        sizes = arguments.sizes_of_layers(hidden_size, num_layers)
        arguments.check_sizes(input_size, sizes, proj_size)
        check_backend(backend)
        arguments.check_recompute(recompute)
        if dropout > 0 and len(sizes) == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={len(sizes)}",
                stacklevel=3,
            )
        self.cell: Cell = cell
        self.input_size = input_size
        self.hidden_size = hidden_size if isinstance(hidden_size, int) else sizes
        self.hidden_sizes = sizes
        self.num_layers = len(sizes)
        self.state_form = Form(2 if cell == "lstm" else 1, None if isinstance(hidden_size, int) else len(sizes))
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.weight_dropout = float(weight_dropout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.zoneout, self.zoneout_cell = float(zoneout), float(zoneout_cell)
        self.peepholes, self.layer_norm = peepholes, layer_norm
        self.backend = backend
        self.recompute = recompute

        flags = {"bias": bias, "peepholes": peepholes, "layer_norm": layer_norm}
        self._names: dict[tuple[int, int], dict[str, str]] = {}  # of the parameters, by their names in `Weights`
        D = input_size
        for layer, H in enumerate(sizes):
            shapes = parameters.shapes(cell, D, H, proj_size, **flags)
            D = (proj_size or H) * self.num_directions
            for direction in range(self.num_directions):
                names = {field: field + suffix(layer, direction) for field in shapes}
                for field, name in names.items():
                    weight = nn.Parameter(torch.empty(shapes[field], device=device, dtype=dtype))
                    self.register_parameter(name, weight)
                self._names[layer, direction] = names
        self.reset_parameters()

    @property
    def mode(self) -> str:
        """torch.nn's name of the recurrence: "RNN_TANH", "RNN_RELU", "GRU" or "LSTM"."""
        return self.cell.upper().replace("ELMAN", "RNN")

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """P: the size of the last layer's h, per direction."""
        return self.proj_size or self.hidden_sizes[-1]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch.nn lists them."""
        pairs = [(layer, d) for layer in range(self.num_layers) for d in range(self.num_directions)]
        return [[w for w in self._parameters_of(*pair) if w is not None] for pair in pairs]

    @property
    def _flat_weights(self) -> list[Tensor]:
        """The parameters in one list, as torch.nn's layers keep them; here they are for reading only."""
        return [weight for weights in self.all_weights for weight in weights]

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1/sqrt(H), 1/sqrt(H)), but the gains as 1 and `bias_cell` as 0."""
        for name, parameter in self.named_parameters():
            layer = parameters.layer_of(name)
            parameters.reset(name, parameter, self.hidden_sizes[-1 if layer is None else layer])

    def flatten_parameters(self) -> None:
        """Do nothing; torch.nn's layers have it, so code written for them calls it."""

    def layer_weights(self, layer: int, direction: int) -> Weights:
        """The weights that a call uses, weight dropout applied (Merity et al. 2018, arXiv:1708.02182)."""
        weights = self._parameters_of(layer, direction)
        if self.training and self.weight_dropout:
            weights = weights._replace(weight_hh=F.dropout(weights.weight_hh, self.weight_dropout))
        return weights

    def _parameters_of(self, layer: int, direction: int) -> Weights:
        return Weights(**{field: getattr(self, name) for field, name in self._names[layer, direction].items()})

    def _read(
        self,
        input: Steps,
        hx: Any,
        lengths: Integers | None,
        resets: Flags | None,
        return_states: bool,
    ) -> tuple[Any, ...]:
        """What every `forward` does: outputs, final state, and every state if asked for."""
        state = self.state_form.flat(hx, type(self).__name__)
        outputs, final, states = self._read_flat(input, state, lengths, resets, return_states)
        found = (outputs, self.state_form.nested(final))
        return (*found, self.state_form.nested(states)) if return_states else found

    def _read_flat(
        self,
        input: Steps,
        hx: CellState | None,
        lengths: Integers | None,
        resets: Flags | None,
        return_states: bool,
    ) -> layout.Returned:
        """The same with the state as a tuple of tensors, and () for the states that were not asked for."""
        if lengths is None and resets is None and not return_states and isinstance(input, Tensor):
            at_once = read_one_step(self, input, hx)
            if at_once is not None:
                return at_once
        window, back = self._arrange(input, hx, lengths, resets)
        if torch.jit.is_tracing():  # type: ignore[attr-defined]
            return back(read_traced(self, window, return_states))
        x, state, lengths, resets = window
        T, B, _ = x.shape
        like = cast(Tensor, self.weight_ih_l0)
        arguments.check_features(x, self.input_size, like.dtype)
        shapes = self._shapes_of_state(B)
        if state is None:
            state = tuple(torch.zeros(shape, dtype=like.dtype, device=x.device) for shape in shapes.values())
        arguments.check_hidden(state, shapes)
        arguments.check_alike(x, state, self.state_form.words(), self._parameters.values())
        if lengths is not None:
            lengths = as_lengths(lengths, B, T, x.device)
        if resets is not None:
            resets = as_resets(resets, B, T, x.device).transpose(0, 1)  # (T, B)

        weights = [[self.layer_weights(n, d) for d in range(self.num_directions)] for n in range(self.num_layers)]
        probabilities = (self.recurrent_dropout, self.zoneout, self.zoneout_cell)
        noise = [
            [draw(like, (T, B, self.proj_size or H, H), *probabilities, training=self.training) for _ in row]
            for row, H in zip(weights, self.hidden_sizes, strict=True)
        ]
        bare = lengths is None and resets is None and self._is_long(T, B)
        outputs, final, states = read_stack(
            self._kernel(x, variations(weights[0][0], noise[0][0]), bare=bare, every_state=return_states),
            x,
            self.state_form.cells(state),
            weights,
            noise,
            dropout=self.dropout if self.training else 0.0,
            lengths=lengths,
            resets=resets,
            every_state=return_states,
        )
        stacked = self.state_form.stacked  # the final state is nobody else's; all others are also the outputs
        return back(layout.Reading(outputs, stacked(final, copied=False), stacked(states, copied=True)))

    def _shapes_of_state(self, B: int) -> dict[str, tuple[int, int, int]]:
        """Of the tensors of a batched state, by their names."""
        form = self.state_form
        L = self.num_directions * (self.num_layers if form.groups is None else 1)
        sizes = self.hidden_sizes[: form.groups or 1]
        shapes = [shape for H in sizes for shape in ((L, B, self.proj_size or H), (L, B, H))[: form.parts]]
        return dict(zip(form.names(), shapes, strict=True))

    def _kernel(self, x: Tensor, varied: tuple[str, ...], *, bare: bool, every_state: bool) -> Kernel:
        backend = choose(
            self.cell,
            x.device,
            self.backend,
            dtype=x.dtype,
            every_state=every_state,
            bare=bare,
            variations=varied,
        )
        kernel = BACKENDS[backend].kernels[self.cell]
        if not self.recompute or BACKENDS[backend].is_lean(self.cell, varied):
            return kernel
        return recompute(kernel, None if self.recompute is True else self.recompute)

    @staticmethod
    def _is_long(T: int, B: int) -> bool:
        """Whether it is many steps of many rows, without gradients; traced, these are not to be asked."""
        return not torch.compiler.is_compiling() and not torch.is_grad_enabled() and T > 1 and B >= 8

    def _arrange(
        self, input: Steps, hx: CellState | None, lengths: Integers | None, resets: Flags | None
    ) -> tuple[layout.Window, Callable[[layout.Reading], layout.Returned]]:
        """The call in the one layout that is read, and the way back to its own."""
        lengths = None if lengths is None else as_tensor("lengths", lengths, torch.int64)
        resets = None if resets is None else as_tensor("resets", resets, torch.bool)
        if isinstance(input, PackedSequence):
            arguments.check_packed(input, lengths)
            return layout.packed(input, hx, resets, self.batch_first)
        arguments.check_dim(input, hx, type(self).__name__)
        window = layout.Window(input, hx, lengths, resets)
        if input.dim() == 2:
            return layout.unbatched(window)
        return layout.batch_first(window) if self.batch_first else layout.time_first(window)

    def __prepare_scriptable__(self) -> NoReturn:
        raise UserError(f"torch.jit.script: it cannot compile elman's {type(self).__name__}", remedy=REMEDY)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "nonlinearity": "tanh",
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
            "weight_dropout": 0.0,
            "recurrent_dropout": 0.0,
            "zoneout": 0.0,
            "zoneout_cell": 0.0,
            "peepholes": False,
            "layer_norm": False,
            "backend": None,
            "recompute": False,
        }
        values = {name: getattr(self, name, default) for name, default in defaults.items()}
        others = [f"{name}={value}" for name, value in values.items() if value != defaults[name]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *others])

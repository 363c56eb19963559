"""The base of every recurrent layer: a cell, with torch.nn's parameters, shapes and errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elman.cells import Cell, CellState, Hold, Weights, cell_named
from elman.kernels import BACKENDS, Kernel, Noise, choose, recompute, reference, variations
from elman.nn import layout, parameters
from elman.nn.dropout import draw
from elman.nn.layout import Form, Steps
from elman.nn.parameters import suffix
from elman.nn.sequences import Flags, Integers, as_lengths, as_resets
from elman.nn.shortcuts import plain_shapes, read_plain, read_traced, refuse_script


class Recurrent(nn.Module):
    """A stack of recurrent layers; abstract, see `elman.nn.layers`.

    Parameters are named, shaped and drawn (U(-1/sqrt(H), 1/sqrt(H)), in the same order) as in torch.nn, and
    looked up at every call: `torch.func.functional_call` and parametrizations reach them.

    A call is that of torch.nn, `layer(input, hx)`, and more. With L = num_layers * num_directions:

    - `input` (T, B, D), with `batch_first` (B, T, D), unbatched (T, D), or a `PackedSequence`. T may be 0.
    - `hx` h (L, B, P), for the LSTM (h, c) with c (L, B, H); unbatched (L, ·). Default: zeros. Where `hidden_size`
      is a sequence, `hx` is a tuple with one such state for each layer, and so are the final and every other state.
    - `lengths` (B,), integers, beside the input, in any order, zeros allowed: steps t >= length are padding.
      They have zeros for outputs, leave the state alone, and their numbers (even NaN) change nothing. `lengths` and
      `resets` are tensors, arrays or lists.
    - `resets` (B, T), boolean, always in this order (unbatched: (T,)): a new sequence begins at step t.
      Nothing passes the border in either direction: reading forward, the state is cleared before step t (at
      t = 0 the initial state too); in reverse, between the steps t and t - 1 (so a final state is never cleared).
    - `return_states`: return every state as a third value, shaped as the final state with time: h (L, T, B, P),
      with `batch_first` (L, B, T, P), unbatched (L, T, P), c likewise; for packed input these come padded. `h[k, t]`
      is the state after reading step t in layer k // num_directions, direction k % num_directions; zeros at padding.

    >>> import torch
    >>> from elman.nn import GRU
    >>> layer, x = GRU(3, 5, batch_first=True), torch.randn(2, 7, 3)
    >>> whole, h = layer(x)
    >>> first, state = layer(x[:, :4])
    >>> second, state = layer(x[:, 4:], state)  # reading in pieces equals reading whole
    >>> torch.allclose(torch.cat([first, second], 1), whole)
    True
    >>> resets = torch.zeros(2, 7, dtype=torch.bool)
    >>> resets[:, 4] = True  # a new sequence begins
    >>> torch.allclose(layer(x, resets=resets)[0][:, 4:], layer(x[:, 4:])[0])
    True
    """

    specification: ClassVar[Cell]  # `cell` is its name or the name of a variant
    defaults: ClassVar[dict[str, Any]]  # of the constructor's arguments
    input_size: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    zoneout: float
    layer_norm: bool
    backend: str | None
    recompute: bool | int
    holds: Mapping[tuple[int, int], Hold] = MappingProxyType({})  # by layer and direction: what `lens.hold` holds
    # The values where a cell has no such option.
    proj_size: int = 0
    weight_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout_cell: float = 0.0

    def _begin(self, options: Mapping[str, Any]) -> None:
        """Initialize the layer; every constructor calls this with all its arguments by name."""
        super().__init__()
        hidden_size, proj_size = options["hidden_size"], options.get("proj_size", 0)
        sizes = parameters.checked_sizes(self.defaults, options)
        for name, value in options.items():
            if name not in ("device", "dtype"):
                setattr(self, name, float(value) if isinstance(self.defaults.get(name), float) else value)
        cell = self.specification.variant(chosen := options.get(self.specification.chosen_by))
        if lacked := [name for name in cell.lacks if options[name]]:
            raise ValueError(f"{', '.join(lacked)}: a {cell.layer} with {cell.chosen_by}={chosen!r} has none")
        self.cell = cell.name
        self.hidden_size: int | tuple[int, ...] = hidden_size if isinstance(hidden_size, int) else sizes
        self.hidden_sizes, self.num_layers = sizes, len(sizes)
        groups = None if isinstance(hidden_size, int) else len(sizes)
        self.state_form = Form(tuple(state.name for state in cell.states), groups)
        self._state_sizes = [size for H in sizes[: groups or 1] for size in cell.sizes(H, proj_size or H)]
        self._names: dict[tuple[int, int], dict[str, str]] = {}  # names of the parameters, by names in `Weights`
        D = self.input_size
        for layer, H in enumerate(sizes):
            shapes = parameters.shapes(cell, D, H, proj_size or H, options)
            D = (proj_size or H) * self.num_directions
            for direction in range(self.num_directions):
                names = self._names[layer, direction] = {field: field + suffix(layer, direction) for field in shapes}
                for field, shape in shapes.items():
                    weight = nn.Parameter(torch.empty(shape, device=options["device"], dtype=options["dtype"]))
                    self.register_parameter(names[field], weight)
        self._plain_shapes = plain_shapes(self)
        self.reset_parameters()

    @property
    def mode(self) -> str:
        """torch.nn's name of the recurrence, such as "RNN_TANH"; else the cell's name in capitals."""
        return (cell_named(self.cell).aten or self.cell).upper()

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
        """The parameters in one list, as torch.nn's layers keep them; here for reading only."""
        return [weight for weights in self.all_weights for weight in weights]

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1/sqrt(H), 1/sqrt(H)); gains begin with 1 and `bias_cell` with 0."""
        for name, parameter in self.named_parameters():
            layer = parameters.layer_number(name)
            parameters.reset(name, parameter, self.hidden_sizes[-1 if layer is None else layer])

    def flatten_parameters(self) -> None:
        """Do nothing; code that was written for torch.nn's layers calls this method."""

    def layer_weights(self, layer: int, direction: int) -> Weights:
        """The weights that a call uses, after weight dropout (Merity et al. 2018, arXiv:1708.02182)."""
        weights = self._parameters_of(layer, direction)
        if self.training and self.weight_dropout and weights.weight_hh is not None:
            weights = weights._replace(weight_hh=F.dropout(weights.weight_hh, self.weight_dropout))
        return weights

    def _parameters_of(self, layer: int, direction: int) -> Weights:
        found = {field: getattr(self, name) for field, name in self._names[layer, direction].items()}
        return Weights(**(found if "weight_hh" in found else found | {"weight_hh": None}))

    def forward(
        self,
        input: Steps,
        hx: Any = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
        return_states: bool = False,
    ) -> tuple[Any, ...]:
        """Read a window; see `Recurrent` for the parameters.

        Returns `(outputs, h_n)`, with `return_states` `(outputs, h_n, h)`; of the LSTM `(outputs, (h_n, c_n))` and
        `(outputs, (h_n, c_n), (h, c))`.
        """
        form = self.state_form
        state = form.flat(hx, type(self).__name__)
        read = None
        if not (return_states or self.holds) and lengths is None and resets is None and isinstance(input, Tensor):
            read = read_plain(self, input, state)
        outputs, final, states = read or self._read_window(input, state, lengths, resets, return_states)
        found = (outputs, form.nested(final))
        return (*found, form.nested(states)) if return_states else found

    def _read_window(
        self, input: Steps, hx: CellState | None, lengths: Any, resets: Any, every_state: bool
    ) -> layout.Returned:
        """Outputs, the final state and, where wanted, every state; the states flat."""
        given, back = layout.arrange(input, hx, lengths, resets, self.batch_first, type(self).__name__)
        if torch.jit.is_tracing():  # type: ignore[attr-defined]
            return back(read_traced(self, given, every_state))
        x, state, lengths, resets = given
        T, B, _ = x.shape
        like = cast(Tensor, self.weight_ih_l0)
        layout.check_features(x, self.input_size, like.dtype)
        shapes = self._shapes_of_state(B)
        if state is None:
            state = tuple(torch.zeros(shape, dtype=like.dtype, device=x.device) for shape in shapes.values())
        layout.check_hidden(state, shapes)
        layout.check_alike(x, state, self.state_form.words(), self._parameters.values())
        if lengths is not None:
            lengths = as_lengths(lengths, B, T, x.device)
        if resets is not None:
            resets = as_resets(resets, B, T, x.device).transpose(0, 1)  # (T, B)
        return back(self._read_stack(x, self.state_form.cells(state), lengths, resets, every_state))

    def _read_stack(
        self, x: Tensor, state: list[CellState], lengths: Tensor | None, resets: Tensor | None, every_state: bool
    ) -> layout.Reading:
        """Read x (T, B, D) from every cell's `state`; each layer reads both directions of the layer below."""
        T, B, _ = x.shape
        weights = [[self.layer_weights(n, d) for d in range(self.num_directions)] for n in range(self.num_layers)]
        probabilities = (self.recurrent_dropout, self.zoneout, self.zoneout_cell)
        like = weights[0][0].weight_ih
        noise = [
            [draw(like, (T, B, self.proj_size or H, H), *probabilities, training=self.training) for _ in row]
            for row, H in zip(weights, self.hidden_sizes, strict=True)
        ]
        kernel = self._kernel(x, weights[0][0], noise[0][0], lengths is None and resets is None, every_state)
        held = {place: reference.kernel_of(self.cell, hold) for place, hold in self.holds.items()}
        finals: list[CellState] = []
        visited: list[CellState] = []  # empty unless wanted, for these tensors are large
        for depth, directions in enumerate(weights):
            if depth > 0 and self.training:
                x = F.dropout(x, self.dropout)
            outputs: list[Tensor] = []
            for direction, (own, drawn) in enumerate(zip(directions, noise[depth], strict=True)):
                before, reverse = state[len(finals)], direction == 1
                read = held.get((depth, direction), kernel)(
                    x, before, own, reverse=reverse, lengths=lengths, resets=resets, noise=drawn
                )
                outputs.append(read.h)
                finals.append(read.final)
                if every_state:
                    visited.append((read.h, *(read.others or ())))
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        stacked = self.state_form.stacked  # a copy of every state, for the outputs may hold the same tensors
        return layout.Reading(x, stacked(finals, copied=False), stacked(visited, copied=True))

    def _shapes_of_state(self, B: int) -> dict[str, tuple[int, int, int]]:
        """The shapes of the tensors of a batched state, by torch.nn's names."""
        L = self.num_directions * (self.num_layers if self.state_form.groups is None else 1)
        return {name: (L, B, size) for name, size in zip(self.state_form.names(), self._state_sizes, strict=True)}

    def _kernel(self, x: Tensor, weights: Weights, noise: Noise, whole: bool, every_state: bool) -> Kernel:
        varied, size = variations(weights, noise), (*x.shape[:2], self.hidden_sizes[0])
        backend = choose(self.cell, x.device, self.backend, x.dtype, every_state, varied, size, whole)
        if not self.recompute or BACKENDS[backend].is_lean(self.cell, varied):
            return BACKENDS[backend].kernel_for(self.cell, every_state)
        return recompute(BACKENDS[backend].kernel(self.cell), None if self.recompute is True else self.recompute)

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_script(self)

    def extra_repr(self) -> str:
        """The sizes, and the options that differ from the defaults."""
        values = {name: getattr(self, name) for name in [*self.defaults][2:] if name not in ("device", "dtype")}
        in_order = sorted(values, key=lambda name: name != "proj_size")  # torch's
        others = [f"{name}={values[name]}" for name in in_order if values[name] != self.defaults[name]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *others])

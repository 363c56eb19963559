"""Every state that a module's recurrent layers go through, and the inputs that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from elman.cells import Hold, as_computed, cell_named
from elman.errors import UserError
from elman.kernels import QUIET, Noise, Weights
from elman.kernels.seam import clears, real_steps
from elman.lens.observe import ModuleCall, evaluating, hooked
from elman.nn import GRU, LSTM, Elman
from elman.nn.dropout import draw
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import as_lengths, as_resets
from elman.nn.single_step import SingleStep

LAYERS = (Recurrent, nn.RNNBase)
STEPS = (SingleStep, nn.RNNCellBase)
OWN: dict[str, Callable[..., Recurrent]] = {"RNN_TANH": Elman, "RNN_RELU": Elman, "GRU": GRU, "LSTM": LSTM}


@dataclass(frozen=True)
class LayerVisit:
    """One layer in one direction over a batch, time first; padding and rows are in the order of the call.

    >>> layer = LSTM(3, 8)
    >>> [visit] = visit_layers(layer, lambda: layer(torch.randn(10, 2, 3)))
    >>> visit.name, visit.cell, visit.inputs.shape, [part.shape for part in visit.after]
    ('layer 1', 'lstm', torch.Size([10, 2, 3]), [torch.Size([10, 2, 8]), torch.Size([10, 2, 8])])
    """

    name: str
    cell: str
    weights: Weights
    inputs: Tensor  # (T, B, D)
    before: tuple[Tensor, ...]  # h, for the LSTM also c, before each step: (T, B, H); zeros at padding
    after: tuple[Tensor, ...]  # the same after each step
    reverse: bool  # whether the layer reads from the last step to the first
    real: Tensor  # (T, B), False at padding
    hold: Hold = as_computed  # what `lens.hold` holds
    noise: Noise = QUIET  # zoneout's shares in eval mode, of any one step (1, 1, ·)


def visit_layers(model: nn.Module, read: Callable[[], object]) -> list[LayerVisit]:
    """The inputs and states of every recurrent layer in `model` while `read()` runs the model once.

        visits = visit_layers(model, lambda: model(tokens))

    There is one visit for each layer and direction, in the order in which the layers are called; a layer that is called
    several times, as by a loop over steps, has its calls one after the other in time.

    Args:
        model: any module that holds, or is, layers of `elman.nn` or `torch.nn.RNN`, `GRU` or `LSTM`, which may read
            batched, unbatched or packed input, in either layout. The model runs in eval mode and is left as it was.
        read: calls the model, and is called once.

    Raises:
        UserError: no such layer is called, or a layer is called with batches of different sizes.

    >>> model = nn.LSTM(3, 8, num_layers=2, bidirectional=True)  # of torch.nn
    >>> [visit.name for visit in visit_layers(model, lambda: model(torch.randn(10, 2, 3)))]
    ['layer 1 forward', 'layer 1 reverse', 'layer 2 forward', 'layer 2 reverse']
    """
    with evaluating(model), torch.no_grad():
        calls = _calls_with_states(model, read)
        if not calls:
            expected = "a layer of elman.nn, or an RNN, GRU or LSTM of torch.nn, that `read` calls"
            cells = any(isinstance(part, STEPS) for part in model.modules())
            remedy = "one-step cells, as LSTMCell, are not visited" if cells else ""
            raise UserError("there is no recurrent layer in the model", expected=expected, remedy=remedy)
        found: dict[tuple[nn.Module, int], list[LayerVisit]] = {}
        for call, states in calls:
            for place, visit in enumerate(_visits(own_layer(call.module), states, *call.arguments, **call.options)):
                found.setdefault((call.module, place), []).append(visit)
    visits, number = [], 0
    for parts in found.values():
        visit = parts[0] if len(parts) == 1 else _joined(parts)
        number += not visit.reverse
        visits.append(replace(visit, name=f"layer {number} {visit.name}".rstrip()))
    return visits


def own_layer(layer: Any) -> Recurrent:
    """The given layer, or a layer of `elman.nn` that computes the same as one of `torch.nn`, with the same weights."""
    if isinstance(layer, Recurrent):
        return layer
    names = ["num_layers", "bias", "batch_first", "bidirectional"]
    names += {"LSTM": ["proj_size"], "GRU": []}.get(layer.mode, ["nonlinearity"])
    options = {name: getattr(layer, name) for name in names}
    own = OWN[layer.mode](layer.input_size, layer.hidden_size, device="meta", **options)
    for name in dict(own.named_parameters()):
        setattr(own, name, nn.Parameter(getattr(layer, name).detach(), requires_grad=False))
    return own.eval()


@contextmanager
def reading_by_steps(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """For a while, layers read one step after the other; yields their states after each, by names as "layer 1 h".

    So the graph has every state (B, ·) as a tensor of its own, beside the outputs. Layers that read in both directions,
    and layers that read packed, padded or reset input or return every state, are left as they are.
    """
    memory: dict[str, list[Tensor]] = {}
    numbers: dict[Any, int] = {}  # of the first layer in each module

    def read(
        layer: Any, input: Any, hx: Any = None, lengths: Any = None, resets: Any = None, return_states: bool = False
    ) -> tuple[Tensor, Any] | None:
        if layer.bidirectional or return_states or not isinstance(input, Tensor):
            return None
        own, time = own_layer(layer), int(layer.batch_first and input.dim() == 3)
        padded = lengths is not None and bool((torch.as_tensor(lengths) < input.shape[time]).any())
        if padded or (resets is not None and bool(torch.as_tensor(resets).any())):
            return None
        form, names = own.state_form, [state.name for state in cell_named(own.cell).states]
        first, outputs = numbers.setdefault(layer, 1 + sum(part.num_layers for part in numbers)), []
        for step in input.split(1, time):
            output, hx = layer.forward(step, hx)
            cells = form.cells(form.flat(hx, "") or ())
            for number, cell in enumerate(cells, first):
                for name, state in zip(names, cell, strict=True):
                    memory.setdefault(f"layer {number} {name}", []).append(state)
                    state.requires_grad_(True)  # even where nothing before the state does
            outputs.append(output)
            hx = form.nested(form.stacked(cells, copied=True))
        return torch.cat(outputs, time), hx

    with hooked(model, LAYERS, lambda layer, given, options, _: read(layer, *given, **options)):
        yield memory


def _calls_with_states(model: nn.Module, read: Callable[[], object]) -> list[tuple[ModuleCall, Any]]:
    """The calls of layers, each with every state; None for a layer of torch.nn, which does not tell."""
    calls: list[tuple[ModuleCall, Any]] = []

    def ask(_: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        asked.append(bool(options.get("return_states")))
        return arguments, options | {"return_states": True}

    def hear(layer: Any, arguments: tuple[Any, ...], options: dict[str, Any], result: Any) -> Any:
        own = isinstance(layer, Recurrent)
        calls.append((ModuleCall(layer, arguments, options), result[2] if own else None))
        return result[:2] if own and not asked.pop() else result

    asked: list[bool] = []  # of the calls that are under way
    layers = [part for part in model.modules() if isinstance(part, Recurrent)]
    handles = [layer.register_forward_pre_hook(ask, with_kwargs=True) for layer in layers]
    try:
        with hooked(model, LAYERS, hear):
            read()
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _visits(
    layer: Recurrent, states: Any, input: Any, hx: Any = None, lengths: Any = None, resets: Any = None, **_: object
) -> list[LayerVisit]:
    """The layers and directions of one stack in torch's order, for the arguments of a call, without their numbers.

    `states` are those that the call returned, in the layout of the call; None: the layer reads once more.
    """
    form, kind = layer.state_form, type(layer).__name__
    state, every = form.flat(hx, kind), form.flat(states, kind)  # (L, B, ·) and (L, T, B, ·) each
    if isinstance(input, PackedSequence):
        input, lengths = pad_packed_sequence(input, layer.batch_first)
    elif input.dim() == 2:
        input = input.unsqueeze(0 if layer.batch_first else 1)
        state = None if state is None else tuple(part[:, None] for part in state)
        every = None if every is None else tuple(part.unsqueeze(1 if layer.batch_first else 2) for part in every)
        lengths, resets = (None if mask is None else torch.as_tensor(mask)[None] for mask in (lengths, resets))
    if every is None:
        given = None if state is None else form.nested(state)
        every = form.flat(layer(input, given, lengths=lengths, resets=resets, return_states=True)[2], kind) or ()
    if layer.batch_first:
        input, every = input.transpose(0, 1), tuple(part.transpose(1, 2) for part in every)
    T, B, _ = input.shape
    real = real_steps(as_lengths([T] * B if lengths is None else lengths, B, T, input.device), T)
    resets = torch.zeros_like(real) if resets is None else as_resets(resets, B, T, input.device).t()
    visits: list[LayerVisit] = []
    x, directions = input, layer.num_directions
    for place, after in enumerate(form.cells(every)):
        depth, direction = divmod(place, directions)
        first = [part.new_zeros(part.shape[1:]) for part in after] if state is None else form.cells(state)[place]
        fresh = ~real | clears(resets, real, direction == 1)
        before = tuple(_before(*parts, real, fresh, direction == 1) for parts in zip(first, after, strict=True))
        name = ("forward", "reverse")[direction] if layer.bidirectional else ""
        weights = layer.layer_weights(depth, direction)
        hold = layer.holds.get((depth, direction), as_computed)
        sizes = (1, 1, layer.proj_size or layer.hidden_sizes[depth], layer.hidden_sizes[depth])
        noise = draw(x, sizes, 0.0, layer.zoneout, layer.zoneout_cell, training=False)
        visits.append(LayerVisit(name, layer.cell, weights, x, before, after, direction == 1, real, hold, noise))
        if direction == directions - 1:
            x = torch.cat([visit.after[0] for visit in visits[-directions:]], dim=-1)
    return visits


def _before(first: Tensor, after: Tensor, real: Tensor, fresh: Tensor, reverse: bool) -> Tensor:
    """The states before each step, (T, B, ·), from the state that a row begins with and the states after each step."""
    if reverse:  # a row begins at its last real step
        last = real & ~torch.cat((real[1:], torch.zeros_like(real[:1])))
        before = torch.where(last[..., None], first, torch.cat((after[1:], first[None])))
    else:
        before = torch.cat((first[None], after[:-1]))
    return before.masked_fill(fresh[..., None], 0) if fresh.any() else before


def _joined(visits: list[LayerVisit]) -> LayerVisit:
    """The calls of one layer, one after the other in time."""
    if len(sizes := {visit.inputs.shape[1] for visit in visits}) > 1:
        expected = "batches of one size, each time that `read` calls it"
        raise UserError("a recurrent layer", expected=expected, got=f"sizes {sorted(sizes)}")
    return replace(
        visits[0],
        inputs=torch.cat([visit.inputs for visit in visits]),
        before=tuple(map(torch.cat, zip(*(visit.before for visit in visits), strict=True))),
        after=tuple(map(torch.cat, zip(*(visit.after for visit in visits), strict=True))),
        real=torch.cat([visit.real for visit in visits]),
    )

"""Every state that a model's recurrent layers go through, and what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from elman.errors import UserError
from elman.kernels import Weights
from elman.lens.observe import Given, evaluating, given_to
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import as_resets


@dataclass(frozen=True)
class LayerVisit:
    """One layer over a batch of text, time first."""

    name: str
    cell: str
    weights: Weights
    inputs: Tensor  # (T, B, D)
    before: tuple[Tensor, ...]  # h, for the LSTM also c, before each step: (T, B, H)
    after: tuple[Tensor, ...]  # and after it


def visit_layers(model: torch.nn.Module, read: Callable[[], object]) -> list[LayerVisit]:
    """What every recurrent layer of elman's in `model` goes through while `read()` runs the model once.

    Works on any torch model made of `elman.nn` layers that are called with a padded batch:

        visits = visit_layers(model, lambda: model(tokens))

    Raises:
        UserError: no such layer in the model, or one that reads in both directions, a packed or an unbatched input.
    """
    with evaluating(model), torch.no_grad():
        calls = given_to(model, Recurrent, read)
        if not calls:
            raise UserError("there is no recurrent layer in the model", remedy="ask for its attention instead")
        visits = [visit for call in calls for visit in _visits(call)]
    return [replace(visit, name=f"layer {number}") for number, visit in enumerate(visits, start=1)]


def _visits(call: Given) -> list[LayerVisit]:
    """The layers of one stack, one above the other."""
    layer = cast(Recurrent, call.module)
    x = call.arguments[0]
    if layer.bidirectional or not isinstance(x, Tensor) or x.dim() != 3:
        raise UserError(f"{call.name}", expected="a layer that reads a padded batch in one direction")
    hx = call.arguments[1] if len(call.arguments) > 1 else call.options.get("hx")
    options = {key: value for key, value in call.options.items() if key not in ("hx", "return_states")}
    form, name = layer.state_form, type(layer).__name__
    every = form.flat(layer(x, hx, **options, return_states=True)[2], name) or ()  # (L, T, B, ·) each
    given = form.flat(hx, name)  # (L, B, ·) each
    if layer.batch_first:
        x, every = x.transpose(0, 1), tuple(part.transpose(1, 2) for part in every)
    T, B, _ = x.shape
    resets = call.options.get("resets")
    begins = None if resets is None else as_resets(resets, B, T, x.device).t()[..., None]  # (T, B, 1)
    visits = []
    for depth, after in enumerate(form.cells(every)):
        first = tuple(torch.zeros_like(part[0]) for part in after) if given is None else form.cells(given)[depth]
        before = tuple(torch.cat((start[None], part[:-1])) for start, part in zip(first, after, strict=True))
        if begins is not None:
            before = tuple(part.masked_fill(begins, 0) for part in before)
        visits.append(LayerVisit("", layer.cell, layer.layer_weights(depth, 0), x, before, after))
        x = after[0]
    return visits

"""A recurrent language model whose steps have tensors of their own, so that autograd tells of every state.

A layer's inputs are projected in one product for all steps; only W_hh is read at every step.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from elman.cells import CellState, as_computed, cell_named
from elman.kernels import Noise
from elman.kernels.reference import project, recur, zone
from elman.models.recurrent import RecurrentLM
from elman.nn.dropout import draw
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import embed
from elman.state import State, leaves, reset_rows


def unroll_model(
    model: RecurrentLM, tokens: Tensor, state: State, resets: Tensor | None
) -> tuple[Tensor, Tensor, dict[str, list[Tensor]]]:
    """Read tokens (B, T) in eval mode from a memory, with `resets` (B, T).

    Returns the last layer's outputs (T, B, H); the leaf of the graph that holds the embedded tokens (B, T, D); and by
    names as "layer 1 h" the states (B, ·) after every step, apart from the outputs that a layer hands to the next.
    """
    embedded = embed(model.embedding, tokens).detach().requires_grad_()
    x = embedded.transpose(0, 1)
    memory: dict[str, list[Tensor]] = {}
    for number, (layer, before) in enumerate(zip(model.layers, state, strict=True), 1):
        assert isinstance(layer, Recurrent)
        outputs, visited = _steps(layer, x, tuple(leaves(before)), None if resets is None else resets.t())
        x = x + outputs if model.residual and x.shape == outputs.shape else outputs
        for kind, states in zip(cell_named(layer.cell).states, zip(*visited, strict=True), strict=True):
            memory[f"layer {number} {kind.name}"] = list(states)
    return x, embedded, memory


def _steps(layer: Recurrent, x: Tensor, state: CellState, cleared: Tensor | None) -> tuple[Tensor, list[CellState]]:
    """The outputs (T, B, H), and the states after every step as tensors on which no output depends at once."""
    cell, weights, H = cell_named(layer.cell), layer.layer_weights(0, 0), layer.hidden_sizes[0]
    hold, names = layer.holds.get((0, 0), as_computed), [kind.name for kind in cell.states]
    drawn = draw(x, (1, 1, H, H), 0.0, layer.zoneout, layer.zoneout_cell, training=False)
    noise = Noise(None, *(None if share is None else share[0] for share in drawn[1:]))  # the same at every step
    outputs, visited = [], []
    for t, sums in enumerate(project(x, weights).unbind()):
        if cleared is not None:
            state = cast(CellState, reset_rows(state, cleared[t]))
        after, _ = cell.step(sums, recur(state[0], weights), state, weights, hold=hold)
        after = tuple(map(hold, names, zone(after, state, noise)))
        outputs.append(after[0])
        state = tuple(part.view_as(part) for part in after)
        visited.append(state)
    return torch.stack(outputs), visited

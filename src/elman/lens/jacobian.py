"""The Jacobian of one step: how a single step changes a small change of the memory.

    J_t = ∂s_t/∂s_{t−1}          singular values: the stretching of one step; spectral radius: that in the long run

Gradients cannot explode where the largest singular value stays below 1, and the memory keeps the directions with
singular values near 1 (Pascanu, Mikolov & Bengio 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.kernels.reference import kernel_of
from elman.lens.observe import as_inputs, evaluating, follows_contract, has_vectors_for_memory
from elman.lens.visit import LAYERS, LayerVisit, own_layer, visit_layers
from elman.models.recurrent import RecurrentLM
from elman.nn.sequences import Flags, Integers, as_resets, as_tensor
from elman.state import State, detach, leaves, map_state


@dataclass(frozen=True)
class StepJacobian:
    """The step Jacobians of one layer at some steps K, each with respect to the layer's own memory of M numbers.

    >>> layer = nn.RNN(2, 8, batch_first=True)
    >>> found = step_jacobian(layer, torch.randn(4, 2), torch.randn(1, 4, 8))
    >>> found.matrices.shape, found.singular_values.shape, found.spectral_radius.shape
    ((4, 8, 8), (4, 8), (4,))
    """

    layer: int
    matrices: npt.NDArray[np.floating]  # (K, M, M): [k, i, j] = ∂s_i/∂s_j
    singular_values: npt.NDArray[np.float64]  # (K, M), falling
    spectral_radius: npt.NDArray[np.float64]  # (K,)


def step_jacobian(
    model: nn.Module, tokens: Integers, state: Any, layer: int = 0, *, resets: Flags | None = None
) -> StepJacobian:
    """The step Jacobians of a layer, one a row: from the memory `state` over the one token that is read next.

    The layer's memory is h, for the LSTM h and c one after the other; the other layers' memories are held fixed. As no
    layer depends on those above it, the spectral radius of the whole memory's Jacobian is the largest of the layers'.

    Args:
        model: a language model of the state contract whose memory is made of vectors, layer by layer; or a recurrent
            layer of `elman.nn` or `torch.nn`.
        tokens: (K,), the token of each row that is read in the step; vectors (K, D) for a layer.
        state: the memory of K rows before the step; for a layer `hx`, as its call returns it.
        layer: the layer's number, from 0; where layers read in both directions, each direction counts, as in `hx`.
        resets: (K,) boolean, where the token begins a document: there the Jacobian is zero. None is nowhere.

    Raises:
        UserError: another model, one whose memory grows, or no such layer.

    >>> layer = nn.RNN(1, 2)
    >>> layer.weight_hh_l0.data = torch.tensor([[0.0, 0.9], [-0.9, 0.0]])
    >>> layer.bias_ih_l0.data = -layer.bias_hh_l0.data
    >>> found = step_jacobian(layer, torch.zeros(1, 1), torch.zeros(1, 1, 2))  # where tanh has slope 1, J is W_hh
    >>> found.matrices[0].round(2) + 0, found.singular_values.round(2), found.spectral_radius.round(2)
    (array([[ 0. ,  0.9],
           [-0.9,  0. ]], dtype=float32), array([[0.9, 0.9]]), array([0.9]))
    """
    tokens = as_inputs(tokens, model, dims=1)
    steps, memory = steps_of(model, tokens, state, layer)
    if resets is not None:
        resets = as_resets(as_tensor("resets", resets, torch.bool)[None], 1, len(tokens), tokens.device)[0]
    matrices = []
    with evaluating(model, constant=True), torch.enable_grad():
        for row in range(len(tokens)):
            one = slice(row, row + 1)
            before = map_state(lambda x, one=one: x[one], detach(memory))
            begins = None if resets is None else resets[one]
            matrices.append(jacobian_of(steps, tokens[one], before, layer, begins))
    stacked = torch.stack(matrices)
    exact = stacked.to(torch.promote_types(stacked.dtype, torch.float32))
    singular = torch.stack([singular_values(one.double(), stacked.dtype) for one in exact]).numpy()
    return StepJacobian(layer, stacked.numpy(), singular, np.array([*map(spectral_radius, exact)]))


class OneStep(NamedTuple):
    """How a model takes one step."""

    read: Callable[..., State]  # inputs (K, 1, ·), the memory before and resets (K, 1) -> the memory after
    layers: nn.Module | None  # whose layers alone carry the memory, in its order; None: a model of somebody's own


def steps_of(model: Any, tokens: Tensor, state: Any, layer: int) -> tuple[OneStep, tuple[State, ...]]:
    """The steps of a model, and the memory before them.

    Raises `UserError` as `step_jacobian` does.
    """
    if isinstance(model, LAYERS) and not tokens.is_floating_point():
        raise UserError("tokens", expected="vectors of floats (K, D) for a layer", got=tokens.dtype)
    steps, memory = _steps_and_memory(model, state)
    if isinstance(memory, Tensor) or not 0 <= layer < len(memory):
        raise UserError("layer", expected=f"0 to {len(memory) - 1}", got=layer)
    return steps, memory


def _steps_and_memory(model: Any, state: Any) -> tuple[OneStep, State]:
    if isinstance(model, LAYERS):
        layer = own_layer(model)
        form = layer.state_form

        def read(x: Tensor, memory: Any, begins: Tensor | None) -> State:
            hx = form.nested(form.stacked(memory, copied=True))
            _, after = layer(x if layer.batch_first else x.transpose(0, 1), hx, resets=begins)
            return tuple(form.cells(form.flat(after, "") or ()))

        return OneStep(read, layer), tuple(form.cells(form.flat(state, type(layer).__name__) or ()))
    if not follows_contract(model) or not has_vectors_for_memory(model):
        expected = "a recurrent model, whose memory is made of vectors, or one of its recurrent layers"
        raise UserError("step Jacobian", expected=expected, got=type(model).__name__)
    layers = model if type(model) is RecurrentLM else None
    return OneStep(lambda x, memory, begins: model.read(x, memory, resets=begins)[1], layers), state


def jacobian_of(steps: OneStep, token: Tensor, memory: State, layer: int, begins: Tensor | None) -> Tensor:
    """(M, M), of one row: of the layer's own step where the model's layers are known, else of the whole model's."""
    resets = None if begins is None else begins[None]  # (1, 1)
    if steps.layers is None:
        return _of_whole(steps.read, token, memory, layer, resets)
    return of_own_step(visit_layers(steps.layers, lambda: steps.read(token[:, None], memory, resets))[layer], resets)


def of_own_step(visit: LayerVisit, resets: Tensor | None) -> Tensor:
    """(M, M), by one readable step of the layer, and one backward pass for all numbers of the memory after it at once.

    The visit is of one step of one row.
    """
    before = tuple(part[0].requires_grad_() for part in visit.before)
    step = kernel_of(visit.cell, visit.hold)
    read = step(visit.inputs, before, visit.weights, reverse=visit.reverse, resets=resets, noise=visit.noise)
    after = torch.cat(read.final, dim=1)[0]  # (M,)
    each = torch.eye(len(after), dtype=after.dtype, device=after.device)
    found = torch.autograd.grad(after, before, each, is_grads_batched=True, allow_unused=True)
    parts = [
        each.new_zeros(len(after), part.shape[1]) if by is None else by[:, 0]
        for by, part in zip(found, before, strict=True)
    ]
    return torch.cat(parts, dim=1).cpu()


def _of_whole(read: Callable[..., State], token: Tensor, memory: State, layer: int, resets: Tensor | None) -> Tensor:
    """(M, M), by one backward pass: M copies of the row, each asked for one number of the memory after the step."""
    M = sum(leaf.shape[1] for leaf in leaves(memory[layer]))
    copies = map_state(lambda x: x.expand(M, -1).clone().requires_grad_(), memory)
    after = read(token.expand(M, *token.shape[1:])[:, None], copies, None if resets is None else resets.expand(M, 1))
    result = torch.cat(list(leaves(after[layer])), dim=1)  # (M, M)
    parts = torch.autograd.grad(result.diagonal().sum(), list(leaves(copies[layer])))
    return torch.cat(parts, dim=1).cpu()


def singular_values(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """(M,), falling, of a matrix (M, M) in float64 whose numbers are known as well as `dtype` can tell.

    Of the floats that are shorter than float64, AᵀA in float64 loses less than they already have, at half the time.

    >>> singular_values(torch.tensor([[3.0, 0.0], [4.0, 0.0]], dtype=torch.float64), torch.float32)
    tensor([5., 0.], dtype=torch.float64)
    """
    if dtype == torch.float64:
        return torch.linalg.svdvals(matrix)
    scale = matrix.abs().max().clamp(min=torch.finfo(matrix.dtype).tiny)  # squares of large products overflow
    unit = matrix / scale
    return torch.linalg.eigvalsh(unit.T @ unit).flip(0).clamp(min=0).sqrt() * scale


def spectral_radius(matrix: Tensor) -> float:
    """The largest absolute eigenvalue of a square matrix.

    >>> round(spectral_radius(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])), 3)
    2.0
    """
    return float(torch.linalg.eigvals(matrix).abs().max())

"""Gradient flow through time: how much of a loss's gradient reaches back k steps.

The gradient of a loss at step T with respect to what was remembered k steps before is a product of k Jacobians,

    ∂L_T/∂h_{T−k} = ∂L_T/∂h_{T-1} · ∂h_{T-1}/∂h_{T−2} ⋯ ∂h_{T−k+1}/∂h_{T−k},

which vanishes or explodes geometrically unless their singular values stay near 1 (Bengio, Simard & Frasconi 1994;
Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from elman.errors import UserError
from elman.lens.decay import Decay, fit_decay
from elman.lens.observe import embed, evaluating, has_vectors_for_memory, named_leaves, read_vectors
from elman.models import LanguageModel
from elman.nn.sequences import Flags, Integers, as_resets, as_tokens
from elman.state import State, detach

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Norms of a gradient against the lag, for every row of a batch."""

    name: str  # "input", "layer 1 h", "layer 1 c", ...
    lags: npt.NDArray[np.int64]  # (K,)
    norms: Floats  # (K, B)

    def quantile(self, q: float) -> Floats:
        """Over the batch, for every lag: (K,)."""
        return np.quantile(self.norms, q, axis=1)

    @property
    def decay(self) -> Decay:
        """How the median falls."""
        return fit_decay(self.lags, self.quantile(0.5))


@dataclass(frozen=True)
class GradientFlow:
    """The gradients of one loss a row: with respect to the inputs x, and to every part of the memory."""

    input: Flow
    memory: tuple[Flow, ...]  # empty where the memory is no vector (a Transformer's cache)


def gradient_flow(
    model: LanguageModel,
    tokens: Integers,
    targets: Integers,
    state: State | None = None,
    *,
    resets: Flags | None = None,
) -> GradientFlow:
    """Norms of the gradients of L_T, the cross entropy of the last step's prediction, for every row.

        inputs:  ‖∂L_T/∂x_{T−k}‖, k = 0 … T−1, x being what the embedding gives
        memory:  ‖∂L_T/∂s_{T−k}‖, k = 1 … T−1, s_t being the memory after step t

    The second is the derivative of L_T as a function of the memory s_{T−k} and the inputs after it: what is passed
    up to the next layer in the same step is held fixed, for that is in the other layer's part of the memory.

    Rows do not depend on each other, so one backward pass gives the gradients of all of them.

    Args:
        model: any language model; its parameters and mode are left as they are.
        tokens: (B, T), T ≥ 2.
        targets: (B,), the token that follows.
        state: the memory before the first step; None is a fresh one.
        resets: (B, T) boolean, where a document begins: beyond that the gradient is zero. None is nowhere.

    Raises:
        UserError: fewer than 2 steps.
    """
    tokens = as_tokens(tokens, model)
    targets = as_tokens(targets, model, "targets", dims=1)
    B, T = tokens.shape
    if T < 2 or B < 1:
        raise UserError("gradient flow", expected="at least one row of 2 tokens", got=f"{B} rows of {T}")
    resets = None if resets is None else as_resets(resets, B, T, tokens.device)
    with evaluating(model), torch.enable_grad():
        vectors = embed(model, tokens).requires_grad_()  # (B, T, D)
        hidden, memories = _read(model, vectors, None if state is None else detach(state), resets)
        logits = model.output(hidden)[:, 0]  # (B, V)
        loss = F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets, reduction="sum")
        remembered = [leaf for memory in memories for _, leaf in named_leaves(memory)]
        by_input, *by_memory = torch.autograd.grad(loss, [vectors, *remembered])
    inputs = _norms(by_input).T[::-1]  # (T, B), lag 0 first
    names = [name for name, _ in named_leaves(memories[0])] if memories else []
    flows = [
        Flow(name, np.arange(1, T), np.stack([_norms(g) for g in by_memory[index :: len(names)]])[::-1])
        for index, name in enumerate(names)
    ]
    return GradientFlow(Flow("input", np.arange(T), inputs), tuple(flows))


def _read(
    model: LanguageModel, vectors: Tensor, state: State | None, resets: Tensor | None
) -> tuple[Tensor, list[State]]:
    """The last hidden state (B, 1, H), and the memory after every step but the last, where it is made of vectors."""
    if not has_vectors_for_memory(model):
        return read_vectors(model, vectors, state, resets=resets)[0][:, -1:], []
    T = vectors.shape[1]
    begins = [None] * T if resets is None else resets.split(1, dim=1)  # (B, 1) each
    memories: list[State] = []
    for t in range(T):
        hidden, state = read_vectors(model, vectors[:, t : t + 1], state, resets=begins[t])
        memories.append(state)
    return hidden, memories[:-1]  # the loss does not depend on what is remembered after it


def _norms(gradient: Tensor) -> Floats:
    return gradient.double().norm(dim=-1).cpu().numpy()

"""Pooling: one vector for all steps that a row has read, as a running state."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from elman.nn.sequences import Lengths, Resets, as_lengths, as_resets
from elman.state import reset_rows

PoolingKind = Literal["last", "mean", "max", "attention"]


class PoolState(NamedTuple):
    """What a pool remembers of the steps since the last reset; zeros before the first step."""

    value: Tensor  # (B, H): the last or the greatest hidden states, or their weighted sum
    weight: Tensor  # (B, 1): the sum of the steps' weights, or the number of steps
    top: Tensor  # (B, 1): the greatest of attention's scores; weights are relative to it


class Pooling(nn.Module):
    """One vector (B, H) for hidden states (B, T, H); padding, and what is before a row's last reset, count nothing.

        last         h_T          and h_1 of the last `backward_size` units, which read in reverse
        mean         Σ h_t / T
        max          max_t h_t, unit by unit
        attention    Σ a_t h_t    a = softmax_t(v · tanh(W h_t + b))

    A row without steps has zeros. Reading in pieces equals reading whole: the state holds what is needed of the past.
    Attention is that of Yang et al. 2016, "Hierarchical attention networks for document classification".
    """

    def __init__(self, kind: PoolingKind, hidden_size: int, *, backward_size: int = 0) -> None:
        super().__init__()
        self.kind, self.hidden_size, self.backward_size = kind, hidden_size, backward_size
        self.score: nn.Sequential | None = None
        if kind == "attention":
            inner = nn.Linear(hidden_size, hidden_size)
            nn.init.normal_(inner.weight, std=hidden_size**-0.5)
            nn.init.zeros_(inner.bias)
            self.score = nn.Sequential(inner, nn.Tanh(), nn.Linear(hidden_size, 1, bias=False))

    def initial_state(self, batch_size: int, like: Tensor) -> PoolState:
        """Zeros, of at least 32 bits, on the device of `like`."""
        dtype = torch.promote_types(like.dtype, torch.float32)
        sizes = (self.hidden_size, 1, 1)
        return PoolState(*(torch.zeros(batch_size, size, dtype=dtype, device=like.device) for size in sizes))

    def forward(
        self, hidden: Tensor, state: PoolState | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, PoolState]:
        """hidden (B, T, H) -> the vector (B, H) of all steps since a row's last reset, and the state after them."""
        B, T, _ = hidden.shape
        state = self.initial_state(B, hidden) if state is None else state
        counted, begun = counted_steps(B, T, hidden.device, lengths, resets)
        state = state if begun is None else PoolState(*reset_rows(state, begun))
        if not T:
            return self._read(state), state
        hidden = hidden.to(state.value.dtype).masked_fill(~counted[..., None], 0)  # padding may hold anything
        if self.kind == "last":
            state = self._take_ends(hidden, counted, state)
        elif self.kind == "max":
            state = _take_greatest(hidden, counted, state)
        else:
            state = _add_weighted(hidden, counted, self._scores(hidden), state)
        return self._read(state), state

    @torch.no_grad()
    def weights(self, hidden: Tensor, *, lengths: Lengths = None) -> Tensor:
        """How much of the vector is of each step of hidden (B, T, H): (B, T), which sums to 1 over a row's steps.

        Of `max`, the share of the units that are greatest at a step; of `last`, the share of the units at each end.
        """
        B, T, H = hidden.shape
        counted, _ = counted_steps(B, T, hidden.device, lengths, None)
        if self.kind in ("mean", "attention"):
            scores = self._scores(hidden.masked_fill(~counted[..., None], 0)).masked_fill(~counted, -torch.inf)
            return scores.softmax(-1).nan_to_num(0.0)
        if self.kind == "max":
            units = hidden.masked_fill(~counted[..., None], -torch.inf).argmax(1)  # (B, H)
        else:
            first, last = _ends(counted)
            backward = torch.arange(H, device=hidden.device) >= H - self.backward_size
            units = torch.where(backward, first[:, None], last[:, None])
        shares = hidden.new_zeros(B, T).scatter_add_(1, units, hidden.new_full((), 1 / H).expand(B, H))
        return shares.masked_fill(~counted, 0)

    def _scores(self, hidden: Tensor) -> Tensor:
        """(B, T): those of the mean are all 0."""
        if self.score is None:
            return hidden.new_zeros(hidden.shape[:2])
        return self.score(hidden.to(next(self.parameters()).dtype)).squeeze(-1).to(hidden.dtype)

    def _take_ends(self, hidden: Tensor, counted: Tensor, state: PoolState) -> PoolState:
        first, last = (hidden[torch.arange(len(hidden), device=hidden.device), at] for at in _ends(counted))
        steps = counted.sum(1, keepdim=True)
        value = torch.where(steps > 0, last, state.value)
        if self.backward_size:
            forward = self.hidden_size - self.backward_size
            begins = torch.where((state.weight == 0) & (steps > 0), first, state.value)
            value = torch.cat((value[:, :forward], begins[:, forward:]), 1)
        return PoolState(value, state.weight + steps, state.top)

    def _read(self, state: PoolState) -> Tensor:
        if self.kind in ("mean", "attention"):  # a weight is 0, or at least that of the top, which is 1
            return state.value / state.weight.clamp(min=1)
        return state.value


def counted_steps(
    B: int, T: int, device: torch.device, lengths: Lengths, resets: Resets
) -> tuple[Tensor, Tensor | None]:
    """The real steps since each row's last reset (B, T), and the rows (B,) that have one (None: no row)."""
    steps = torch.arange(T, device=device)
    if lengths is None:
        real = torch.ones(B, T, dtype=torch.bool, device=device)
    else:
        real = steps < as_lengths(lengths, B, T, device)[:, None]
    if resets is None:
        return real, None
    fresh = as_resets(resets, B, T, device) & real
    later = fresh.flip(1).cumsum(1).flip(1)  # (B, T): resets at this step and those after it
    return real & (later - fresh.long() == 0), fresh.any(1)


def _ends(counted: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last counted step of each row (B,), 0 where there is none."""
    steps = counted.long()
    return steps.argmax(1), (steps.cumsum(1) * steps).argmax(1)


def _take_greatest(hidden: Tensor, counted: Tensor, state: PoolState) -> PoolState:
    found = hidden.masked_fill(~counted[..., None], -torch.inf).amax(1)
    steps = counted.sum(1, keepdim=True)
    before = state.value.masked_fill(state.weight == 0, -torch.inf)
    weight = state.weight + steps
    return PoolState(torch.maximum(found, before).masked_fill(weight == 0, 0), weight, state.top)


def _add_weighted(hidden: Tensor, counted: Tensor, scores: Tensor, state: PoolState) -> PoolState:
    """Weights are exp(score − top), so that none overflows; the top is no part of the result, nor of its gradient."""
    scores = scores.masked_fill(~counted, -torch.inf)
    before = state.top.masked_fill(state.weight == 0, -torch.inf)
    top = torch.maximum(scores.detach().amax(1, keepdim=True), before)
    top = top.masked_fill(top == -torch.inf, 0)
    kept, weights = (before - top).exp(), (scores - top).exp()  # (B, 1), (B, T)
    value = state.value * kept + (weights.unsqueeze(1) @ hidden).squeeze(1)
    return PoolState(value, state.weight * kept + weights.sum(1, keepdim=True), top)

"""Attention of a recurrent decoder over all hidden states of an encoder, with three scores."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.kernels.additive import additive_scores
from elman.kernels.attention.sight import padding_mask

Score = Literal["additive", "dot", "general"]


def by_source(x: Tensor, sources: int) -> Tensor:
    """Queries (B·W, T, H) of W rows for each of B sources -> (B, W·T, H), for no query depends on another one.

    >>> by_source(torch.zeros(6, 2, 5), 3).shape
    torch.Size([3, 4, 5])
    """
    R, T, H = x.shape
    return x if sources == R else x.reshape(sources, R // sources * T, H)


class Alignment(nn.Module):
    """The weight of each hidden state of an encoder in each step of a decoder.

        a_t = softmax_s score(h_t, m_s)             context_t = Σ_s a_ts m_s

        dot       score(h, m) = h · m                                      Luong, Pham and Manning 2015
        general   score(h, m) = h · W m                                    the same
        additive  score(h, m) = v · tanh(W h + U m)                        Bahdanau, Cho and Bengio 2015

    The keys (W m or U m) depend on the encoder alone: `project` computes them once a source.
    """

    def __init__(self, score: Score, hidden_size: int, memory_size: int) -> None:
        super().__init__()
        if score not in get_args(Score):
            raise UserError("attention", expected=" or ".join(get_args(Score)), got=repr(score))
        if score == "dot" and hidden_size != memory_size:
            raise UserError("dot attention", expected=f"a memory of size {hidden_size}", got=memory_size)
        self.score = score
        if score == "general":
            self.project_memory = nn.Linear(memory_size, hidden_size, bias=False)
        elif score == "additive":
            self.project_memory = nn.Linear(memory_size, hidden_size, bias=False)
            self.project_query = nn.Linear(hidden_size, hidden_size)
            self.energy = nn.Linear(hidden_size, 1, bias=False)

    def project(self, memory: Tensor) -> Tensor:
        """memory (B, S, M) -> the keys (B, S, H)."""
        return memory if self.score == "dot" else self.project_memory(memory)

    def forward(self, query: Tensor, keys: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """query (B·W, T, H), keys (B, S, H), memory (B, S, M), lengths (B,) of the memory -> context (B·W, T, M).

        W neighbours among the rows of the query attend to one source.
        """
        return context(self.weights(query, keys, lengths).to(memory.dtype), memory)

    def weights(self, query: Tensor, keys: Tensor, lengths: Tensor) -> Tensor:
        """The weights (B·W, T, S) of the memory's states in `forward` for the same arguments, in float32 at least."""
        R, T, _ = query.shape
        query = by_source(query, len(keys))  # (B, W·T, H)
        if self.score == "additive":
            scores = additive_scores(self.project_query(query), keys, self.energy.weight[0], lengths)
        else:
            # Backward of `query @ keys.mT` would turn the keys' gradient, the largest tensor where queries are few.
            scores = (keys @ query.contiguous().mT).mT
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        mask = padding_mask(lengths, keys.shape[1])[:, None]
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).view(R, T, keys.shape[1])


def context(weights: Tensor, memory: Tensor) -> Tensor:
    """The weighted sums (B·W, T, M) of the states of memory (B, S, M) by weights (B·W, T, S)."""
    R, T, _ = weights.shape
    return (by_source(weights, len(memory)) @ memory).view(R, T, memory.shape[2])

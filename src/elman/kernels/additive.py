"""The scores of additive attention: in plain torch, and by the compiled core without a tanh for each pair in RAM."""

from __future__ import annotations

import torch
from torch import Tensor

from elman.kernels.attention.sight import padding_mask
from elman.kernels.native import additive as core


def additive_scores(queries: Tensor, keys: Tensor, energy: Tensor, lengths: Tensor | None = None) -> Tensor:
    """score(t, s) = v · tanh(q_t + k_s): queries (B, T, H), keys (B, S, H) and v (H,) -> (B, T, S).

    Keys from `lengths` (B,) on are padding: their scores are zeros, and no value and no gradient shows what they hold.
    The scores are in float32 at least. Bahdanau, Cho and Bengio 2015, "Neural machine translation by jointly learning
    to align and translate".
    """
    if not (queries.is_cpu and core.serves(queries)):
        return reference(queries, keys, energy, lengths)
    exact = torch.promote_types(queries.dtype, torch.float32)
    return core.AdditiveScores.apply(reference, lengths, queries.to(exact), keys.to(exact), energy.to(exact))


def reference(queries: Tensor, keys: Tensor, energy: Tensor, lengths: Tensor | None = None) -> Tensor:
    """`additive_scores` in plain torch."""
    if lengths is not None:
        real = padding_mask(lengths, keys.shape[1])  # (B, S)
        keys = torch.where(real[..., None], keys, 0)
    scores = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1)) @ energy.to(queries.dtype)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores if lengths is None else torch.where(real[:, None], scores, 0)

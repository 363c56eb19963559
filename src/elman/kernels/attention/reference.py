"""Attention in plain torch, as its formula reads; and what torch's fused kernel has in common with that."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.kernels.attention.seam import Attended, AttentionCall, Memory, Rotation
from elman.kernels.attention.sight import remember, visible


def attend(call: AttentionCall) -> Attended:
    """The readable backend."""
    ready = prepare(call, masked=True)
    weights = softmax_of_products(ready)
    if call.kept is not None:
        weights = weights * call.kept
    return Attended((weights @ ready.values).transpose(1, 2), ready.memory)


class Heads(NamedTuple):
    """Queries, and all keys and values, one of each for every head."""

    queries: Tensor  # (B, N, T, D)
    keys: Tensor  # (B, N, C + S, D)
    values: Tensor  # (B, N, C + S, D)
    mask: Tensor | None  # of `visible`
    memory: Memory | None  # after the call


def prepare(call: AttentionCall, *, masked: bool) -> Heads:
    """Norm, rotation, memory and mask of a call; `masked` says that a plainly causal call needs a mask, too."""
    (B, T, N, _), (_, S, G, _) = call.queries.shape, call.keys.shape
    dtype = call.values.dtype if call.memory is None else call.memory[0].dtype
    q = _turned(call.queries, call.gains[0], call, dtype)
    k = _turned(call.keys, call.gains[1], call, dtype)
    v = call.values.to(dtype).transpose(1, 2)
    sight, slots, after = call.sight, 0, None
    position = sight.position
    if position is None:
        position = torch.zeros(B, dtype=torch.int64, device=q.device)
    if call.memory is not None:
        old_keys, old_values = call.memory
        slots = old_keys.shape[2]
        after = remember(old_keys, k, sight, position), remember(old_values, v, sight, position)
        k, v = torch.cat((old_keys, k), dim=2), torch.cat((old_values, v), dim=2)
    mask = sight.mask
    if mask is None and (masked or not sight.is_plain(T, slots)):
        mask = visible(sight, position, T, S, slots)
    if N != G:
        k, v = (part.repeat_interleave(N // G, dim=1) for part in (k, v))
    return Heads(q, k, v, mask, after)


def softmax_of_products(ready: Heads) -> Tensor:
    """softmax(q kᵀ / √D) over the keys where the mask is True, (B, N, T, C + S); zeros where a query sees no key."""
    scores = ready.queries @ ready.keys.transpose(2, 3) / ready.queries.shape[3] ** 0.5
    if ready.mask is None:
        return scores.softmax(-1)
    seeing = ready.mask.any(-1, keepdim=True)
    return scores.masked_fill(~ready.mask, -torch.inf).masked_fill(~seeing, 0).softmax(-1) * seeing


def _turned(x: Tensor, gain: Tensor | None, call: AttentionCall, dtype: torch.dtype) -> Tensor:
    """Queries or keys (B, T, N, D), normalised and turned -> (B, N, T, D)."""
    if gain is not None:
        x = F.layer_norm(x, gain.shape, gain, None, call.eps)
    x = x.to(dtype)
    return (x if call.rotation is None else rotate(x, call.rotation)).transpose(1, 2)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair (x_i, x_{i+D/2}) by its step's angle.

        y_i        = x_i cos a_i − x_{i+D/2} sin a_i
        y_{i+D/2}  = x_{i+D/2} cos a_i + x_i sin a_i

    x (B, T, N, D). The dot product of two turned vectors depends on their distance alone. Su et al. 2021,
    "RoFormer: enhanced Transformer with rotary position embedding".
    """
    cos, sin = (part.to(x.dtype).unsqueeze(2) for part in rotation)
    turned = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * torch.cat((cos, cos), dim=-1), turned, torch.cat((-sin, sin), dim=-1))

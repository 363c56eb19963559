"""Self-attention with a memory, the keys and values of earlier steps; and attention to another sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elman.nn.alignment import by_source
from elman.nn.positions import rotate


def causal_mask(positions: Tensor, cached: int, window: int | None = None) -> Tensor:
    """True where a new step may attend to one of the C cached and T new keys.

    positions (B, T): steps since the row's last reset (see `step_positions`); window W: a step attends to
    itself and the W−1 steps before. Returns (B, 1, T, C+T), the 1 standing for every head.

    The cache is right-aligned: its last entry is the step before the first new one. So a distance in the row of keys
    is a distance in time, and one rule serves causality, resets, the window and the unused entries of a cache: a step
    at position p sees the keys at distances 0 … min(p, W−1), of which there is at least one.

    >>> causal_mask(torch.tensor([[1, 2, 0]]), cached=2)[0, 0].long()
    tensor([[0, 1, 1, 0, 0],
            [0, 1, 1, 1, 0],
            [0, 0, 0, 0, 1]])
    """
    T = positions.shape[1]
    query = torch.arange(cached, cached + T, device=positions.device)
    key = torch.arange(cached + T, device=positions.device)
    distance = query[:, None] - key  # (T, C+T)
    reach = positions if window is None else positions.clamp(max=window - 1)
    return ((distance >= 0) & (distance <= reach[..., None])).unsqueeze(1)


def dot_product_weights(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q kᵀ / √D) over the keys where the mask is True; torch's fused attention does not return the weights.

    queries (B, N, T, D), keys (B, N, S, D), mask that broadcasts to (B, N, T, S) or None -> (B, N, T, S).
    """
    scores = queries @ keys.transpose(2, 3) / queries.shape[3] ** 0.5
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


class Attention(nn.Module):
    """Multi-head self-attention over the steps read now and those in the cache.

        q, k, v = split(W_qkv x + b_qkv)                 per head: softmax(q kᵀ / √(H/N)) v
        y = W_out [head_1; …; head_N] + b_out

    Vaswani et al. 2017, "Attention is all you need". With `qk_norm`, queries and keys pass a LayerNorm over the head
    size first, which bounds the logits and so permits high learning rates (Dehghani et al. 2023, "Scaling vision
    transformers to 22 billion parameters"). Dropout of the weights would keep torch from its fused attention on a CPU.
    """

    def __init__(self, hidden_size: int, num_heads: int, *, qk_norm: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, hidden_size // num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.query_norm = nn.LayerNorm(self.head_size, bias=False) if qk_norm else nn.Identity()
        self.key_norm = nn.LayerNorm(self.head_size, bias=False) if qk_norm else nn.Identity()

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        causal: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, H), keys and values (B, N, C, H/N) -> y (B, T, H), keys and values (B, N, C+T, H/N).

        mask (B, 1, T, C+T) of `causal_mask`, or (B, 1, 1, S), True where there is no padding; With None, attention is
        causal over an empty cache, which torch computes faster; with `causal=False` as well (an encoder, or one step),
        nothing is masked. Keys are cached after rotation, for the position of a key stays.
        """
        q, keys, values = self._project(x, keys, values, rotation)
        # On a CPU, attention's backward pass takes two to three times as long in bfloat16 as in float32.
        with torch.autocast("cpu", enabled=False):
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, is_causal=causal and mask is None)
        return self.out(y.transpose(1, 2).flatten(2)), keys, values

    def weights(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        causal: bool = True,
    ) -> Tensor:
        """The weights (B, N, T, C+T) of the values in `forward` for the same arguments."""
        q, keys, _ = self._project(x, keys, values, rotation)
        if mask is None and causal:
            mask = torch.ones(q.shape[2], keys.shape[2], dtype=torch.bool, device=x.device).tril()
        return dot_product_weights(q, keys, mask)

    def _project(
        self, x: Tensor, keys: Tensor, values: Tensor, rotation: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The queries (B, N, T, H/N), and the keys and values grown by T."""
        B, T, _ = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.num_heads, self.head_size).permute(2, 0, 3, 1, 4)  # (B, N, T, H/N)
        q, k, v = self.query_norm(q).to(keys.dtype), self.key_norm(k).to(keys.dtype), v.to(keys.dtype)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        return q, torch.cat((keys, k), dim=2), torch.cat((values, v), dim=2)


class CrossAttention(nn.Module):
    """Multi-head attention of a decoder's steps to an encoder's outputs.

        q = W_q x,  k, v = split(W_kv m)                 per head: softmax(q kᵀ / √(H/N)) v
        y = W_out [head_1; …; head_N] + b_out

    Keys and values depend on the source alone: `project` makes them once. `qk_norm` as in `Attention`.
    """

    def __init__(self, hidden_size: int, num_heads: int, *, qk_norm: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_size = num_heads, hidden_size // num_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.query_norm = nn.LayerNorm(self.head_size, bias=False) if qk_norm else nn.Identity()
        self.key_norm = nn.LayerNorm(self.head_size, bias=False) if qk_norm else nn.Identity()

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """memory (B, S, H) -> keys and values (B, N, S, H/N)."""
        B, S, _ = memory.shape
        k, v = self.key_value(memory).view(B, S, 2, self.num_heads, self.head_size).permute(2, 0, 3, 1, 4)
        return self.key_norm(k).to(memory.dtype), v.to(memory.dtype)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """x (B·W, T, H), keys and values of `project`, mask (B, 1, 1, S) -> (B·W, T, H).

        W neighbours among the rows of x attend to one source.
        """
        q = self._queries(by_source(x, len(keys))).to(keys.dtype)  # (B, N, W·T, H/N)
        with torch.autocast("cpu", enabled=False):  # as in `Attention`
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(x.shape))

    def weights(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """The weights (B·W, N, T, S) of the values in `forward` for the same arguments."""
        q = self._queries(by_source(x, len(keys))).to(keys.dtype)
        weights = dot_product_weights(q, keys, mask).transpose(1, 2)  # (B, W·T, N, S)
        return weights.reshape(*x.shape[:2], *weights.shape[2:]).transpose(1, 2)

    def _queries(self, x: Tensor) -> Tensor:
        B, T, _ = x.shape
        return self.query_norm(self.query(x).view(B, T, self.num_heads, self.head_size).transpose(1, 2))

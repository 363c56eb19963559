"""Self-attention with a memory, the keys and values of earlier steps; and attention to another sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from elman.kernels.attention.backends import attend
from elman.kernels.attention.reference import prepare, softmax_of_products
from elman.kernels.attention.seam import AttentionCall, Gains, Memory, Rotation
from elman.kernels.attention.sight import Sight, ages
from elman.kernels.dense import normed_linear
from elman.nn.alignment import by_source
from elman.nn.dropout import Dropout

CAUSAL = Sight()


class Attention(nn.Module):
    """Multi-head self-attention over the steps read now and those in memory.

        q, k, v = split(W_qkv x + b_qkv)                 per head: softmax(q kᵀ / √(H/N)) v
        y = W_out [head_1; …; head_N] + b_out

    Vaswani et al. 2017, "Attention is all you need". With `qk_norm`, queries and keys pass a LayerNorm over the head
    size first, which bounds the logits and so permits high learning rates (Dehghani et al. 2023, "Scaling vision
    transformers to 22 billion parameters").
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
        memory: Memory | None = None,
        sight: Sight = CAUSAL,
        *,
        rotation: Rotation | None = None,
        in_place: bool = False,
        norm: nn.LayerNorm | None = None,
        onto: Tensor | None = None,
        dropout: Dropout | None = None,
    ) -> tuple[Tensor, Memory | None]:
        """x (B, T, H) -> y (B, T, H), and the memory after the call where there was one (see `attend`).

        With `norm`, x passes it first; with `onto` (B, T, H) and `dropout`, the result is onto + dropout(y).
        """
        y, after = attend(self._call(x, memory, sight, rotation, norm)._replace(in_place=in_place))
        return _end(y.flatten(2), self.out, onto, dropout), after

    def weights(
        self,
        x: Tensor,
        memory: Memory | None = None,
        sight: Sight = CAUSAL,
        *,
        rotation: Rotation | None = None,
        norm: nn.LayerNorm | None = None,
        **_: object,
    ) -> Tensor:
        """The weights (B, N, T, C + T) of the values in `forward` for the same arguments, the last step's last."""
        call = self._call(x, memory, sight, rotation, norm)
        weights = softmax_of_products(prepare(call, masked=True))
        if memory is None or sight.position is None:
            return weights
        C = memory[0].shape[2]
        slots = ages(sight.position, C, sight.window).argsort(descending=True)  # the oldest first
        new = torch.arange(C, weights.shape[3], device=slots.device).expand(len(slots), -1)
        order = torch.cat((slots, new), dim=1)[:, None, None]
        return weights.gather(3, order.expand_as(weights))

    @property
    def gains(self) -> Gains:
        """Of the norms of queries and of new keys."""
        return getattr(self.query_norm, "weight", None), getattr(self.key_norm, "weight", None)

    def _call(
        self,
        x: Tensor,
        memory: Memory | None,
        sight: Sight,
        rotation: Rotation | None,
        norm: nn.LayerNorm | None,
    ) -> AttentionCall:
        B, T, _ = x.shape
        N = self.num_heads
        together = normed_linear(x, norm, self.qkv).view(B, T, 3 * N, self.head_size)
        return AttentionCall(
            together[:, :, :N],
            together[:, :, N : 2 * N],
            together[:, :, 2 * N :],
            memory,
            sight,
            rotation,
            self.gains,
            together=together,
        )


class SourceMemory(NamedTuple):
    """The keys and values of an encoder's outputs, made once for a source, and which of them a decoder sees."""

    keys: Tensor  # (B, N, S, H/N), after their norm
    values: Tensor  # (B, N, S, H/N)
    sight: Sight  # not causal


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
        """memory (B, S, H) -> keys and values (B, N, S, H/N), under autocast in its dtype, as queries are."""
        B, S, _ = memory.shape
        k, v = normed_linear(memory, None, self.key_value).view(B, S, 2, self.num_heads, self.head_size).unbind(2)
        return self.key_norm(k).to(k.dtype).transpose(1, 2), v.transpose(1, 2)

    def forward(
        self,
        x: Tensor,
        source: SourceMemory,
        *,
        norm: nn.LayerNorm | None = None,
        onto: Tensor | None = None,
        dropout: Dropout | None = None,
    ) -> Tensor:
        """x (B·W, T, H) -> (B·W, T, H), for W neighbours attend to one source; the rest is as in `Attention`."""
        y, _ = attend(self._call(x, source, norm))
        return _end(y.reshape(x.shape), self.out, onto, dropout)

    def weights(self, x: Tensor, source: SourceMemory, *, norm: nn.LayerNorm | None = None, **_: object) -> Tensor:
        """The weights (B·W, N, T, S) of the values in `forward` for the same arguments."""
        weights = softmax_of_products(prepare(self._call(x, source, norm), masked=True)).transpose(1, 2)
        return weights.reshape(*x.shape[:2], *weights.shape[2:]).transpose(1, 2)  # from (B, W·T, N, S)

    @property
    def gains(self) -> Gains:
        """Of the norm of queries; keys have passed theirs."""
        return getattr(self.query_norm, "weight", None), None

    def _call(self, x: Tensor, source: SourceMemory, norm: nn.LayerNorm | None) -> AttentionCall:
        x = by_source(x, len(source.keys))
        q = normed_linear(x, norm, self.query).unflatten(2, (self.num_heads, self.head_size))
        keys, values = source.keys.transpose(1, 2), source.values.transpose(1, 2)
        return AttentionCall(q, keys, values, None, source.sight, None, self.gains)


def _end(a: Tensor, linear: nn.Linear, onto: Tensor | None, dropout: Dropout | None) -> Tensor:
    if onto is None or dropout is None:
        return linear(a)
    return dropout.add(onto, a, linear)

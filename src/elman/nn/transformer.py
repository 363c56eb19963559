"""The Transformer's layer: attention and a feed-forward network, each on a residual branch."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from elman.kernels.attention.seam import Memory, Rotation
from elman.kernels.attention.sight import Sight
from elman.kernels.dense import normed_linear
from elman.nn.attention import CAUSAL, Attention, CrossAttention, SourceMemory
from elman.nn.dropout import Dropout

Norm = Literal["pre", "post"]


def feedforward(hidden_size: int, inner_size: int) -> nn.Sequential:
    """The same two-layer network at every step: W_out gelu(W_in x + b_in) + b_out."""
    return nn.Sequential(nn.Linear(hidden_size, inner_size), nn.GELU(), nn.Linear(inner_size, hidden_size))


class TransformerLayer(nn.Module):
    """A layer with its norms inside the residual branches (`norm="pre"`), or on the sum (`norm="post"`).

        pre    x ← x + dropout(branch(norm(x)))       branch = attention, attention to a source, feedforward
        post   x ← norm(x + dropout(branch(x)))

    Post-norm is Vaswani et al.'s (2017, "Attention is all you need"); Xiong et al. 2020, "On layer normalization in
    the Transformer architecture", on pre-norm. The last matrix of each branch begins at zero, so a pre-norm layer
    begins as the identity (Zhang et al. 2019, "Fixup initialization"); the first ones begin with outputs of unit
    variance. `cross` adds the branch that attends to an encoder's outputs. With `recompute`, a call keeps its inputs
    alone for its backward pass, which computes everything between them and the outputs again, with the same dropout
    (Chen et al. 2016, "Training deep nets with sublinear memory cost").
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        feedforward_size: int,
        *,
        dropout: float,
        qk_norm: bool,
        norm: Norm = "pre",
        cross: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.norm, self.recompute = norm, recompute
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.attention = Attention(hidden_size, num_heads, qk_norm=qk_norm)
        if cross:
            self.cross_norm = nn.LayerNorm(hidden_size)
            self.cross_attention = CrossAttention(hidden_size, num_heads, qk_norm=qk_norm)
        self.feedforward_norm = nn.LayerNorm(hidden_size)
        self.feedforward = feedforward(hidden_size, feedforward_size)
        self.dropout = Dropout(dropout)
        first, _, last = cast(tuple[nn.Linear, nn.Module, nn.Linear], tuple(self.feedforward))
        begins, ends = [self.attention.qkv, first], [self.attention.out, last]
        if cross:
            begins += [self.cross_attention.query, self.cross_attention.key_value]
            ends.append(self.cross_attention.out)
        for linear in begins:  # their inputs are normalized
            nn.init.normal_(linear.weight, std=hidden_size**-0.5)
            nn.init.zeros_(linear.bias)
        for linear in ends:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        x: Tensor,
        memory: Memory | None = None,
        sight: Sight = CAUSAL,
        *,
        rotation: Rotation | None = None,
        source: SourceMemory | None = None,
        attentions: list[Tensor] | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, Memory | None]:
        """x (B, T, H) -> (B, T, H), and the memory after the call (see `Attention`).

        The weights (B, N, T, S) of the attention to the source are appended to the list `attentions`, where given.
        """
        if not self.recompute or not torch.is_grad_enabled() or attentions is not None:
            return self._read(x, memory, sight, rotation, source, attentions, in_place)
        found: tuple[Tensor, Memory | None] = checkpoint(
            self._read, x, memory, sight, rotation, source, use_reentrant=False, preserve_rng_state=self.dropout.p > 0
        )
        return found

    def _read(
        self,
        x: Tensor,
        memory: Memory | None,
        sight: Sight,
        rotation: Rotation | None,
        source: SourceMemory | None,
        attentions: list[Tensor] | None = None,
        in_place: bool = False,
    ) -> tuple[Tensor, Memory | None]:
        norm = self._before(self.attention_norm)
        x, memory = self.attention(
            x, memory, sight, rotation=rotation, in_place=in_place, norm=norm, onto=x, dropout=self.dropout
        )
        x = self._after(x, self.attention_norm)
        if source is not None:
            norm = self._before(self.cross_norm)
            if attentions is not None:
                attentions.append(self.cross_attention.weights(x, source, norm=norm))
            x = self.cross_attention(x, source, norm=norm, onto=x, dropout=self.dropout)
            x = self._after(x, self.cross_norm)
        first, _, last = cast(tuple[nn.Linear, nn.Module, nn.Linear], tuple(self.feedforward))
        inner = normed_linear(x, self._before(self.feedforward_norm), first, "gelu")
        x = self.dropout.add(x, inner, last)
        return self._after(x, self.feedforward_norm), memory

    def project(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values of a source (B, S, H), for the attention to it; see `CrossAttention.project`."""
        return self.cross_attention.project(source)

    def _before(self, norm: nn.LayerNorm) -> nn.LayerNorm | None:
        return norm if self.norm == "pre" else None

    def _after(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        return norm(x) if self.norm == "post" else x

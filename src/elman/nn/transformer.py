"""The Transformer's layer: attention and a feed-forward network, each on a residual branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, cast

from torch import Tensor, nn

from elman.nn.attention import Attention, CrossAttention
from elman.nn.dropout import Dropout

Norm = Literal["pre", "post"]


def feedforward(hidden_size: int, inner_size: int) -> nn.Sequential:
    """The same two-layer network at every step: W_out gelu(W_in x + b_in) + b_out."""
    return nn.Sequential(nn.Linear(hidden_size, inner_size), nn.GELU(), nn.Linear(inner_size, hidden_size))


class SourceMemory(NamedTuple):
    """The keys and values of an encoder's outputs, projected once a source."""

    keys: Tensor  # (B, N, S, H/N)
    values: Tensor  # (B, N, S, H/N)
    mask: Tensor | None  # (B, 1, 1, S), True where there is a source; None: everywhere


class TransformerLayer(nn.Module):
    """A layer with its norms inside the residual branches (`norm="pre"`), or on the sum (`norm="post"`).

        pre    x ← x + dropout(branch(norm(x)))       branch = attention, attention to a source, feedforward
        post   x ← norm(x + dropout(branch(x)))

    Post-norm is Vaswani et al.'s (2017, "Attention is all you need"); Xiong et al. 2020, "On layer normalization in
    the Transformer architecture", on pre-norm. The last matrix of each branch begins at zero, so a pre-norm layer
    begins as the identity (Zhang et al. 2019, "Fixup initialization"); the first ones begin with outputs of unit
    variance. `cross` adds the branch that attends to an encoder's outputs.
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
    ) -> None:
        super().__init__()
        self.norm = norm
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
        keys: Tensor,
        values: Tensor,
        *,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        causal: bool = True,
        source: SourceMemory | None = None,
        attentions: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, H) -> (B, T, H), beside the keys and values grown by T (see `Attention`).

        The weights (B, N, T, S) of the attention to the source are appended to the list `attentions`, where given.
        """

        def attend(x: Tensor) -> Tensor:
            nonlocal keys, values
            y, keys, values = self.attention(x, keys, values, rotation=rotation, mask=mask, causal=causal)
            return y

        def attend_source(x: Tensor) -> Tensor:
            assert source is not None
            if attentions is not None:
                attentions.append(self.cross_attention.weights(x, *source))
            return self.cross_attention(x, *source)

        x = self._branch(x, self.attention_norm, attend)
        if source is not None:
            x = self._branch(x, self.cross_norm, attend_source)
        return self._branch(x, self.feedforward_norm, self.feedforward), keys, values

    def _branch(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm == "pre":
            return x + self.dropout(branch(norm(x)))
        return norm(x + self.dropout(branch(x)))

"""The Transformer's layer: attention and a feed-forward network, each on a residual branch."""

from __future__ import annotations

from torch import Tensor, nn

from elman.nn.attention import Attention


def feedforward(hidden_size: int, inner_size: int) -> nn.Sequential:
    """The same two-layer network at every step: W_out gelu(W_in x + b_in) + b_out."""
    return nn.Sequential(nn.Linear(hidden_size, inner_size), nn.GELU(), nn.Linear(inner_size, hidden_size))


class TransformerLayer(nn.Module):
    """A decoder layer with its norms inside the residual branches.

        x ← x + dropout(attention(norm(x)))
        x ← x + dropout(feedforward(norm(x)))

    Xiong et al. 2020, "On layer normalization in the Transformer architecture" (pre-norm). The last matrix of
    each branch begins at zero, so the layer begins as the identity (Zhang et al. 2019, "Fixup initialization");
    the first one begins with outputs of unit variance.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, *, dropout: float, qk_norm: bool
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.attention = Attention(hidden_size, num_heads, qk_norm=qk_norm)
        self.feedforward_norm = nn.LayerNorm(hidden_size)
        self.feedforward = feedforward(hidden_size, feedforward_size)
        self.dropout = nn.Dropout(dropout)
        begin, end = self.feedforward[0], self.feedforward[-1]
        assert isinstance(begin, nn.Linear)
        assert isinstance(end, nn.Linear)
        for linear in (self.attention.qkv, begin):  # both read what is normalised
            nn.init.normal_(linear.weight, std=hidden_size**-0.5)
            nn.init.zeros_(linear.bias)
        for linear in (self.attention.out, end):
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
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, H) -> (B, T, H), beside the keys and values grown by T (see `Attention`)."""
        y, keys, values = self.attention(self.attention_norm(x), keys, values, rotation=rotation, mask=mask)
        x = x + self.dropout(y)
        return x + self.dropout(self.feedforward(self.feedforward_norm(x))), keys, values

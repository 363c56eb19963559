"""Random numbers of training: dropout by number, by step, by word, and the noise of a recurrent layer's call."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.kernels import QUIET, Noise


def check_probability(name: str, p: float) -> None:
    """Raise `UserError` unless p is a dropout probability, 0 ≤ p < 1."""
    if not 0 <= p < 1:
        raise UserError(name, expected="a probability of at least 0 and below 1", got=p)


class Dropout(nn.Module):
    """Every number by itself is zero with probability p, and the others are scaled by 1/(1 − p).

    On a CPU almost four times as fast as `torch.nn.Dropout`, which draws 24 random bits for each number: here 64 bits
    serve four numbers. So p is rounded, in the scale too, which keeps the expectation: see `in_16_bits`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        check_probability("dropout", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        kept = in_16_bits(1 - self.p)
        return x * coins(x, *x.shape, p=kept).mul_(1 / kept)

    def add(self, x: Tensor, a: Tensor, linear: nn.Linear) -> Tensor:
        """x + dropout(linear(a)), the end of a residual branch: x (..., H), a (..., K) -> (..., H).

        The same draws as those of `forward`, which the compiled core compares where it adds.
        """
        from elman.kernels.dense import Kept, added_linear  # which most models do without

        if not self.training or self.p == 0:
            return added_linear(x, a, linear)
        kept = in_16_bits(1 - self.p)
        if not are_in_16_bits(x, kept):
            return x + self(linear(a))
        return added_linear(x, a, linear, Kept(bits_of_coins(x.device, x.numel()), least_bits(kept), 1 / kept))

    def extra_repr(self) -> str:
        """For `repr`."""
        return f"p={self.p}"


def locked_dropout(x: Tensor, p: float, *, training: bool, time_dim: int = 0) -> Tensor:
    """Variational dropout: every step of a row loses the same units.

        y_t = m ⊙ x_t / (1 − p),  m ~ Bernoulli(1 − p), drawn once a row

    x (T, B, H), or (B, T, H) with `time_dim=1`. Gal and Ghahramani 2016, "A theoretically grounded
    application of dropout in recurrent neural networks".
    """
    if not training or p == 0:
        return x
    shape = list(x.shape)
    shape[time_dim] = 1
    return x * dropout_mask(x, *shape, p=p)


def embedding_dropout(embedded: Tensor, tokens: Tensor, vocab_size: int, p: float, *, training: bool) -> Tensor:
    """Drop whole words: a dropped word is zero wherever the word occurs in the batch.

    The same as dropping rows of the embedding matrix (and scaling the others by 1/(1 − p)), done to the rows
    that were looked up: embedded (..., D), the rows at tokens (...). Merity et al. 2018, "Regularizing and
    optimizing LSTM language models"; Gal and Ghahramani 2016.
    """
    if not training or p == 0:
        return embedded
    return embedded * dropout_mask(embedded, vocab_size, p=p)[tokens].unsqueeze(-1)


def dropout_mask(like: Tensor, *shape: int, p: float) -> Tensor:
    """0 with probability p, else 1/(1 − p), as `like` in dtype and device: a mask that serves many numbers."""
    return like.new_empty(shape).bernoulli_(1 - p).div_(1 - p)


def in_16_bits(p: float) -> float:
    """The multiple of 1/65,536 next to p, or p itself where p is less than 1/256 from 0 or 1.

    So neither p nor 1 − p is changed by more than 0.2 %, and neither becomes 0.

    >>> in_16_bits(0.25), in_16_bits(0.1), in_16_bits(1 - 1e-7)
    (0.25, 0.100006103515625, 0.9999999)
    """
    return round(p * 2**16) / 2**16 if 2**-8 <= p <= 1 - 2**-8 else p


def coins(like: Tensor, *shape: int, p: float) -> Tensor:
    """1 with the probability `in_16_bits(p)`, else 0, as `like` in dtype and device.

    On a CPU every coin is 16 random bits, four from a draw of 64: a quarter of the time of `bernoulli_`, which took a
    third of a training step of small layers with zoneout.
    """
    p = in_16_bits(p)
    if not are_in_16_bits(like, p):
        return like.new_empty(shape).bernoulli_(p)
    bits = bits_of_coins(like.device, math.prod(shape))
    # In place: making booleans, and numbers of the booleans, would take as long as drawing the bits.
    return bits.ge_(least_bits(p)).to(like.dtype).view(shape)


def are_in_16_bits(like: Tensor, p: float) -> bool:
    """Whether coins of the probability p, one of `in_16_bits`, are drawn as 16 random bits each."""
    compiled = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    heads = p * 2**16
    return like.device.type == "cpu" and not compiled and heads.is_integer() and 0 < heads < 2**16


def bits_of_coins(device: torch.device, size: int) -> Tensor:
    """The random bits of so many coins, int16."""
    from elman.kernels.native.draws import draw_bits  # which most models do without

    numbers = torch.empty((size + 3) // 4, dtype=torch.int64, device=device)
    return draw_bits(numbers).view(torch.int16)[:size]


def least_bits(p: float) -> int:
    """A coin is 1 where its bits are at least so: with the probability p, of the 2^16 numbers below 2^15."""
    return 2**15 - int(p * 2**16)


def draw(
    like: Tensor,
    sizes: tuple[int, int, int, int],
    recurrent_dropout: float,
    zoneout: float,
    zoneout_cell: float,
    *,
    training: bool,
) -> Noise:
    """The noise of one layer in one direction, of `sizes` T, B, P and H, in the dtype of `like`.

    Recurrent dropout has one mask for all steps (Gal and Ghahramani 2016). The share of zoneout (Krueger et al. 2017,
    arXiv:1606.01305) is 1 or 0 in training, and its expectation in evaluation.
    """
    if not (recurrent_dropout or zoneout or zoneout_cell):
        return QUIET
    T, B, P, H = sizes

    def share(size: int, p: float) -> Tensor | None:
        if not p:
            return None
        return coins(like, T, B, size, p=p) if training else like.new_full((1, 1, 1), p).expand(T, B, size)

    mask = dropout_mask(like, B, P, p=recurrent_dropout) if training and recurrent_dropout else None
    return Noise(mask, share(P, zoneout), share(H, zoneout_cell))

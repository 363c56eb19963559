"""Where attention looks: its maps, how wide they are, and the heads of a known kind.

Weights are arrays (B, N, T, S): rows of the batch, heads, query steps T, key steps S; each row over S sums to 1. The
last key belongs to the last query: with a memory of C steps, S = C + T.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elman.arrays import Floats
from elman.errors import UserError
from elman.lens.observe import calls_of, evaluating
from elman.nn.attention import Attention, CrossAttention
from elman.nn.sequences import Integers, as_tokens

AttentionWeights = npt.NDArray[np.floating]  # (B, N, T, S)

LAYERS = (Attention, CrossAttention, nn.MultiheadAttention)
WRONG_BOUND = 0.01  # the probability that any head at all has a lower bound above its true score
LEAST = 0.1  # the least share of the way from chance to 1 that makes a head stand out


@dataclass(frozen=True)
class AttentionScores:
    """Scores of each head of a layer, as means over steps and rows; each (N,).

    >>> first = np.zeros((1, 1, 4, 4))
    >>> first[..., 0] = 1  # every step looks at the first
    >>> scores = score_attention(first)
    >>> scores.entropy, scores.distance
    (array([0.]), array([1.5]))
    """

    entropy: Floats  # nats; e^entropy is about how many steps share the attention
    distance: Floats  # steps back


@dataclass(frozen=True)
class HeadScores:
    """A score from 0 to 1 of every head, in rows that share no text, and the score by chance.

    One of many heads always has the highest score. A head stands out only where its score is well above chance,
    whichever rows had been drawn.

    >>> scores = HeadScores(rows=np.array([[[0.9, 0.1]], [[0.8, 0.2]], [[0.9, 0.1]]]), chance=0.1)  # of 3 rows
    >>> scores.mean.round(2), scores.stands_out
    (array([[0.87, 0.13]]), array([[ True, False]]))
    """

    rows: Floats  # (B, L, N): rows, layers, heads
    chance: float

    @property
    def mean(self) -> Floats:
        """The mean over rows: (L, N)."""
        return self.rows.mean(0)

    @property
    def low(self) -> Floats:
        """Lower bounds of the true means, (L, N); the probability that any of them is wrong is about `WRONG_BOUND`.

            mean − t s/√B        t: Student's, one-sided, at WRONG_BOUND/(L N) (Bonferroni)

        The probability is exact for scores that are normally distributed over the rows. With one row, bounds are −∞.
        """
        B = len(self.rows)
        if B < 2:
            return np.full(self.rows.shape[1:], -np.inf)
        heads = self.rows[0].size
        return self.mean - student(WRONG_BOUND / heads, B - 1) * self.rows.std(0, ddof=1) / B**0.5

    @property
    def stands_out(self) -> npt.NDArray[np.bool_]:
        """Which heads' scores are well above chance, (L, N): low > chance + LEAST (1 − chance)."""
        return self.low > self.chance + LEAST * (1 - self.chance)


def attention_weights(model: nn.Module, read: Callable[[], object]) -> list[AttentionWeights]:
    """The weights (B, N, T, S) of every attention layer in `model`, in the order in which `read()` calls them.

    `model` is any module that holds, or is, attention layers of elman's models (`Attention`, and `CrossAttention` to a
    source) or `torch.nn.MultiheadAttention`. The model runs in eval mode and is left as it was; `read` calls it, and is
    called once. Raises `UserError` where no such layer is called.

    >>> from elman.models import build
    >>> model = build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2, "num_layers": 3})
    >>> weights = attention_weights(model, lambda: model(torch.randint(9, (1, 5))))
    >>> len(weights), weights[0].shape, bool(np.allclose(weights[0].sum(-1), 1))
    (3, (1, 2, 5, 5), True)
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fast path calls no layer
    try:
        with evaluating(model), torch.no_grad():
            calls = calls_of(model, LAYERS, read)
            if not calls:
                known = "elman's, or torch.nn.MultiheadAttention, that `read` calls"
                raise UserError("there is no attention in the model", expected=known)
            return [_weights(*call).double().cpu().numpy() for call in calls]
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _weights(layer: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    """The weights (B, N, T, S) of a layer for the arguments of a call."""
    if not isinstance(layer, nn.MultiheadAttention):
        return layer.weights(*arguments, **options)
    call = inspect.signature(layer.forward).bind(*arguments, **options)
    call.arguments |= {"need_weights": True, "average_attn_weights": False}
    weights = layer(*call.args, **call.kwargs)[1]
    return weights if weights.dim() == 4 else weights[None]


def score_attention(weights: AttentionWeights) -> AttentionScores:
    """Entropy and mean distance of every head, for weights (B, N, T, S).

        entropy   −Σ_s a_s ln a_s              distance   Σ_s a_s (t − s)

    >>> uniform = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    >>> scores = score_attention(uniform[None, None])
    >>> scores.distance  # (0 + 1/2 + 1 + 3/2) / 4
    array([0.75])
    """
    _, _, T, S = weights.shape
    back = np.arange(S - T, S)[:, None] - np.arange(S)  # (T, S)
    return AttentionScores(entropy(weights).mean((0, 2)), (weights * back).sum(-1).mean((0, 2)))


def entropy(weights: AttentionWeights) -> Floats:
    """−Σ_s a_s ln a_s of weights (..., S), in nats."""
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)


def window_lags(window: int, num_layers: int) -> list[int]:
    """The lags from which on a gradient through bounded attention needs one layer more: j (W − 1) + 1, j = 1 … L.

    A layer looks W − 1 steps back, so that lag k takes at least k / (W − 1) layers. From the last of these lags on, it
    would take more than L layers, and the gradient is zero.

    >>> window_lags(64, 4)
    [64, 127, 190, 253]
    """
    return sorted({layers * (window - 1) + 1 for layers in range(1, num_layers + 1)})


def steps_seen(resets: npt.NDArray[np.bool_], window: int | None = None) -> npt.NDArray[np.int64]:
    """How many steps each step of rows (B, T) sees: itself and those before it in its document and in the window.

    `resets` (B, T) are where documents begin. A head that looks evenly gives each of n steps a weight of 1 / n.

    >>> steps_seen(np.array([[False, False, False, True, False]]), window=2)
    array([[1, 2, 2, 1, 2]])
    """
    places = np.arange(resets.shape[1])
    begins = np.maximum.accumulate(np.where(resets, places, 0), axis=1)
    return np.minimum(places - begins + 1, resets.shape[1] if window is None else window)


def previous_token_scores(every: Sequence[AttentionWeights], seen: npt.NDArray[np.int64]) -> HeadScores:
    """The mean weight of every head on the step before, for each layer's weights (B, N, T, T) and `steps_seen` (B, T).

    Steps that see themselves alone are left out; a row of such steps has a score and a chance of 0.

    >>> even = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    >>> scores = previous_token_scores([even[None, None]], steps_seen(np.zeros((1, 4), bool)))
    >>> scores.mean.round(3), round(scores.chance, 3)  # (1/2 + 1/3 + 1/4) / 3: an even look is chance
    (array([[0.361]]), 0.361)
    """
    asked = seen[:, 1:] > 1  # (B, T − 1)
    counts = np.maximum(asked.sum(1), 1)  # (B,)
    before = np.stack([weights.diagonal(-1, 2, 3) for weights in every], axis=1)  # (B, L, N, T − 1)
    rows = (before * asked[:, None, None]).sum(-1) / counts[:, None, None]
    return HeadScores(rows, float(((asked / seen[:, 1:]).sum(1) / counts).mean()))


def induction_scores(
    model: nn.Module,
    *,
    length: int = 24,
    rows: int = 64,
    tokens: Integers | None = None,
    seed: int = 1,
    read: Callable[[Tensor], object] | None = None,
) -> HeadScores:
    """How much every head is an induction head.

    Random tokens r_1 … r_n are read twice. In the second pass, an induction head looks at the token that followed the
    first occurrence, n − 1 steps back: its mean weight there is its score (Olsson et al. 2022, "In-context learning
    and induction heads", arXiv:2209.11895). To find that place, the head needs a head of an earlier layer, so that the
    first layer has none, whatever its scores. Chance is the weight of uniform attention.

    Args:
        model: a causal Transformer for `attention_weights`; its `window`, if it has one, bounds how far it looks.
        length: n, at least 2; a window that is shorter than n sees nothing.
        rows: the number of random sequences.
        tokens: the tokens that are drawn from; None is the whole vocabulary, `model.vocab_size`.
        seed: the seed of the drawing.
        read: reads tokens (B, 2n) with the model; None is `model.read`, or `model` where there is none.

    Raises:
        UserError: a shorter length, or no tokens to draw from.

    >>> from elman.models import build
    >>> _ = torch.manual_seed(1)
    >>> model = build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2, "num_layers": 2})
    >>> scores = induction_scores(model, length=8, rows=16)
    >>> scores.mean.shape, bool(scores.stands_out.any())  # an untrained model has none
    ((2, 2), False)
    """
    if length < 2:
        raise UserError("length", expected="at least 2 tokens that are repeated", got=length)
    generator = torch.Generator().manual_seed(seed)
    known = as_tokens(range(getattr(model, "vocab_size", 0)) if tokens is None else tokens, model, dims=1)
    if not len(known):
        raise UserError("tokens", expected="some to draw from, as for a model without `vocab_size`", got="none")
    drawn = known[torch.randint(len(known), (rows, length), generator=generator)]
    twice = torch.cat((drawn, drawn), dim=1).to(next(model.parameters()).device)
    asked = np.arange(length, 2 * length)
    reading: Any = read or getattr(model, "read", model)
    every = attention_weights(model, lambda: reading(twice))
    scores = np.stack([weights[:, :, asked, asked - length + 1].mean(2) for weights in every], axis=1)
    seen = steps_seen(np.zeros((1, 2 * length), bool), getattr(model, "window", None))[0, asked]
    return HeadScores(scores, float((1 / seen).mean()) if seen[0] >= length else 0.0)


def student(tail: float, freedom: int) -> float:
    """The quantile of Student's t that is exceeded with a probability of `tail`, by Cornish and Fisher's expansion.

    The relative error is below 2 % from 8 degrees of freedom on (Abramowitz & Stegun 26.7.5).

    >>> round(student(0.001, 15), 2)  # 3.733 in tables
    3.73
    """
    z = NormalDist().inv_cdf(1 - tail)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3

"""A hypothesis: a target that a search has written, and its score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from elman.errors import UserError
from elman.nn.sequences import Integers, as_lengths

Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Hypothesis:
    """A target that a search has written to its end.

    The probabilities are the model's own, before any filter or constraint, and in nats.

    >>> from elman.decode import greedy_search
    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).eval()
    >>> [found] = greedy_search(model, torch.tensor([[4, 2, 0]]), end=0)
    >>> len(found.token_log_probabilities) - len(found.tokens)  # one more, for the end
    1
    >>> math.isclose(sum(found.token_log_probabilities), found.log_probability)
    True
    """

    tokens: tuple[int, ...]
    """Without the token that begins and ends a target."""
    score: float
    """The log-probability with the penalties of the search; hypotheses are ranked by their scores."""
    log_probability: float
    token_log_probabilities: tuple[float, ...]
    """One for every token, and a last one for the token that ends the target."""

    def __post_init__(self) -> None:
        if math.isnan(self.log_probability):
            raise no_probabilities()


def no_probabilities() -> UserError:
    """The error for a model that gives no token a probability."""
    return UserError(
        "the model gives no token a probability: its weights are not numbers (NaN)",
        remedy="train it anew, with a lower learning rate",
    )


def length_penalty(n: Number, alpha: float) -> Number:
    """The divisor of a log-probability that keeps a long target from losing by its length alone.

        lp(n) = ((5 + n) / 6)^alpha                     n tokens, the end included; alpha 0: no penalty

    Wu et al. 2016, "Google's neural machine translation system", eq. 14.

    >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
    (1.0, 2.0)
    """
    return ((5 + n) / 6) ** alpha


def coverage_penalty(coverage: Tensor, real: Tensor) -> Tensor:
    """A penalty for source tokens that were not attended to: 0 if all were in full, else negative.

        cp = Σ_s log min(Σ_t a_ts, 1)                   a_ts: the attention of step t to source token s

    coverage (..., S), the sum over the steps, and real (..., S), false where the source is padding -> (...).
    The coverage of a token is at least the smallest normal number, so that cp stays finite. Wu et al. 2016, eq. 14.
    """
    least = torch.finfo(coverage.dtype).tiny
    return coverage.clamp(least, 1).log().where(real, 0).sum(-1)


def log_probabilities(logits: Tensor) -> Tensor:
    """The log-probabilities (R, V) of logits (R, V), in float32 or better."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def lengths_of(source: Tensor, lengths: Integers | None) -> Tensor:
    """The lengths (B,) of rows (B, S), at least 1; S each where no lengths were given."""
    B, S = source.shape
    if lengths is None:
        return torch.full((B,), S, device=source.device)
    return as_lengths(lengths, B, S, source.device, least=1)

"""Constraints on a target: its length, its first tokens, and the tokens and n-grams that it may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.errors import UserError

FREE = -1  # in place of a token: a prefix forces none


@dataclass(frozen=True)
class Constraints:
    """Limits on the targets that a search writes.

    Lengths count the tokens of a target with its prefix, without its end. Where rules collide, a prefix is always
    written, then `max_length` ends a target, and a hypothesis that no token may follow may end.

    >>> import torch
    >>> from elman.decode import greedy_search
    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).eval()
    >>> rules = Constraints(min_length=4, max_length=6, prefixes=[[3, 1]], banned=[5])
    >>> [found] = greedy_search(model, torch.tensor([[4, 4, 0]]), end=0, constraints=rules)
    >>> found.tokens[:2], 4 <= len(found.tokens) <= 6, 5 in found.tokens
    ((3, 1), True, False)
    """

    min_length: int = 0
    max_length: int | Sequence[int] | None = None
    """For all sentences or for each; None: `default_max_length`, or `min_length` or the prefix's if that is longer."""
    prefixes: Sequence[Sequence[int]] | None = None
    """The first tokens of each sentence's target."""
    banned: Sequence[int] = ()
    """Tokens that are never written, such as `<unk>`."""
    block_ngrams: int | None = None
    """No n-gram of so many tokens is written twice (Paulus et al. 2018, "A deep reinforced model for abstractive
    summarization")."""

    def __post_init__(self) -> None:
        if self.min_length < 0:
            raise UserError("min_length", expected="0 or more", got=self.min_length, exit_code=2)
        if self.block_ngrams is not None and self.block_ngrams < 1:
            raise UserError("block_ngrams", expected="at least 1", got=self.block_ngrams, exit_code=2)


class Limits(NamedTuple):
    """The constraints that differ from sentence to sentence, with the batch first."""

    max_length: Tensor  # (B,)
    prefix: Tensor  # (B, P), padded with FREE


def default_max_length(lengths: Tensor) -> Tensor:
    """The default limit of targets whose sources have these lengths (B,): three times the length, and 30."""
    return 3 * lengths + 30


def limits_of(constraints: Constraints, lengths: Tensor, end: int) -> Limits:
    """The limits of sentences whose sources have these lengths (B,).

    Errors: `UserError` for a `max_length` below `min_length` or a prefix's length, `ValueError` for a prefix that
    holds the end.
    """
    (B,) = lengths.shape
    prefixes = [[int(token) for token in prefix] for prefix in constraints.prefixes or [()] * B]
    if len(prefixes) != B or any(end in prefix or min(prefix, default=0) < 0 for prefix in prefixes):
        raise ValueError(f"expected a prefix of token ids, without the end, for each of {B} sentences")
    least = torch.tensor([max(constraints.min_length, len(prefix)) for prefix in prefixes], device=lengths.device)
    if constraints.max_length is None:
        longest = default_max_length(lengths).maximum(least)
    else:
        longest = torch.as_tensor(constraints.max_length, device=lengths.device).expand(B)
        if bool((longest < least).any()):
            raise UserError(
                "max_length",
                expected=f"at least {int(least.max())}, for the shortest length and the prefix",
                got=int(longest.min()),
                exit_code=2,
            )
    padded = pad_sequence([torch.tensor(p, dtype=torch.long) for p in prefixes], True, FREE)
    return Limits(longest, padded.to(lengths.device))


def constrain(log_probabilities: Tensor, written: Tensor, limits: Limits, constraints: Constraints, end: int) -> Tensor:
    """Rule out, with -inf, the tokens that may not follow the written tokens.

    log_probabilities (R, V) of the next token, changed in place; written (R, t); R is a multiple of the B sentences
    of the limits, and a sentence's rows are neighbours.
    """
    t, x = written.shape[1], log_probabilities
    end_as_it_was = x[:, end].clone()
    forced = _forced(limits, t, end).repeat_interleave(len(x) // len(limits.max_length))  # (R,)
    rows = (forced != FREE).nonzero().squeeze(1)
    forced = forced[rows]
    forced_as_they_were = x[rows, forced]
    if t < constraints.min_length:
        x[:, end] = -torch.inf
    if constraints.banned:
        x[:, list(constraints.banned)] = -torch.inf
    if constraints.block_ngrams is not None:
        block_repeated(x, written, constraints.block_ngrams)
    if constraints.min_length or constraints.banned or constraints.block_ngrams is not None:
        x[:, end] = end_as_it_was.where(x.amax(-1) == -torch.inf, x[:, end])
    if len(rows):
        x[rows] = -torch.inf
        x[rows, forced] = forced_as_they_were
    return x


def _forced(limits: Limits, t: int, end: int) -> Tensor:
    """The token that each sentence (B,) must write at step t, or FREE."""
    longest, prefix = limits
    forced = prefix[:, t] if t < prefix.shape[1] else torch.full_like(longest, FREE)
    return forced.masked_fill(longest == t, end)


def block_repeated(x: Tensor, written: Tensor, n: int) -> None:
    """Rule out, in log-probabilities x (R, V), each token that would end an n-gram which was written (R, t) before.

    >>> x = torch.zeros(1, 4)
    >>> block_repeated(x, torch.tensor([[3, 1, 2, 3, 1]]), 3)
    >>> x
    tensor([[0., 0., -inf, 0.]])
    """
    t = written.shape[1]
    if t < n:
        return
    ngrams = written.unfold(1, n, 1)  # (R, t-n+1, n)
    latest = written[:, t - n + 1 :]  # (R, n-1): the next token makes an n-gram of these
    again = (ngrams[..., :-1] == latest.unsqueeze(1)).all(-1)
    rows, places = again.nonzero(as_tuple=True)
    x[rows, ngrams[rows, places, -1]] = -torch.inf

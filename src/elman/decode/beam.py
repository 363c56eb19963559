"""Beam search: extend the K best unfinished targets, token by token."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor

from elman.decode.constraints import Constraints, Limits, constrain, limits_of
from elman.decode.hypotheses import (
    Hypothesis,
    coverage_penalty,
    length_penalty,
    lengths_of,
    log_probabilities,
    no_probabilities,
)
from elman.errors import UserError
from elman.models.encoder_decoder import EncoderDecoder
from elman.nn.sequences import Integers
from elman.state import close_gaps, move_rows, select_rows


class Sentences(NamedTuple):
    """The B sentences whose search is not done yet."""

    number: Tensor  # (B,) the place in the batch
    limits: Limits
    real: Tensor  # (B, S) false where the source is padding
    best: Tensor  # (B, n) the scores of the n best hypotheses that ended, -inf where fewer ended
    endings: Tensor  # (B,) how many hypotheses ended


class Rows(NamedTuple):
    """The living hypotheses: W rows for each sentence, the best first."""

    last: Tensor  # (B·W,) the token to be read next
    written: Tensor  # (B·W, t)
    log_probabilities: Tensor  # (B·W, t) of the written tokens
    coverage: Tensor  # (B·W, S) the sum of the attention; S = 0 without a coverage penalty


class Extensions(NamedTuple):
    """The best extensions of a sentence's living hypotheses by one token, the best first."""

    total: Tensor  # (B, C) log p of the whole hypothesis, -inf where a constraint rules the extension out
    parent: Tensor  # (B, C) the row that is extended
    token: Tensor  # (B, C)
    log_p: Tensor  # (B, C) of the token


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    source: Tensor,
    lengths: Integers | None = None,
    *,
    end: int,
    beam: int = 5,
    n_best: int = 1,
    length_alpha: float = 0.0,
    coverage_beta: float = 0.0,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    r"""The most probable targets that a beam of width K finds.

    Every step extends the K living hypotheses of a sentence by every token and keeps the K best that go on. A
    hypothesis that ends among the K best of all extensions is ranked by

        score(y) = log p(y | x) / lp(|y|) + β cp(x, y)

    with the penalties of Wu et al. 2016 (see `length_penalty` and `coverage_penalty`). A sentence is done, and its
    rows leave the batch, as soon as

    - K hypotheses have ended (so that a beam of 1 is greedy search), or
    - no living hypothesis can become one of the n best. Log-probabilities only fall, and both penalties are at best
      those of the longest target with full attention, so that a living y can reach at most
      log p(y) / lp(max_length + 1). This stop is exact: the result is the same without it.

    Ties go to the better parent, then to the smaller token: the same input gives the same output.

    Graves 2012, "Sequence transduction with recurrent neural networks"; Sutskever et al. 2014, "Sequence to sequence
    learning with neural networks".

    Args:
        model: in eval mode.
        source: (B, S) tokens.
        lengths: (B,) of the sources; the tokens beyond are padding.
        end: the token that begins and ends a target.
        beam: the width K.
        n_best: the number of hypotheses for each sentence, at most K.
        length_alpha: α of the length penalty; 0 for no penalty, customarily 0.6.
        coverage_beta: β of the coverage penalty, which needs a model with attention; 0 for no penalty.
        constraints: limits on the targets.

    Returns:
        For each sentence its n best hypotheses, the best first; fewer only where fewer are possible.

    Raises:
        UserError: a setting out of range, or a coverage penalty for a model without attention.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7}).eval()
    >>> [best] = beam_search(model, torch.tensor([[4, 2, 0]]), end=0, beam=4, n_best=3)
    >>> len(best), best[0].score >= best[1].score >= best[2].score
    (3, True)
    """
    if beam < 1:
        raise UserError("beam", expected="at least 1", got=beam, exit_code=2)
    if not 1 <= n_best <= beam:
        raise UserError("n_best", expected=f"1 to {beam}, the beam's width", got=n_best, exit_code=2)
    for name, value in (("length_alpha", length_alpha), ("coverage_beta", coverage_beta)):
        if not 0 <= value < math.inf:
            raise UserError(name, expected="a number, 0 or more", got=value, exit_code=2)
    search = _Search(model, end, beam, n_best, length_alpha, coverage_beta, constraints or Constraints())
    return search.run(source, lengths_of(source, lengths))


class _Search:
    """The search of one batch."""

    def __init__(
        self, model: EncoderDecoder, end: int, K: int, n: int, alpha: float, beta: float, constraints: Constraints
    ) -> None:
        self.model, self.end, self.K, self.n = model, end, K, n
        self.alpha, self.beta, self.constraints = alpha, beta, constraints

    def run(self, source: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        B, S = source.shape
        new = partial(torch.full, device=source.device)
        self.sentences = Sentences(
            number=torch.arange(B, device=source.device),
            limits=limits_of(self.constraints, lengths, self.end),
            real=torch.arange(S, device=source.device) < lengths[:, None],
            best=new((B, self.n), -torch.inf, dtype=torch.double),
            endings=new((B,), 0),
        )
        self.rows = Rows(
            last=new((B,), self.end),
            written=new((B, 0), 0),
            log_probabilities=new((B, 0), 0.0, dtype=torch.double),
            coverage=new((B, S if self.beta else 0), 0.0, dtype=torch.double),
        )
        self.totals = new((B, 1), 0.0, dtype=torch.double)
        self.steps = self.model.steps(self.model.encode(source, lengths))
        self.ended: list[list[Hypothesis]] = [[] for _ in range(B)]
        while len(self.totals):
            self.extend()
        if not all(self.ended):
            raise no_probabilities()
        # The sort is stable: of equal scores, the hypothesis that ended first comes first.
        return [sorted(found, key=lambda y: -y.score)[: self.n] for found in self.ended]

    def extend(self) -> None:
        """Extend every living hypothesis by a token; remove the hypotheses that end and the sentences that are done."""
        B, W = self.totals.shape
        log_p = log_probabilities(self._read(self.rows.last))
        log_p = constrain(log_p, self.rows.written, self.sentences.limits, self.constraints, self.end)
        # The K + 1 best of a row hold all that can be among the K best, and among the K best that go on.
        log_p, token = k_best(log_p, min(self.K + 1, log_p.shape[1]))  # (B·W, C)
        totals = (self.totals.view(-1, 1) + log_p).reshape(B, -1)  # (B, W·C)
        totals, order = totals.sort(dim=1, descending=True, stable=True)
        parent = order // log_p.shape[1] + W * torch.arange(B, device=order.device)[:, None]
        token, log_p = (x.reshape(B, -1).gather(1, order) for x in (token, log_p))
        found = Extensions(totals, parent, token, log_p)
        self._end(found)
        self._go_on(found)

    def _read(self, last: Tensor) -> Tensor:
        """last (B·W,) -> logits (B·W, V) after the token; the attention is added to the coverage."""
        if not self.beta:
            return self.steps(last)
        hidden, weights, self.steps.state = self.model.read_aligned(last[:, None], self.steps.state)
        if weights is None:
            raise UserError("coverage_beta", expected="0 for a model without attention", got=self.beta, exit_code=2)
        self.rows = self.rows._replace(coverage=self.rows.coverage + weights[:, 0])  # (B·W, S)
        return self.model.output(hidden[:, -1])

    def _end(self, found: Extensions) -> None:
        """Collect the extensions that end among the K best."""
        ends = (found.token == self.end) & (found.total > -torch.inf)
        ends[:, self.K :] = False
        if not bool(ends.any()):
            return
        sentence = ends.nonzero()[:, 0]
        parent, log_p, total = found.parent[ends], found.log_p[ends], found.total[ends]
        n = self.rows.written.shape[1] + 1
        score = total / length_penalty(n, self.alpha)
        if self.beta:
            score += self.beta * coverage_penalty(self.rows.coverage[parent], self.sentences.real[sentence])
        scores = torch.full_like(found.total[:, : self.K], -torch.inf)
        scores[ends[:, : self.K]] = score
        self.sentences = self.sentences._replace(
            best=torch.cat((self.sentences.best, scores), 1).topk(self.n).values,
            endings=self.sentences.endings + ends.sum(1),
        )
        of_tokens = torch.cat((self.rows.log_probabilities[parent], log_p[:, None]), 1)
        columns = (self.sentences.number[sentence], self.rows.written[parent], score, total, of_tokens)
        for number, tokens, y_score, y_total, values in zip(*(x.tolist() for x in columns), strict=True):
            self.ended[number].append(Hypothesis(tuple(tokens), y_score, y_total, tuple(values)))

    def _go_on(self, found: Extensions) -> None:
        """Keep the K best extensions that do not end, of the sentences that are not done."""
        totals = found.total.masked_fill(found.token == self.end, -torch.inf)
        totals, place = (x[:, : self.K] for x in totals.sort(dim=1, descending=True, stable=True))
        sentences = self.sentences
        reach = totals[:, 0] / length_penalty(sentences.limits.max_length + 1, self.alpha)
        stay = (sentences.endings < self.K) & (reach > sentences.best[:, -1])
        width = int((totals > -torch.inf).sum(1).max())
        left = close_gaps(stay)
        place = place[left, :width]
        parent, token, log_p = (x[left].gather(1, place).flatten() for x in found[1:])
        kept = cast(Rows, select_rows(self.rows, parent))
        self.rows = Rows(
            token,
            torch.cat((kept.written, token[:, None]), 1),
            torch.cat((kept.log_probabilities, log_p[:, None]), 1),
            kept.coverage,
        )
        self.steps.state = move_rows(self.steps.state, parent, left, steps=self.rows.written.shape[1])
        if len(left) < len(stay):
            self.sentences = cast(Sentences, select_rows(sentences, left))
        self.totals = totals[left, :width]


def k_best(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of each row of x (R, V), the largest first, and their places; ties to the lowest place.

    `torch.topk` promises no order of ties, so that rows with ties are sorted in full.

    >>> k_best(torch.tensor([[1.0, 2.0, 2.0, 2.0]]), 2)[1]
    tensor([[1, 2]])
    """
    values, places = x.topk(min(k + 1, x.shape[1]))
    ties = ((values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)).any(1)
    values, places = values[:, :k], places[:, :k]
    if bool(ties.any()):
        ordered = x[ties].sort(dim=1, descending=True, stable=True)
        values[ties], places[ties] = ordered.values[:, :k], ordered.indices[:, :k]
    return values, places

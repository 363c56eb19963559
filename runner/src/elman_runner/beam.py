"""Beam search of one sentence's targets, and its greedy case, by the rules of elman's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from elman_runner.errors import RunnerError
from elman_runner.graph import Array, Memory

Floats = npt.NDArray[np.floating]
Step = Callable[[list[int], Memory], tuple[Floats, Memory]]
"""Reads a token of each row (W,): log-probabilities (W, V) of the next, and the memory after it."""


class Hypothesis(NamedTuple):
    """A target without its end, its score, and its log-probability in nats."""

    tokens: tuple[int, ...]
    score: float
    log_probability: float


@dataclass(frozen=True)
class Limits:
    """What a target may be: lengths count its tokens without the end, which is always allowed after `most`."""

    end: int
    least: int
    most: int
    banned: Sequence[int] = ()
    prefix: Sequence[int] = ()  # the first tokens of every target, whatever else rules them out

    def constrain(self, log_p: Floats, written: int) -> Floats:
        """log_p (W, V) after so many tokens, -inf where a token may not follow."""
        x = log_p.copy()
        if written >= self.most:
            x[:] = -np.inf
            x[:, self.end] = log_p[:, self.end]
            return x
        if written < len(self.prefix):
            token = self.prefix[written]
            x[:] = -np.inf
            x[:, token] = log_p[:, token]
            return x
        x[:, list(self.banned)] = -np.inf
        if written < self.least:
            x[:, self.end] = -np.inf
        stuck = x.max(-1) == -np.inf  # a hypothesis that no token may follow may end
        x[stuck, self.end] = log_p[stuck, self.end]
        return x


def beam_search(step: Step, memory: Memory, limits: Limits, beam: int, n_best: int, alpha: float) -> list[Hypothesis]:
    """The `n_best` best of the targets that a beam of this width finds, from the memory (one row) of a source.

    Every step extends the living hypotheses by every token and keeps the `beam` best that go on. One that ends among
    the `beam` best is ranked by log p / ((5 + n) / 6)^alpha of its n tokens, the end included. The search is over when
    `beam` have ended, or when no living one can become one of the best. Ties go to the better parent, then to the
    smaller token.
    """
    last, totals, written = [limits.end], np.zeros(1), [()]
    ended: list[Hypothesis] = []
    while True:
        log_p, memory = step(last, memory)
        log_p = limits.constrain(log_p, len(written[0])).astype(np.float64)
        V = log_p.shape[1]
        every = (totals[:, None] + log_p).ravel()
        order = _best(every, 2 * beam)  # of which at most `beam` end
        for place, at in enumerate(order):
            if at % V == limits.end and every[at] > -np.inf and place < beam:
                n = len(written[0]) + 1
                ended.append(Hypothesis(written[at // V], float(every[at]) / _penalty(n, alpha), float(every[at])))
        going = [at for at in order if at % V != limits.end and every[at] > -np.inf][:beam]
        best = sorted((y.score for y in ended), reverse=True)[:n_best]
        reach = every[going[0]] / _penalty(limits.most + 1, alpha) if going else -math.inf
        if len(ended) >= beam or not going or (len(best) == n_best and reach <= best[-1]):
            break
        parents = [at // V for at in going]
        last, totals = [int(at % V) for at in going], every[going]
        written = [(*written[parent], token) for parent, token in zip(parents, last, strict=True)]
        memory = tuple(leaf[parents] for leaf in memory)
    if not ended:
        raise RunnerError("the model gives no token a probability: its weights are not numbers (NaN)")
    return sorted(ended, key=lambda y: -y.score)[:n_best]


def _best(every: Array, count: int) -> list[int]:
    """The places of the largest numbers, the largest first, of equal ones the first place; more only where some tie."""
    count = min(count, len(every))
    places = np.flatnonzero(every >= np.partition(every, -count)[-count])
    return places[np.argsort(-every[places], kind="stable")].tolist()


def _penalty(n: int, alpha: float) -> float:
    return ((5 + n) / 6) ** alpha

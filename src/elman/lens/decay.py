"""How a gradient falls with the lag: the share that is left at every lag, and a word for the whole curve.

Let g_k be the gradient's norm at lag k and k₀ the first lag. The share left is s_k = g_k / g_{k₀}, and an even pace
would have led there by a factor a step of s_k^{1/(k−k₀)}. The rate is the median of these factors over all lags after
the first; in a geometric decay s_k = r^{k−k₀} all of them are r. The word follows from the rate alone:

    vanishing fast   a geometric decay of this rate is down to 1 % within 10 steps     rate ≤ 0.631
    vanishing        within 30                                                         rate ≤ 0.858
    fading           within 100                                                        rate ≤ 0.955
    lasting          later than that, or never                                         rate < 1.023
    exploding        the gradient grows tenfold within 100 steps                       rate ≥ 1.023

It takes 100 lags to see that a gradient lasts. Over fewer, a gradient that comes down to 1 % is fading at best, and one
that does not is `open`, too short to tell, unless it explodes. `none` is a gradient of which nothing is left after the
first lag, `undefined` one with a norm that is not a number.

A curve of which nothing at all is left from some lag on (beyond a document's border, a bounded window of attention, or
the range of its floats) has the rate of the lags before that. It is `vanishing fast` if it was so until then, and else
`cut off`: no word tells of lags that the curve does not reach.

The words have the order none; vanishing fast and cut off; vanishing; fading; lasting; open; exploding. A curve whose
shares are everywhere at least those of another never has a worse word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal[
    "none", "cut off", "vanishing fast", "vanishing", "fading", "lasting", "open", "exploding", "undefined"
]

HORIZON = 0.01  # the share that is left at the horizon
WITHIN: dict[int, Verdict] = {10: "vanishing fast", 30: "vanishing", 100: "fading"}  # steps to the horizon
LONG = max(WITHIN)  # the lags that are needed to say that a gradient lasts
EXPLODING = 10 ** (1 / LONG)  # a step
GREW = 2.0  # times the first: from this peak on, words tell of a growth before a fall
TOLD = (1, 10, 30, 100, 300, 1000)  # the lags whose shares are told, beside the last lag

WORDS = (
    "The words say when a gradient that falls at the median pace of a curve, a factor a step, is down to "
    f"{100 * HORIZON:g} %: "
    + ", ".join(f"within {within} steps ({word})" for within, word in WITHIN.items())
    + f" or later (lasting); an exploding one grows tenfold within {LONG} steps. Over fewer than {LONG} lags, a curve "
    f"that comes down to {100 * HORIZON:g} % is fading at best, and one that neither does so nor explodes is too short "
    "to tell. Cut off is one of which nothing is left from some lag on, unless it was vanishing fast before."
)
"""The rule, for the readers of a report."""


@dataclass(frozen=True)
class Decay:
    """The fall of a gradient over the lags of a curve, in shares of the gradient at the first lag.

    >>> import numpy as np
    >>> decay = fit_decay(np.arange(60), 0.8 ** np.arange(60))
    >>> decay.rate, decay.horizon, decay.verdict
    (0.8, 21, 'vanishing')
    """

    rate: float  # a step, the median over the lags before the end; NaN where there is no lag, or no number
    horizon: int | None  # the first lag at which 1 % is left; None: beyond the last lag
    end: int | None  # the first lag from which on nothing at all is left; None: something is left at the last lag
    peak: float  # the largest share
    left: dict[int, float]  # the shares at the lags that are told, and at the last lag
    verdict: Verdict

    @property
    def numbers(self) -> dict[str, Any]:
        """The fields as a report's JSON has them."""
        return vars(self) | {"left": {str(lag): share for lag, share in self.left.items()}}

    @property
    def word(self) -> str:
        """The verdict as people say it."""
        return "too short to tell" if self.verdict == "open" else self.verdict

    @property
    def words(self) -> str:
        """The verdict in a sentence, with the numbers that it stands on."""
        if self.verdict == "none":
            return "no gradient reaches back at all"
        if self.verdict == "undefined":
            return "the gradient is not a number"
        last = max(self.left)
        parts = []
        if self.rate > 0:  # first, beside the word that follows from it
            over = "all lags" if self.end is None else f"the lags before {self.end}"
            parts.append(f"median pace {self.rate:.3g} a step over {over}")
        if self.peak >= GREW and self.verdict != "exploding":
            parts.append(f"after growing to {_short(self.peak)} times the first")
        parts.append(f"1 % not seen within {last} lags" if self.horizon is None else f"1 % at lag {self.horizon}")
        if self.end is not None:
            parts.append(f"nothing from lag {self.end} on")
        lags, shares = ", ".join(map(str, self.left)), ", ".join(map(_short, self.left.values()))
        return f"{self.word} ({', '.join(parts)}; left at lags {lags}: {shares})"


def fit_decay(lags: npt.NDArray[Any], norms: npt.NDArray[Any]) -> Decay:
    """The fall of norms (K,) at rising lags (K,), from the first norm that is not zero.

    >>> fit_decay(np.arange(100), 3 * 0.9 ** np.arange(100)).words
    'fading (median pace 0.9 a step over all lags, 1 % at lag 44; left at lags 1, 10, 30, 99: 0.9, 0.35, 0.042, 3e-5)'
    >>> fit_decay(np.arange(6), np.array([2.0, 1.0, 0.5, 0.0, 0.0, 0.0]))
    Decay(rate=0.5, horizon=3, end=3, peak=1.0, left={1: 0.5, 5: 0.0}, verdict='vanishing fast')
    >>> fit_decay(np.arange(6), 0.8 ** np.arange(6)).words
    'too short to tell (median pace 0.8 a step over all lags, 1 % not seen within 5 lags; left at lags 1, 5: 0.8, 0.33)'
    """
    norms = np.asarray(norms, np.float64)
    there = np.flatnonzero(norms != 0)  # not a number among them
    first = int(there[0]) if len(there) else 0
    with np.errstate(invalid="ignore", over="ignore"):
        shares = norms / norms[first] if len(there) else norms
    last = len(lags) - 1
    left = {int(lag): float(shares[n]) for n, lag in enumerate(lags) if n and (lag in TOLD or n == last)}
    back, after = lags[first + 1 :] - lags[first], shares[first + 1 :]
    if not len(after) or np.isnan(shares).any():
        return Decay(math.nan, None, None, math.nan, left, "undefined" if len(after) else "none")
    below = np.flatnonzero(after <= HORIZON) + first + 1
    horizon = int(lags[below[0]]) if len(below) else None
    seen = len(np.trim_zeros(after, "b"))  # lags before the end
    end = int(lags[first + 1 + seen]) if seen < len(after) else None
    rate = round(float(np.median((after ** (1 / back))[:seen])), 12) if seen else 0.0
    verdict = _verdict(rate, horizon, end, int(back[-1])) if seen else "none"
    return Decay(rate, horizon, end, float(shares.max()), left, verdict)


def _short(value: float) -> str:
    text = f"{value:.{3 if value >= 10 else 2}g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _verdict(rate: float, horizon: int | None, end: int | None, steps: int) -> Verdict:
    fall = next((word for within, word in WITHIN.items() if rate <= HORIZON ** (1 / within)), None)
    if end is not None:
        return "vanishing fast" if fall == "vanishing fast" else "cut off"
    if rate >= EXPLODING:
        return "exploding"
    if horizon is None and steps < LONG:
        return "open"
    return fall or ("lasting" if steps >= LONG else "fading")

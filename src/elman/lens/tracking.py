"""Units that track something in the text, found by correlation; and the state's path in a plane.

Karpathy, Johnson & Fei-Fei 2015 found by hand that some cells of an LSTM count the length of a line or know that
they are inside quotes. Here every unit is correlated with features that are counted in a text. The unit is chosen on
the first half of the text and its correlation measured on the second, so that the best of many is not best by luck.
Repetitive features correlate with many units, so that chance is measured as well: by the correlations of the same unit
and the same feature moved against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats
from elman.errors import UserError

OPENING, CLOSING = "([{", ")]}"
OF_A_LINE = (
    "position in the line",
    "indentation of the line",
    "position in the word",
    "inside a comment (#)",
    "a capital letter",
    "a digit",
)
LEADING = "in the leading white space of a line"  # counted for the indentation alone
FRESH = dict.fromkeys(("inside double quotes", "depth of brackets", *OF_A_LINE, LEADING), 0)
LUCK = 0.05  # the probability that any feature at all seems to be tracked, by a unit above chance
FAR = 8  # a feature moved by an eighth of the text or more is moved far


@dataclass(frozen=True)
class Tracker:
    """The unit that correlates best with a feature.

    >>> Tracker("depth of brackets", unit=3, correlation=-0.8, chosen=-0.7, chance=0.2).above_chance
    True
    """

    feature: str
    unit: int
    correlation: float  # Pearson's, on the half of the text that the unit was not chosen on
    chosen: float  # on the half that the unit was chosen on
    chance: float  # the size below which correlations stay by chance

    @property
    def above_chance(self) -> bool:
        """Whether chance would hardly give such a correlation."""
        return abs(self.correlation) > self.chance


def text_features(pieces: Sequence[str | None], begins: Collection[int] = ()) -> dict[str, Floats]:
    """The features of a text that are counted, after every token, each (T,).

    `pieces` are the tokens' own texts in order; None is where a new document begins, and at the places in `begins`
    another part of the text begins: there, every count begins again. A feature that never changes is left out.

    >>> features = text_features(list('a "b"\\n'))
    >>> features["inside double quotes"].tolist(), features["position in the line"].tolist()
    ([0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    """
    counts, rows = dict(FRESH), []
    for place, piece in enumerate(pieces):
        if piece is None or place in begins:
            counts = dict(FRESH)
        for character in piece or "":
            _count(character, counts)
        rows.append(list(counts.values()))
    columns = zip(FRESH, np.array(rows, np.float64).reshape(-1, len(FRESH)).T, strict=True)
    return {name: values for name, values in columns if name != LEADING and len(values) and values.std() > 0}


def _count(character: str, counts: dict[str, int]) -> None:
    """Every count after one character more."""
    if character == "\n":
        counts |= dict.fromkeys(OF_A_LINE, 0) | {LEADING: 1}
        return
    counts[LEADING] &= character in " \t"
    counts["inside double quotes"] ^= character == '"'
    counts["depth of brackets"] = max(0, counts["depth of brackets"] + (character in OPENING) - (character in CLOSING))
    counts["position in the line"] += 1
    counts["indentation of the line"] += counts[LEADING]
    in_word = character.isalnum() or character == "_"
    counts["position in the word"] = counts["position in the word"] + 1 if in_word else 0
    counts["inside a comment (#)"] |= character == "#"
    counts["a capital letter"], counts["a digit"] = character.isupper(), character.isdigit()


def correlations(values: npt.NDArray[np.floating], feature: Floats) -> Floats:
    """Pearson's correlation of every unit of `values` (T, H) with a feature (T,): (H,); 0 where one does not vary."""
    centred = values - values.mean(0)
    wanted = feature - feature.mean()
    sizes = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
    return np.divide(wanted @ centred, sizes, out=np.zeros(values.shape[1]), where=sizes > 0)


def chance_level(values: npt.NDArray[np.floating], feature: Floats, luck: float) -> float:
    """The size that the correlation of a unit (T,) with a feature (T,) exceeds by chance with a probability of `luck`.

    The level is a quantile of the correlations with the feature moved along the text in a circle, by every distance
    that is far. It is 1 for a text with fewer such distances than 1 / luck.
    """
    T = len(values)
    u, f = values - values.mean(), feature - feature.mean()
    size = np.sqrt((u**2).sum() * (f**2).sum())
    if size == 0:
        return 1.0
    moved = np.fft.irfft(np.conj(np.fft.rfft(u)) * np.fft.rfft(f), T) / size  # [k] = Σ_t u_t f_{t+k} / (‖u‖ ‖f‖)
    far = np.abs(moved[-(-T // FAR) : T - T // FAR])
    return float(np.quantile(far, 1 - luck, method="higher")) if len(far) * luck >= 1 else 1.0


def track(values: npt.NDArray[np.floating], features: dict[str, Floats]) -> list[Tracker]:
    """The best unit of `values` (T, H) for every feature (T,), the strongest first.

    The values may be the states of a visit's row: `visit.after[0][:, row].numpy()`.

    Raises:
        UserError: fewer than 4 steps.

    >>> rng = np.random.default_rng(0)
    >>> text = "".join(rng.choice(["well ", '"yes" ', "(no, no) "], 200))
    >>> features = text_features(list(text))
    >>> states = rng.normal(size=(len(text), 5))
    >>> states[:, 2] += 5 * features["inside double quotes"]
    >>> trackers = {one.feature: one for one in track(states, features)}
    >>> trackers["inside double quotes"].unit, trackers["inside double quotes"].above_chance
    (2, True)
    """
    T = len(values)
    if T < 4:
        raise UserError("tracking", expected="a text of at least 4 tokens", got=T)
    values = np.asarray(values, np.float64)
    first, second = slice(0, T // 2), slice(T // 2, T)
    found = []
    for name, feature in features.items():
        chosen = correlations(values[first], feature[first])
        unit = int(np.abs(chosen).argmax())
        held_out = correlations(values[second, unit : unit + 1], feature[second])
        chance = chance_level(values[second, unit], feature[second], LUCK / len(features))
        found.append(Tracker(name, unit, float(held_out[0]), float(chosen[unit]), chance))
    return sorted(found, key=lambda tracker: -abs(tracker.correlation))


def path_in_plane(values: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """States (T, H) on the plane of their first two principal components: (T, 2), and each one's share of the variance.

    The sign of a component is such that its largest weight is positive.

    >>> turning = np.linspace(0, 6, 50)
    >>> path, share = path_in_plane(np.column_stack([3 * np.cos(turning), np.sin(turning), 0 * turning]))
    >>> path.shape, share.round(1)
    ((50, 2), array([0.9, 0.1]))
    """
    centred = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    covariance = centred.T @ centred
    variances, components = np.linalg.eigh(covariance)
    plane = components[:, ::-1][:, :2]  # (H, 2)
    plane = plane * np.sign(plane[np.abs(plane).argmax(0), np.arange(plane.shape[1])])
    total = variances.sum()
    share = variances[::-1][:2] / total if total > 0 else np.zeros(2)
    return centred @ plane, share

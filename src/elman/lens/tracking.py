"""Units that track something in the text, found by correlation; and the state's path in a plane.

Karpathy, Johnson & Fei-Fei 2015 found by hand that some cells of an LSTM count the length of a line or know that
they are inside quotes. Here every unit is correlated with what can be counted in a text. The unit is chosen on the
first half of the text and its correlation told of the second, so that the best of many is not best by luck. What a
text repeats correlates with much, so that the correlation is compared with that of the same unit and the same counts
moved against each other, which go together by chance alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.errors import UserError

Floats = npt.NDArray[np.float64]

OPENING, CLOSING = "([{", ")]}"
LUCK = 0.05  # the probability that any feature at all has a unit above chance that does not track it
FAR = 8  # what is moved by an eighth of the text or more is far


@dataclass(frozen=True)
class Tracker:
    """The unit that goes best with a feature."""

    feature: str
    unit: int
    correlation: float  # Pearson's, on the half of the text that the unit was not chosen on
    chosen: float  # and on the half that it was chosen on
    chance: float  # what the size of the correlation stays below by chance

    @property
    def above_chance(self) -> bool:
        """Whether chance would hardly give such a correlation."""
        return abs(self.correlation) > self.chance


def text_features(pieces: Sequence[str | None], begins: Collection[int] = ()) -> dict[str, Floats]:
    """What can be counted in a text after every token, each (T,).

    `pieces` are the tokens' own texts in order; None is where a new document begins. At the places in `begins`
    another part of the text begins. There, too, everything is counted afresh. A feature that never changes is left out.

    >>> features = text_features(list('a "b"\\n'))
    >>> features["inside double quotes"].tolist(), features["position in the line"].tolist()
    ([0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    """
    scan = _Scan()
    rows = []
    for place, piece in enumerate(pieces):
        if place in begins:
            scan = _Scan()
        rows.append(scan.read(piece))
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in (rows[0] if rows else {})}
    return {name: values for name, values in columns.items() if values.std() > 0}


class _Scan:
    """Counts on the way through a text."""

    def __init__(self) -> None:
        self.quotes = False
        self.depth = self.column = self.indentation = self.word = 0
        self.comment = self.leading = self.capital = self.digit = False

    def read(self, piece: str | None) -> dict[str, float]:
        if piece is None:
            self.__init__()  # type: ignore[misc]
        for character in piece or "":
            self._see(character)
        return {
            "inside double quotes": float(self.quotes),
            "depth of brackets": float(self.depth),
            "position in the line": float(self.column),
            "indentation of the line": float(self.indentation),
            "position in the word": float(self.word),
            "inside a comment (#)": float(self.comment),
            "a capital letter": float(self.capital),
            "a digit": float(self.digit),
        }

    def _see(self, character: str) -> None:
        if character == "\n":
            self.column = self.indentation = self.word = 0
            self.comment, self.leading = False, True
            self.capital = self.digit = False
            return
        self.column += 1
        self.leading = self.leading and character in " \t"
        self.indentation += self.leading
        self.word = self.word + 1 if character.isalnum() or character == "_" else 0
        self.capital, self.digit = character.isupper(), character.isdigit()
        self.comment = self.comment or character == "#"
        self.quotes ^= character == '"'
        self.depth = max(0, self.depth + (character in OPENING) - (character in CLOSING))


def correlations(values: npt.NDArray[np.floating], feature: Floats) -> Floats:
    """Pearson's correlation of every unit of `values` (T, H) with a feature (T,): (H,); 0 for what does not vary."""
    centred = values - values.mean(0)
    wanted = feature - feature.mean()
    sizes = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
    return np.divide(wanted @ centred, sizes, out=np.zeros(values.shape[1]), where=sizes > 0)


def chance_level(values: npt.NDArray[np.floating], feature: Floats, luck: float) -> float:
    """What the correlation of a unit (T,) with a feature (T,) stays below, in size, but for a probability of `luck`.

    It is read off the correlations with the feature moved along the text in a circle, by every distance that is far. A
    text with fewer such places than 1 / luck does not tell: 1.
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

    Values are of any kind that a step has, as the states of a visit's row: `visit.after[0][:, row].numpy()`.

    Raises:
        UserError: fewer than 4 steps.
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
    """
    centred = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    covariance = centred.T @ centred
    variances, components = np.linalg.eigh(covariance)
    plane = components[:, ::-1][:, :2]  # (H, 2)
    plane = plane * np.sign(plane[np.abs(plane).argmax(0), np.arange(plane.shape[1])])
    total = variances.sum()
    share = variances[::-1][:2] / total if total > 0 else np.zeros(2)
    return centred @ plane, share

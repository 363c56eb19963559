"""The memory over a text: states, units that track a feature of the text, and the state's path in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.inspection.passages import linked_passages
from elman.inspection.reading import PASSAGE, TextReading
from elman.inspection.subject import Subject
from elman.lens.activity import most_active, time_scales
from elman.lens.tracking import Tracker, path_in_plane, text_features, track
from elman.report import Chapter, Figure, Points, bar_chart, point_chart, text_strip
from elman.wording import percent

Values = dict[str, npt.NDArray[np.float64]]  # a part of the memory: (T, H)

STRIP_STEPS, PATH_STEPS = 480, 80
NUMBERS_OF_UNITS = 32  # whose values are in the numbers, of each part of the memory
STRIPS = 4
LEAST_CORRELATION = 0.25  # from which on a unit is said to track something
CLEAR_CORRELATION = 0.4  # from which on one sees that in a picture of the unit

TEXT = (
    "The memory while the model reads. Units that track something are looked for by correlation: each is chosen on one "
    "half of the text, and its correlation is that on the other half."
)


def look(subject: Subject) -> Part:
    """Both models over a stretch of the text."""
    windows, (trained, fresh) = subject.read, subject.readings.values()  # (B, T)
    values = _by_token(trained)
    pieces = [piece for row in windows for piece in subject.pieces(row)]
    features = text_features(pieces, range(0, len(pieces), windows.shape[1]))
    found = _best(values, features)
    before = {one.feature: one.correlation for _, one in _best(_by_token(fresh), features)}
    best = [(part, one) for part, one in found if one.above_chance and abs(one.correlation) >= LEAST_CORRELATION]
    # The drawings are of the second half, on which no unit was chosen.
    B, T = windows.shape
    begin = next(iter(subject.passages)) * T
    strips = [slice(row * T, row * T + min(STRIP_STEPS, T)) for row in range(B // 2, B)]
    clear = [(part, one) for part, one in best if abs(one.correlation) >= CLEAR_CORRELATION]
    shown = slice(begin, begin + PASSAGE)
    maps = {part: most_active(matrix, NUMBERS_OF_UNITS) for part, matrix in values.items()}
    figures = [
        linked_passages(subject, trained, {part: one.unit for part, one in reversed(best)}),
        *([_trackers(found)] if found else []),
        _path(values, pieces, begin),
        *(_strip(part, one, values[part], features[one.feature], pieces, strips) for part, one in clear[:STRIPS]),
    ]
    lines = [
        f"unit {one.unit} of {part} goes with “{one.feature}”: correlation {one.correlation:+.2f} "
        f"(chance is {one.chance:.2f}; {subject.fresh_name}: {before[one.feature]:+.2f})"
        for part, one in best
    ] or [_none(found)]
    numbers: dict[str, Any] = {
        "trackers": [{"memory": part, **vars(one), "untrained": before[one.feature]} for part, one in found],
        "states": {part: {"units": units, "values": values[part][shown, units]} for part, units in maps.items()},
        "time_scales": {part: time_scales(states) for part, states in trained.states.items()},
        "text": "".join(piece or "" for piece in pieces[begin : begin + min(STRIP_STEPS, T)]),
        "path": path_in_plane(next(reversed(values.values())))[0][begin : begin + PATH_STEPS],
    }
    return Part(Chapter("The contents of the memory", TEXT, figures, lines), numbers, lines)


def _by_token(reading: TextReading) -> Values:
    """Every part of the memory after every token, (B·T, H)."""
    return {part: states.reshape(-1, states.shape[-1]) for part, states in reading.states.items()}


def _best(values: Values, features: dict[str, npt.NDArray[np.float64]]) -> list[tuple[str, Tracker]]:
    """The unit of the whole memory that was chosen for every feature, the strongest correlation first."""
    every = [(part, tracker) for part, matrix in values.items() for tracker in track(matrix, features)]
    found = [
        max((pair for pair in every if pair[1].feature == feature), key=lambda pair: abs(pair[1].chosen))
        for feature in features
    ]
    return sorted(found, key=lambda pair: -abs(pair[1].correlation))


def _none(found: list[tuple[str, Tracker]]) -> str:
    if not found:
        return "no unit goes with a feature of the text: none of the features changes in this text"
    part, one = found[0]
    return (
        f"no unit goes with a feature of the text (the highest correlation, unit {one.unit} of {part} with "
        f"“{one.feature}”, is {one.correlation:+.2f}; chance is {one.chance:.2f})"
    )


def _trackers(found: list[tuple[str, Tracker]]) -> Figure:
    return bar_chart(
        [tracker.feature for _, tracker in found],
        np.array([abs(tracker.correlation) for _, tracker in found]),
        title="Units that track something",
        x="correlation with the best unit, its size",
        notes=[f"unit {tracker.unit}, chance {tracker.chance:.2f}" for _, tracker in found],
        limit=1.0,
        reading="The unit that goes best with each feature of the text: 1 is perfect. A unit is said to go with a "
        f"feature from a correlation of {LEAST_CORRELATION} on, if that is above chance: the correlation that the unit "
        "hardly ever has with the feature moved along the text. In a text that is too short to tell, chance is 1.",
    )


def _path(values: Values, pieces: list[str | None], begin: int) -> Figure:
    part, matrix = next(reversed(values.items()))
    plane, share = path_in_plane(matrix)
    path = plane[begin : begin + PATH_STEPS]
    texts = [piece or "" for piece in pieces[begin : begin + PATH_STEPS]]
    cloud = plane[:: max(1, len(plane) // 400)]
    labels = [(index, text.strip()) for index, text in enumerate(texts) if text.strip()][::3]
    return point_chart(
        [
            Points("states over the whole text", cloud[:, 0], cloud[:, 1], colour=0),
            Points(
                f"{len(path)} steps in a row",
                path[:, 0],
                path[:, 1],
                texts=[repr(text) for text in texts],
                path=True,
                labels=labels,
            ),
        ],
        title=f"The path of the state ({part}) in a plane",
        x=f"first component, {percent(share[0])} of the variance",
        y=f"second component, {percent(share[1])}" if len(share) > 1 else "",
        reading="Each point is the memory after a token, seen along the two directions in which it varies most, with "
        f"{percent(share[:2].sum())} of its variance: points far apart are different states, points close together may "
        "differ in directions that are not drawn, and the line follows the text.",
    )


def _strip(
    part: str,
    tracker: Tracker,
    values: Floats,
    feature: Floats,
    pieces: list[str | None],
    strips: Sequence[slice],
) -> Figure:
    """The unit over the one of the strips of the text in which its feature varies most."""
    strip = max(strips, key=lambda each: float(feature[each].std()))
    unit = values[strip, tracker.unit] - np.median(values[strip, tracker.unit])
    return text_strip(
        [piece or "" for piece in pieces[strip]],
        unit,
        limit=float(np.quantile(np.abs(unit), 0.98)),
        title=f"{tracker.feature.capitalize()}: unit {tracker.unit} of {part} (correlation {tracker.correlation:+.2f})",
        reading="The colour behind a token is the unit's value after reading it: orange above its median, blue below. "
        "This stretch of the text is the one in which the feature varies most.",
    )

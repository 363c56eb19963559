"""The memory over a text: states, units that track a feature of the text, and the state's path in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from elman.inspection.look import Part
from elman.inspection.subject import Subject
from elman.lens.activity import most_active, states_of
from elman.lens.observe import has_vectors_for_memory
from elman.lens.tracking import Tracker, path_in_plane, text_features, track
from elman.lens.visit import visit_layers
from elman.models import LanguageModel
from elman.report import Chapter, Figure, Points, bar_chart, heatmap, point_chart, text_strip

Values = dict[str, npt.NDArray[np.float64]]  # a part of the memory: (T, H)

STEPS, CHUNK = 8192, 512  # steps of text that units are correlated with, and the length of the rows they are read in
SHOWN_STEPS, SHOWN_UNITS, STRIP_STEPS, PATH_STEPS = 96, 32, 480, 80
STRIPS = 4
LEAST_CORRELATION = 0.25  # from which on a unit is said to track something

TEXT = (
    "The memory while the model reads. Units that track something are looked for by correlation: each is chosen on one "
    "half of the text, and its correlation is that on the other half."
)


def look(subject: Subject) -> Part:
    """The trained model over a stretch of the text."""
    windows = subject.windows(max(1, STEPS // CHUNK), CHUNK)  # (B, T)
    values = _states(subject, subject.model, windows)
    pieces = [piece for row in windows for piece in subject.pieces(row)]
    features = text_features(pieces, range(0, len(pieces), windows.shape[1]))
    found = _best(values, features)
    before = {one.feature: one.correlation for _, one in _best(_states(subject, subject.fresh, windows), features)}
    best = [(part, one) for part, one in found if one.above_chance and abs(one.correlation) >= LEAST_CORRELATION]
    # The drawings are of the second half, on which no unit was chosen.
    begin = len(windows) // 2 * windows.shape[1] if len(windows) > 1 else 0
    strip, shown = slice(begin, begin + min(STRIP_STEPS, windows.shape[1])), slice(begin, begin + SHOWN_STEPS)
    maps = {part: most_active(matrix, SHOWN_UNITS) for part, matrix in values.items()}
    symbols = subject.symbols(windows.flatten()[shown])
    figures = [
        *([_trackers(found)] if found else []),
        _path(values, pieces, begin),
        *(_strip(part, one, values[part][strip], pieces[strip]) for part, one in best[:STRIPS]),
        *(_map(part, values[part][shown], units, symbols) for part, units in maps.items()),
    ]
    lines = [
        f"unit {one.unit} of {part} goes with “{one.feature}”: correlation {one.correlation:+.2f} "
        f"(chance is {one.chance:.2f}; {subject.fresh_name}: {before[one.feature]:+.2f})"
        for part, one in best
    ] or [_none(found)]
    numbers: dict[str, Any] = {
        "trackers": [{"memory": part, **vars(one), "untrained": before[one.feature]} for part, one in found],
        "states": {part: {"units": units, "values": values[part][shown, units]} for part, units in maps.items()},
        "text": "".join(piece or "" for piece in pieces[strip]),
        "path": path_in_plane(next(reversed(values.values())))[0][begin : begin + PATH_STEPS],
    }
    return Part(Chapter("The contents of the memory", TEXT, figures, lines), numbers, lines)


def _states(subject: Subject, model: LanguageModel, windows: torch.Tensor) -> Values:
    """Every part of the memory after every token; for a Transformer, its hidden states."""
    resets = subject.resets(windows)
    if not has_vectors_for_memory(model):
        with torch.no_grad():
            return {"the hidden state": model.read(windows, resets=resets)[0].flatten(0, 1).double().numpy()}
    every = states_of(visit_layers(model, lambda: model.read(windows, resets=resets)))
    return {part: values.reshape(-1, values.shape[-1]) for part, values in every.items()}


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
        x=f"first component, {share[0]:.0%} of the variance",
        y=f"second component, {share[1]:.0%}" if len(share) > 1 else "",
        reading="Each point is the memory after a token, seen along the two directions in which it varies most, with "
        f"{share[:2].sum():.0%} of its variance: points far apart are different states, points close together may "
        "differ in directions that are not drawn, and the line follows the text.",
    )


def _strip(part: str, tracker: Tracker, values: npt.NDArray[np.float64], pieces: list[str | None]) -> Figure:
    unit = values[:, tracker.unit] - np.median(values[:, tracker.unit])
    return text_strip(
        [piece or "" for piece in pieces],
        unit,
        limit=float(np.quantile(np.abs(unit), 0.98)),
        title=f"{tracker.feature.capitalize()}: unit {tracker.unit} of {part} (correlation {tracker.correlation:+.2f})",
        reading="The colour behind a token is the unit's value after reading it: orange above its median, blue below.",
    )


def _map(part: str, matrix: npt.NDArray[np.float64], units: npt.NDArray[np.int64], symbols: list[str]) -> Figure:
    shown = matrix[:, units].T - np.median(matrix[:, units], axis=0)[:, None]
    return heatmap(
        shown,
        title=f"{part.capitalize()} over the text: the {len(units)} units that vary most",
        x="token read",
        y="unit",
        rows=[str(unit) for unit in units],
        columns=symbols,
        limit=float(np.quantile(np.abs(shown), 0.98)),
        wide=True,
        reading="A row is a unit and a column the token it has just read: orange above the unit's median, "
        "blue below, and the stronger the colour the further from it; a value that stays for long is a long stripe.",
    )

"""No two series of a chart look the same, to nobody, in the light and in the dark."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.report import Chapter, Line, Points, line_chart, point_chart, render
from elman.report.heatmap import NEGATIVE, POSITIVE
from elman.report.notebook import HOST
from elman.report.page import Report
from elman.report.palette import COLOURS, DARK, DASHES, LIGHT, PATTERNS, SHAPES, series_styles
from elman.report.style import DARK as DARK_PAGE
from elman.report.style import LIGHT as LIGHT_PAGE
from elman.report.style import STYLE

# What is left of linear red, green and blue without one of the three cones (Machado, Oliveira & Fernandes 2009).
SIGHT = {
    "all cones": np.eye(3),
    "no long ones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle ones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short ones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colours: tuple[str, ...]) -> np.ndarray:
    values = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    x = np.clip(rgb, 0, 1) @ SRGB.T / [0.95047, 1, 1.08883]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_two_colours_are_told_apart(colours: tuple[str, ...], sight: str) -> None:
    seen = lab(linear(colours) @ np.array(SIGHT[sight]).T)
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)[~np.eye(COLOURS, dtype=bool)]
    assert distance.min() > 19.5


@pytest.mark.parametrize(("colours", "page"), [(LIGHT, LIGHT_PAGE), (DARK, DARK_PAGE)], ids=["light", "dark"])
def test_every_colour_stands_out_from_its_card(colours: tuple[str, ...], page: dict[str, str]) -> None:
    """WCAG 2.1: graphics have a contrast of 3 with what is around them."""
    brightness = linear((*colours, page["card"])) @ SRGB[1] + 0.05
    ratio = brightness[:-1] / brightness[-1]
    assert np.maximum(ratio, 1 / ratio).min() >= 3


@pytest.mark.parametrize(
    ("ink", "card"), [("#000000", "#ffffff"), ("#3b3b3b", "#ffffff"), ("#e1e1e1", "#111111"), ("#cccccc", "#1f1f1f")]
)
def test_every_colour_stands_out_in_a_notebook(ink: str, card: str) -> None:
    """As JupyterLab and VS Code have them, without scripts: all colours of the palette, and a part of the text's."""
    found = re.findall(r"--c(\d+):color-mix\(in srgb,(#\w+),currentColor (\d+)%\)", HOST)
    assert [int(number) for number, *_ in found] == [*range(1, COLOURS + 1)]
    mixed = []
    for _, colour, part in found:
        pairs = [(int(colour[at : at + 2], 16), int(ink[at : at + 2], 16)) for at in (1, 3, 5)]
        mixed.append("#" + "".join(f"{round(a + int(part) / 100 * (b - a)):02x}" for a, b in pairs))
    brightness = linear((*mixed, card)) @ SRGB[1] + 0.05
    ratio = brightness[:-1] / brightness[-1]
    assert np.maximum(ratio, 1 / ratio).min() >= 3
    seen = lab(linear(tuple(mixed)))
    assert np.linalg.norm(seen[:, None] - seen, axis=-1)[~np.eye(COLOURS, dtype=bool)].min() > 19.5


@pytest.mark.parametrize("page", [LIGHT_PAGE, DARK_PAGE], ids=["light", "dark"])
def test_words_can_be_read_on_cards_and_on_shades(page: dict[str, str]) -> None:
    """WCAG 2.1: text has a contrast of 4.5 with what is behind it, the strongest shade of a strip included."""
    card, part = np.array([int(page["card"][at : at + 2], 16) for at in (1, 3, 5)]), float(page["shade"])
    shades = [card + part * (np.array(colour) - card) for colour in (POSITIVE, NEGATIVE)]
    behind = ["#" + "".join(f"{round(value):02x}" for value in shade) for shade in shades]
    for ink, papers in (
        (page["ink"], [page["card"], page["page"], *behind]),
        (page["soft"], [page["card"], page["page"]]),
    ):
        brightness = linear((ink, *papers)) @ SRGB[1] + 0.05
        ratio = brightness[1:] / brightness[0]
        assert np.maximum(ratio, 1 / ratio).min() >= 4.5


def drawn(html: str, kind: str) -> list[tuple[str, ...]]:
    """How every series is drawn: its colour and what the style sheet or its path make of its pattern."""
    found = []
    for element in ET.fromstring(html).iter():
        classes = element.attrib.get("class", "").split()
        if kind in classes:
            shape = element.attrib["d"] if kind == "point" and element.tag == "path" else ""
            found.append((*sorted(classes), shape))
    return found


def figure(kind: str, wanted: list[tuple[int | None, bool]]):
    x = np.arange(3)
    words = {"title": "t", "x": "x", "y": "y", "reading": "r"}
    if kind == "line":
        return line_chart([Line(f"a {i}", x, x + i, colour=c, dashed=d) for i, (c, d) in enumerate(wanted)], **words)
    return point_chart([Points(f"a {i}", x[:1], x[:1] + i, colour=c) for i, (c, _) in enumerate(wanted)], **words)


@pytest.mark.parametrize("kind", ["line", "point"])
@given(st.lists(st.tuples(st.none() | st.integers(1, 12), st.booleans()), min_size=1, max_size=COLOURS * PATTERNS))
def test_no_two_series_look_the_same(kind: str, wanted: list[tuple[int | None, bool]]) -> None:
    made = figure(kind, wanted)
    series = drawn(made.drawing, kind)
    assert len(set(series)) == len(series) == len(wanted)
    keys = [drawn(f"<p>{key}</p>", kind) for key, _ in made.legend]
    assert [key for [key] in keys] == series  # the legend shows each as it is drawn


@pytest.mark.parametrize("kind", ["line", "point"])
def test_where_all_styles_are_taken_a_series_has_a_number(kind: str) -> None:
    many = COLOURS * PATTERNS
    made = figure(kind, [(1, False)] * (many + 3))
    notes = [text.text for text in ET.fromstring(made.drawing).iter("text") if text.attrib["class"] == "note"]
    assert notes == ["1", "2", "3"]
    assert [re.findall("<b>(.*?)</b>", key) for key, _ in made.legend][many:] == [["1"], ["2"], ["3"]]


def test_a_series_has_the_colour_it_wants() -> None:
    assert [(style.colour, style.pattern) for style in series_styles([(3, 0), (None, 0), (3, 1), (0, 0), (1, 0)])] == [
        (3, 0),
        (2, 0),
        (3, 1),
        (0, 0),
        (1, 0),
    ]


def test_seven_series_have_seven_colours() -> None:
    assert len({style.colour for style in series_styles([(number, 0) for number in range(1, 8)])}) == 7


def test_the_style_sheet_knows_every_style() -> None:
    for colours in (LIGHT, DARK):
        for number, colour in enumerate(colours, start=1):
            assert f"--c{number}:{colour};" in STYLE
            assert f".c{number}{{--c:var(--c{number})}}" in STYLE
    assert len(set(DASHES)) == PATTERNS == len(set(SHAPES)) + 1
    for pattern, dashes in enumerate(DASHES):
        assert f".line.d{pattern}{{stroke-dasharray:{dashes}}}" in STYLE


def test_a_legend_stands_in_the_page() -> None:
    made = figure("line", [(None, False), (None, False)])
    html = render(Report("t", chapters=[Chapter("s", "", [made])]))
    assert html.count('<svg class="key"') == 2

"""Reports: well formed, self-contained, escaped, and with the numbers that were drawn."""

from __future__ import annotations

import json
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.report import (
    Chapter,
    Figure,
    Line,
    Mark,
    Points,
    Report,
    Table,
    bar_chart,
    heatmap,
    line_chart,
    passages,
    point_chart,
    render,
    text_strip,
)
from elman.report.axes import Scale, log_ticks, span, ticks
from elman.report.figure import number
from elman.report.heatmap import picture

NASTY = '<script>alert("1")</script> & \'"'


class Outline(HTMLParser):
    """The elements and the text of a page, and whether its tags fit each other."""

    VOID = frozenset({"meta", "link", "br"})
    OPTIONAL = frozenset({"td", "th", "tr", "tbody", "thead"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[tuple[str, str]] = []  # and in which element

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        if tag not in self.VOID | self.OPTIONAL:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append((data, self.open[-1] if self.open else ""))


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def figures(title: str = "A figure") -> list[Figure]:
    x = np.arange(20)
    words = {"title": title, "reading": title}
    return [
        line_chart([Line(title, x, x**2.0, x**1.5, x**2.5)], x=title, y=title, marks=[Mark(3, title)], **words),
        line_chart([Line(title, x, 0.5**x, dashed=True)], x="x", y="y", log_y=True, log_x=True, wide=True, **words),
        point_chart(
            [Points(title, x, x, texts=[title] * 20, path=True, labels=[(2, title)])], x=title, y=title, **words
        ),
        bar_chart([title, "b"], np.array([0.5, -1.0]), x=title, notes=[title, ""], **words),
        heatmap(np.eye(4), x=title, y=title, rows=[title] * 4, columns=[title] * 4, **words),
        text_strip([title, "\n", "b"], np.array([0.5, -1, 0]), **words),
        passages([[(title, title), ("b", "c")], [(title, "d")]], **words),
    ]


def page(title: str) -> str:
    section = Chapter(title, title, figures(title), [title])
    return render(Report(title, title, [(title, title)], [section], title))


def test_every_text_is_escaped_wherever_it_stands() -> None:
    found = outline(page(NASTY))
    shown = "".join(word for word, inside in found.words if inside != "script")
    assert shown.count(NASTY) > 20
    data = [json.loads(word) for word, inside in found.words if inside == "script" and word.startswith("{")]
    assert found.names.count("script") == len(data) + 1  # data, the import map, and what begins
    assert sum(json.dumps(one).count(json.dumps(NASTY)) for one in data) > 20
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_nothing_is_fetched() -> None:
    html = page("A page")
    for name, value in outline(html).attributes:
        if name in {"href", "src", "xlink:href"}:
            assert value.startswith(("#", "data:")), value
    assert not re.search(r"https?://|@import|url\(", html)


@pytest.mark.parametrize("figure", figures(), ids=range(7))
def test_a_drawing_is_well_formed(figure: Figure) -> None:
    root = ET.fromstring(figure.drawing)
    if root.tag == "svg":
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for text in root.iter("text"):
            assert 0 <= float(text.attrib["x"]) <= width
            assert 0 <= float(text.attrib["y"]) <= height
    assert "nan" not in figure.drawing
    assert figure.table.rows


def test_words_lie_over_all_that_is_drawn() -> None:
    x = np.arange(20)
    words = {"title": "t", "reading": "r", "x": "x", "y": "y"}
    lines = [Line(str(index), x, x * index) for index in range(40)]  # so many that some have numbers
    points = [Points(str(index), x, x * index, path=True, labels=[(3, f"label {index}")]) for index in range(40)]
    for figure in (line_chart(lines, marks=[Mark(3, "a"), Mark(4, "b")], **words), point_chart(points, **words)):
        drawn = [part for part in ET.fromstring(figure.drawing) if part.attrib.get("class") not in ("hit", "mark")]
        kinds = [part.attrib["class"] == "note" for part in drawn]
        first = kinds.index(True)
        assert first > 40
        assert all(kinds[first:])


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 14)), min_size=1, max_size=8))
def test_words_at_marks_do_not_cover_each_other(marks: list[tuple[float, int]]) -> None:
    x = np.arange(101)
    chart = line_chart(
        [Line("a", x, x)],
        title="a",
        x="x",
        y="y",
        reading="a",
        marks=[Mark(place, "m" * letters) for place, letters in marks],
    )
    rows: dict[str, list[tuple[float, float]]] = {}
    for text in ET.fromstring(chart.drawing).iter("text"):
        if text.attrib["class"] == "note" and set(text.text or "") == {"m"}:
            begin, width = float(text.attrib["x"]), 6 * len(text.text or "")
            begin -= width * (text.attrib["text-anchor"] == "end")
            rows.setdefault(text.attrib["y"], []).append((begin, begin + width))
    assert sum(map(len, rows.values())) == len(marks)
    for taken in rows.values():
        taken.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(taken))


@given(st.floats(-1e300, 1e300) | st.integers(-(10**300), 10**300))
@example(9.9999997e-5)  # rounded to three digits it is no longer under the limit it was found under
def test_a_number_reads_as_itself(value: float) -> None:
    shown = number(value)
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.0051)


@settings(deadline=None)
@given(
    y=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=30),
    log=st.booleans(),
    band=st.booleans(),
)
def test_any_numbers_can_be_drawn(y: list[float], log: bool, band: bool) -> None:
    heights = np.array(y, np.float64)
    x = np.arange(len(y))
    line = Line("a", x, heights, heights - 1 if band else None, heights * 2 if band else None)
    figure = line_chart([line], title="t", x="x", y="y", reading="r", log_y=log)
    root = ET.fromstring(figure.drawing)
    numbers = re.findall(r"-?\d+\.?\d*", " ".join(path.attrib["d"] for path in root.iter("path")))
    assert all(-1e4 < float(number) < 1e4 for number in numbers)
    assert "nan" not in figure.drawing
    assert "inf" not in figure.drawing.replace("infinity", "")
    assert len(figure.table.rows) == len(y)


def test_no_lines_at_all() -> None:
    assert ET.fromstring(line_chart([], title="t", x="x", y="y", reading="r").drawing) is not None


def test_the_table_has_the_numbers_of_all_lines() -> None:
    lines = [Line("a", np.array([1, 2]), np.array([0.5, 0.25])), Line("b", np.array([2, 3]), np.array([7.0, 8.0]))]
    table = line_chart(lines, title="t", x="lag", y="y", reading="r").table
    assert table.headings == ["lag", "a", "b"]
    assert table.rows == [[1, 0.5, None], [2, 0.25, 7.0], [3, None, 8.0]]


def test_a_line_goes_where_its_numbers_are() -> None:
    x, y = np.array([0.0, 10.0]), np.array([0.0, 1.0])
    figure = line_chart([Line("a", x, y)], title="t", x="x", y="y", reading="r")
    [path] = [p.attrib["d"] for p in ET.fromstring(figure.drawing).iter("path") if "line" in p.attrib.get("class", "")]
    assert path == "M58.0 254.0L464.0 34.0"  # from the lower left corner of the frame to the upper right


@given(low=st.floats(-1e6, 1e6), size=st.floats(1e-3, 1e6))
def test_ticks_are_round_and_within(low: float, size: float) -> None:
    found = ticks(low, low + size)
    assert 2 <= len(found) <= 8
    assert all(low - size * 1e-6 <= tick <= low + size * (1 + 1e-6) for tick in found)
    step = found[1] - found[0]
    assert f"{step:.0e}"[0] in "125"


@given(low=st.integers(-30, 20), size=st.integers(1, 40))
def test_log_ticks_are_powers_of_ten(low: int, size: int) -> None:
    found = log_ticks(10.0**low, 10.0 ** (low + size))
    assert 1 <= len(found) <= 7
    assert all(abs(np.log10(tick) - round(np.log10(tick))) < 1e-9 for tick in found)


@given(st.lists(st.floats(-1e6, 1e6), max_size=9), st.booleans(), st.booleans())
def test_a_span_holds_its_numbers(values: list[float], log: bool, zero: bool) -> None:
    low, high = span([np.array(values)], log=log, zero=zero)
    assert low < high
    for value in values:
        if not log or value > 1e-280:
            slack = 1e-6 * (high - low)
            assert low - slack <= value <= high + slack


def test_a_scale_maps_its_ends_to_its_ends() -> None:
    np.testing.assert_allclose(Scale(1, 100, 0, 10, log=True)([1, 10, 100, 1000]), [0, 5, 10, 10])


@settings(deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_picture_is_a_png_of_the_numbers(rows: int, columns: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    data = picture(values, 1.0)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + size]
        [checksum] = struct.unpack(">I", data[place + 8 + size : place + 12 + size])
        assert checksum == zlib.crc32(name + body)
        chunks[name] = body
        place += 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (columns, rows)
    pixels = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, columns + 1)
    assert not pixels[:, 0].any()
    np.testing.assert_allclose((pixels[:, 1:].astype(float) - 127) / 127, values, atol=0.5 / 127 + 1e-9)


def names(figure: Figure) -> list[ET.Element]:
    return [text for text in ET.fromstring(figure.drawing).iter("text") if text.attrib["class"] == "dense"]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 150),
    columns=st.integers(1, 150),
    word=st.sampled_from(["a", "␣word", "Donaudampfschifffahrtsgesellschaft", "言葉", "<eod>"]),
    wide=st.booleans(),
)
def test_every_name_of_a_heatmap_can_be_read(rows: int, columns: int, word: str, wide: bool) -> None:
    """All are there, none lies over another, and each is whole or tells the whole under the pointer."""
    given_rows, given_columns = [f"{word}{i}" for i in range(rows)], ["." if i % 2 else word for i in range(columns)]
    figure = heatmap(
        np.ones((rows, columns)),
        title="t",
        reading="r",
        x="x",
        y="y",
        rows=given_rows,
        columns=given_columns,
        wide=wide,
    )
    root, texts = ET.fromstring(figure.drawing), names(figure)
    assert [text.findtext("title") or text.text for text in texts] == given_rows + given_columns
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert root.attrib["style"] == f"min-width:{width:g}px"  # it is scrolled rather than made smaller
    sizes = [float(text.attrib["style"].removeprefix("font-size:").removesuffix("px")) for text in texts]
    assert min(sizes) >= 9.5
    places = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in texts]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    down = np.diff([y for _, y in places[:rows]])
    assert (down >= 11.5).all()  # the size of its letters
    column_texts, column_places = texts[rows:], places[rows:]
    reach = []
    for text, (x, _) in zip(column_texts, column_places, strict=True):
        letters = sum(2 if ord(letter) > 0x3000 else 1 for letter in text.text or "")
        half = 4.5 if "transform" in text.attrib else letters * 0.5 * sizes[-1] / 2
        middle = x - 3 if "transform" in text.attrib else x
        reach.append((middle - half, middle + half))
    assert all(right <= left + 0.2 for (_, right), (left, _) in pairwise(reach))


@pytest.mark.parametrize("word", ["b", "the"])
def test_a_special_symbol_turns_no_other_name(word: str) -> None:
    tokens = [*"a" * 30, "<eod>", word]
    map_ = heatmap(np.ones((1, 32)), title="t", reading="r", x="x", y="y", columns=tokens)
    lines = line_chart([Line("a", np.arange(32), np.arange(32))], title="t", reading="r", x="x", y="y", names=tokens)
    for texts in (names(map_)[1:], names(lines)):
        assert len(texts) == 32
        assert all(("transform" in text.attrib) == (word == "the") for text in texts)
        assert (texts[30].text, texts[30].findtext("title")) == (("∎", "<eod>") if word == "b" else ("<eod>", None))


def test_forty_tokens_a_side_are_all_named() -> None:
    tokens = [f"␣token{i}" for i in range(40)]
    figure = heatmap(np.eye(40), title="t", reading="r", x="source", y="written", rows=tokens, columns=tokens)
    assert [text.text for text in names(figure)] == tokens * 2


def test_a_matrix_without_names_has_some_numbers() -> None:
    figure = heatmap(np.ones((3, 1000)), title="t", reading="r", x="x", y="y")
    numbers = [int(text.text or "") for text in names(figure)]
    assert numbers[:4] == [0, 1, 2, 0]
    assert 5 < len(numbers) < 60


def test_bars_are_marked() -> None:
    marks = [Mark(0.1, "chance"), Mark(0.9, "the other")]
    figure = bar_chart(["a"], np.array([0.5]), title="t", x="x", reading="r", limit=1.0, marks=marks)
    root = ET.fromstring(figure.drawing)
    starts = [float(p.attrib["d"].split()[0][1:]) for p in root.iter("path") if p.attrib["class"] == "mark"]
    [bar] = [rect for rect in root.iter("rect") if "bar" in rect.attrib["class"]]
    zero, size = float(bar.attrib["x"]), float(bar.attrib["width"]) / 0.5
    np.testing.assert_allclose(starts, [zero + 0.1 * size, zero + 0.9 * size], atol=0.2)
    assert {"chance", "the other"} <= {text.text for text in root.iter("text")}


def test_a_name_beside_a_bar_is_whole() -> None:
    names = ["lstm without forget gate", "lstm without output gate"]
    figure = bar_chart(names, np.array([0.1, 0.9]), title="t", x="x", reading="r", notes=["× 119.5", "× 93.6"])
    root = ET.fromstring(figure.drawing)
    assert set(names) <= {text.text for text in root.iter("text")}
    assert all(float(rect.attrib["width"]) > 0 for rect in root.iter("rect"))


def test_passages_stand_one_below_the_other() -> None:
    figure = passages([[("source", "ein Haus"), ("reference", "a house")]], title="t", reading="r")
    assert [element.text for element in ET.fromstring(figure.drawing).iter() if element.tag in ("dt", "dd")] == [
        "source",
        "ein Haus",
        "reference",
        "a house",
    ]
    assert figure.table.rows == [["1", "source", "ein Haus"], ["1", "reference", "a house"]]


def test_a_strip_keeps_its_text() -> None:
    pieces = ["a", " <b>", "\n", "c\t"]
    figure = text_strip(pieces, np.array([0.5, 0.5, -1, 0]), title="t", reading="r")
    assert "".join(ET.fromstring(figure.drawing).itertext()) == "a <b>↵\nc    "
    assert [row[1] for row in figure.table.rows] == [0.5, 0.5, -1, 0]


def test_a_table_is_html() -> None:
    assert Table(["a<"], [["x&", 0.5, None]]).html() == (
        "<table><thead><tr><th>a&lt;</thead><tbody><tr><th>x&amp;<td>0.5<td>–</tbody></table>"
    )

"""Charts that answer: their data, the modules that a page holds, and the figures made for them."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from importlib import resources
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.report import (
    Chapter,
    Figure,
    Line,
    Points,
    Report,
    alignment,
    bar_chart,
    choice,
    fan_chart,
    heatmap,
    likeness,
    line_chart,
    passages,
    point_chart,
    reading,
    render,
    text_strip,
)
from elman.report.chart import COMPONENTS, Chart, Coarse, Half, pack
from elman.report.heatmap import picture

WORDS: dict[str, Any] = {"title": "t", "reading": "r"}


def unpack(packed: dict[str, Any]) -> np.ndarray[Any, Any]:
    values = np.frombuffer(base64.b64decode(packed["data"]), f"<{packed['type']}").reshape(packed["shape"])
    if packed["type"] != "i1":
        return values
    return np.where(values == -128, np.nan, values * unpack(packed["scales"])[:, None].astype(np.float64))


@given(st.lists(st.floats(-1e300, 1e300), max_size=9))
def test_an_array_is_packed_without_loss_that_one_could_see(values: list[float]) -> None:
    array = np.array(values)
    np.testing.assert_allclose(unpack(pack(array)), array, rtol=1e-7)
    np.testing.assert_allclose(unpack(pack(Half(array))), array, rtol=1e-7, atol=5e-4 * abs(array).max(initial=0.0))


@given(st.integers(1, 4), st.integers(0, 5), st.floats(1e-20, 1e20))
def test_a_coarse_matrix_has_a_scale_for_each_row(rows: int, columns: int, size: float) -> None:
    values = np.random.default_rng(rows).normal(size=(rows, columns)) * size ** np.arange(rows)[:, None].clip(max=1)
    values[:, :1] = np.nan
    found = unpack(pack(Coarse(values)))
    assert np.isnan(found[:, :1]).all()
    largest = np.nanmax(np.abs(values[:, 1:]), 1, initial=0.0, keepdims=True)
    assert (np.abs(found - values)[:, 1:] <= 0.501 * largest / 127).all()


def test_no_text_ends_the_element_of_the_data() -> None:
    text = Chart("strip", {"pieces": ["</script><!--"]}).json()
    assert "<" not in text
    assert json.loads(text) == {"pieces": ["</script><!--"]}


def modules(html: str) -> dict[str, str]:
    """The texts of the modules in a page, by name."""
    [table] = re.findall(r'<script type="importmap">(.*?)</script>', html)
    prefix = "data:text/javascript;base64,"
    addresses = json.loads(table)["imports"]
    assert all(address.startswith(prefix) for address in addresses.values())
    return {name: base64.b64decode(address[len(prefix) :]).decode() for name, address in addresses.items()}


def page(*figures: Figure) -> str:
    return render(Report("t", chapters=[Chapter("c", "t", figures)]))


def every_kind() -> dict[str, Figure]:
    x = np.arange(5)
    strip = text_strip(list("abcde"), x - 2.0, **WORDS)
    return {
        "lines": line_chart([Line("a", x, x)], x="x", y="y", **WORDS),
        "points": point_chart([Points("a", x, x)], x="x", y="y", **WORDS),
        "bars": bar_chart(["a"], np.array([1.0]), x="x", **WORDS),
        "heat": heatmap(np.eye(3), x="x", y="y", **WORDS),
        "alignment": alignment(np.eye(2), ["a", "b"], ["c", "d"], **WORDS),
        "strip": strip,
        "reading": reading(list("abcde"), {"h": np.eye(3, 5)}, range(3), **WORDS),
        "choice": choice({"one": strip, "two": passages([[("a", "b")]], **WORDS)}, **WORDS),
    }


def test_every_kind_has_a_component() -> None:
    assert {figure.chart.kind for figure in every_kind().values() if figure.chart} == set(COMPONENTS)
    for name in COMPONENTS.values():
        text = (resources.files("elman.report") / "components" / name).read_text("utf-8")
        assert re.search(r"^export function mount\(", text, re.MULTILINE)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_a_page_holds_the_modules_that_it_needs_and_no_other(kind: str) -> None:
    html = page(every_kind()[kind])
    found = modules(html)
    needed = {name for text in found.values() for name in re.findall(r'^import .* from "(.+?)";$', text, re.MULTILINE)}
    [begin] = re.findall(r'<script type="module">(.*?)</script>', html)
    needed |= set(re.findall(r'from "(.+?)"', begin))
    assert needed == set(found)
    assert f"elman/{COMPONENTS[kind]}" in found
    assert any("uPlot.min" in name for name in found) == (kind in ("lines", "points"))


def test_a_page_without_charts_has_no_script() -> None:
    assert "<script" not in page(passages([[("a", "b")]], **WORDS))


def test_what_nothing_stands_beside_takes_the_whole_row() -> None:
    kinds = every_kind()
    html = page(kinds["bars"], kinds["lines"], kinds["points"], kinds["strip"], kinds["heat"])
    assert re.findall(r"<figure(.*?)>", html) == ["", "", " class=alone", " class=wide", " class=alone"]


def test_a_choice_holds_all_its_figures() -> None:
    figure = every_kind()["choice"]
    html = page(choice({"inner": figure}, title="outer", columns=2))
    assert re.findall(r'data-name="(.*?)"', html) == ["inner", "one", "two"]
    assert figure.wide
    assert html.count('class="numbers"') == 2


def test_a_reading_draws_the_units_that_vary_most_and_holds_all() -> None:
    U, T = 58, 6
    rng = np.random.default_rng(0)
    states = rng.normal(size=(U, T)) * np.where(np.arange(U) % 2, 1, 1e-3)[:, None]
    gates = {"f": rng.uniform(size=(U, T)), "i": rng.uniform(size=(U, T))}
    pieces = [" a", "\n", "b", "c", "d", "<e>"]
    figure = reading(pieces, {"c": states}, range(U), gates=gates, unit=4, **WORDS)
    assert figure.chart
    data = figure.chart.data
    assert data["columns"] == ["␣a", "↵", "b", "c", "d", "<e>"]
    assert {4, *range(1, U, 2)} <= set(data["shown"])
    assert len(data["shown"]) == 32
    assert unpack(pack(data["states"]["c"])).shape == (U, T)
    np.testing.assert_allclose(unpack(pack(data["gates"]["i"])), gates["i"], atol=0.5 / 127)
    [at] = [column for column, heading in enumerate(figure.table.headings) if heading == "c, 4"]
    assert [row[at] for row in figure.table.rows] == [float(f"{value:.3g}") for value in states[4]]
    root = ET.fromstring(figure.drawing)
    gate_map = list(root.iter("svg"))[-1]
    assert [text.text for text in gate_map.iter("text")][2:4] == ["f", "i"]


def test_likeness_puts_together_what_goes_together() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 40))
    kind = rng.permutation([0, 1] * 5)
    rows = np.stack([(one, other)[which] * size for which, size in zip(kind, rng.uniform(0.1, 9, 10), strict=True)])
    order = likeness(rows + 0.01 * rng.normal(size=rows.shape))
    assert sorted(order.tolist()) == list(range(10))
    assert np.abs(np.diff(kind[order])).sum() == 1


def test_an_alignment_says_whether_it_is_right() -> None:
    names = [f"word{index}" for index in range(30)]
    for right, words in ((True, "✓ the same as the reference"), (False, "✗ not the reference"), (None, "")):
        figure = alignment(np.eye(30), names, names, texts=[("source", "<s>")], right=right, **WORDS)
        found = [dd.text for dd in ET.fromstring(figure.head).iter("dd")]
        assert found == ["<s>", *([words] if words else [])]
        assert figure.head in page(figure)
        texts = [text.text for text in ET.fromstring(figure.drawing).iter("text") if text.attrib["class"] == "dense"]
        assert texts == names * 2


def test_a_fan_has_a_band_for_each_pair_of_quantiles() -> None:
    steps = np.arange(3.0)
    quantiles = {0.5: steps, 0.9: steps + 2, 0.25: steps - 1, 0.1: steps - 2, 0.75: steps + 1, 0.99: steps + 3}
    figure = fan_chart(np.array([5.0, 6.0]), quantiles, truth=steps + 0.5, **WORDS)
    assert figure.table.headings[3:] == [
        "forecast, its median",
        *("forecast, its median, 80 %, low", "forecast, its median, 80 %, high"),
        *("forecast, its median, 50 %, low", "forecast, its median, 50 %, high"),
    ]
    assert figure.table.rows[0][:2] == [-1, 5.0]
    assert figure.table.rows[2] == [1, None, 0.5, 0, -2, 2, -1, 1]
    assert figure.drawing.count('class="band') == 2


def test_a_learning_curve_shows_its_end() -> None:
    x = np.arange(101)
    loss = np.where(x < 10, 90.0, 3 - 0.01 * x)
    figure = line_chart([Line("a", x, loss)], x="x", y="y", skip_first=0.2, **WORDS)
    assert figure.chart
    _, (low, high), whole = figure.chart.data["spans"]
    assert (low, high) == (2.0, 2.8)
    assert whole[1] >= 90
    [path] = [p.attrib["d"] for p in ET.fromstring(figure.drawing).iter("path") if "line" in p.attrib["class"]]
    heights = [float(pair.split()[1]) for pair in path[1:].split("L")]
    assert len(heights) == 82  # from the last one that is beyond the axis on, which stands at its end
    assert heights[:2] == [34.0, 34.0]


def test_letters_stand_below_their_points() -> None:
    letters = list("the cat")
    figure = line_chart([Line("a", np.arange(7), np.arange(7.0))], x="x", y="y", names=letters, **WORDS)
    texts = [text for text in ET.fromstring(figure.drawing).iter("text") if text.attrib["text-anchor"] == "middle"]
    assert [text.text for text in texts] == [*letters, "x"]
    places = [float(text.attrib["x"]) for text in texts[:7]]
    np.testing.assert_allclose(places, np.linspace(58, places[-1], 7), atol=0.1)


@pytest.mark.parametrize("wrong", [[np.inf], [-np.inf], [np.nan], [np.inf, -np.inf, np.nan]])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_not_finite_is_drawn_as_none(wrong: list[float], whole: bool) -> None:
    values = np.resize(np.array(wrong), (2, 6))
    if not whole:
        values[0] = [2.0, -1.0, 0.0, 1.0, 2.0, -2.0]
    names = list("abcdef")
    sides: dict[str, Any] = {"rows": names[:2], "columns": names, "x": "x", "y": "y"}
    drawn = {
        "heat": heatmap(values, **sides, **WORDS),
        "alignment": alignment(values, names, names[:2], limit=None, share=False, **WORDS),
        "strip": text_strip(names, values[1], **WORDS),
        "reading": reading(names, {"h": values}, [1, 2], gates={"i": values}, colours={"nats": values[1]}, **WORDS),
    }
    for name, figure in drawn.items():
        assert figure.chart is not None
        full = figure.chart.data["full"]
        largest = 1.0 if whole or name == "strip" else 2.0
        assert full == ({"h": largest, "nats": 1.0} if name == "reading" else largest)
        json.loads(figure.chart.json())
        assert "nan" not in figure.drawing
    assert "<i" not in drawn["strip"].drawing
    empty, mixed = picture(np.zeros((2, 6)), 1.0), picture(values, 1.0)
    assert (mixed == empty) == whole
    assert (likeness(values) == [0, 1]).all()


@pytest.mark.parametrize("kind", ["dots", "bars"])
def test_a_line_has_a_dot_at_each_of_its_points(kind: str) -> None:
    x = np.arange(3.0)
    figure = line_chart(
        [Line("a", x, x), Line("b", x, np.array([0, np.nan, 2]), **{kind: True})], x="x", y="y", **WORDS
    )
    dots = [c for c in ET.fromstring(figure.drawing).iter("circle") if "point" in c.attrib["class"]]
    assert len(dots) == 2
    assert figure.chart is not None
    assert [line["dots"] for line in figure.chart.data["lines"]] == [False, True]
    assert list(figure.table.headings) == ["x", "a", "b"]


def test_error_bars_reach_from_low_to_high() -> None:
    x, y = np.array([0.0, 1.0]), np.array([0.0, 8.0])
    ends = {"low": y - 1, "high": y + 2}
    charts = {
        "line": line_chart([Line("a", x, y, bars=True, **ends)], x="x", y="y", **WORDS),
        "points": point_chart([Points("a", x, y, **ends)], x="x", y="y", **WORDS),
        "bars": bar_chart(["a", "b"], y, x="x", **ends, **WORDS),
    }
    for name, figure in charts.items():
        paths = [p.attrib["d"] for p in ET.fromstring(figure.drawing).iter("path") if "interval" in p.attrib["class"]]
        found = [[float(number) for number in re.findall(r"[\d.]+", path.split("M")[-1])] for path in paths]
        lengths = [abs(last - first) for *_, first, last in ([a, c] if name == "bars" else [b, c] for a, b, c in found)]
        assert len(lengths) == 2
        assert lengths == pytest.approx([lengths[0]] * 2, abs=0.2)
        assert lengths[0] > 20
        assert {"low", "high"} <= {heading.rpartition(" ")[2] for heading in figure.table.headings}


def test_cells_without_a_number_have_a_cross() -> None:
    values = np.array([[0.0, np.nan], [1.0, -1.0]])
    [path] = ET.fromstring(heatmap(values, x="x", y="y", **WORDS).drawing).iter("path")
    assert path.attrib["d"].count("M") == 2
    assert not list(ET.fromstring(heatmap(np.nan_to_num(values), x="x", y="y", **WORDS).drawing).iter("path"))

"""Figures and pages in a notebook: what stands there without scripts, and the page that takes its place."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from elman.report import Chapter, Figure, Line, Report, choice, line_chart, render
from elman.report.learning import learning_curve, thinned
from elman.report.page import embedded

NASTY = "</script><b onload=alert(1)>&"


def chart(title: str = "A chart") -> Figure:
    x = np.arange(9.0)
    return line_chart([Line(title, x, x**2)], title=title, x="x", y="y", reading=title)


class Elements(HTMLParser):
    """The names and attributes of all elements outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(html: str) -> str:
    """The page that a script puts in the place of a drawing."""
    [text] = re.findall(r'const PAGE=("(?:[^"\\]|\\.)*");', html)
    return json.loads(text)


def test_a_figure_stands_there_before_any_script_runs() -> None:
    figure = chart()
    html = figure._repr_html_()
    assert figure.drawing in html
    assert figure.reading in html
    names = [name for name, _ in Elements(html).found]
    assert names.count("script") == 1
    assert "iframe" not in names  # the script makes it


def test_the_page_has_the_component() -> None:
    page = page_of(chart()._repr_html_())
    assert page.startswith("<!doctype html>")
    assert 'data-chart="' in page
    assert 'type="importmap"' in page
    assert page.count("postMessage") == 1


@pytest.mark.parametrize(
    "shown", [chart(NASTY), Report(NASTY, NASTY, chapters=[Chapter(NASTY, NASTY, [chart(NASTY)], [NASTY])])]
)
def test_texts_are_escaped(shown: Figure | Report) -> None:
    html = shown._repr_html_()
    elements = Elements(html).found
    assert not [name for name, attributes in elements if "onload" in attributes]
    assert [name for name, _ in elements].count("script") == 1
    assert html.count("</script") == 1  # no text ends the script


def test_the_sandbox_keeps_the_page_from_the_notebook() -> None:
    [sandbox] = re.findall(r'setAttribute\("sandbox", "(.*?)"\)', chart()._repr_html_())
    assert "allow-scripts" in sandbox
    assert "allow-same-origin" not in sandbox


def test_equal_figures_have_equal_outputs() -> None:
    assert chart()._repr_html_() == chart()._repr_html_()
    assert chart("a")._repr_html_() != chart("b")._repr_html_()


def test_of_a_choice_the_first_stands_there() -> None:
    html = embedded(choice({"1": chart("first"), "2": chart("second")}, title="both"))
    still = html[: html.index("<style>")]
    assert "first" in still
    assert "second" not in still
    assert "second" in page_of(html)


def test_a_report_scrolls_in_its_frame() -> None:
    report = Report("A title", chapters=[Chapter("One", "", [chart()], ["A finding."])])
    html = report._repr_html_()
    assert "A finding." in html[: html.index("<style>")]
    assert page_of(html).replace("</body>", "").startswith(render(report).split("</body>")[0])
    assert "const MOST=760;" in html


def test_a_learning_curve_has_every_loss_and_validation() -> None:
    steps = np.arange(1.0, 6.0)
    losses = np.array([5.0, 4.0, np.nan, 2.0, 1.0])
    figure = learning_curve(steps, losses, np.array([5.0]), np.array([1.5]), y="nats")
    assert [row[:2] for row in figure.table.rows] == [
        [1, 5],
        [2, 4],
        [3, pytest.approx(np.nan, nan_ok=True)],
        [4, 2],
        [5, 1],
    ]
    assert figure.table.rows[-1][2] == 1.5


def test_long_trainings_are_thinned_to_means() -> None:
    x = np.arange(1.0, 100_001.0)
    places, means = thinned(x, x)
    assert len(places) == 120
    assert places[-1] == 100_000
    edges = np.concatenate(([0], places))
    np.testing.assert_allclose(means, (edges[:-1] + 1 + places) / 2)  # each the middle of its stretch


def test_there_is_no_curve_before_the_first_step() -> None:
    nothing = np.zeros(0)
    assert thinned(nothing, nothing)[0].size == 0
    assert "<svg" in learning_curve(nothing, nothing, nothing, nothing, y="nats").drawing

"""Charts of one link in a browser: a series that is switched off in one is off in all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chromium import CHROMIUM, IN_BROWSER
from elman.report import Chapter, Line, Points, Report, line_chart, point_chart, render

sync = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'elman[dev]'")
pytestmark = IN_BROWSER
X = np.arange(9.0)


def test_a_series_is_switched_off_in_all_charts_of_its_link(tmp_path: Path) -> None:
    words = {"x": "x", "y": "y", "reading": ""}
    lines = [Line("gru", X, X), Line("lstm", X, X**2)]
    report = Report(
        "t",
        chapters=[
            Chapter(
                "c",
                "",
                [
                    line_chart(lines, title="first", link="models", **words),
                    line_chart(lines[::-1], title="second", link="models", **words),
                    point_chart([Points("gru", X, X), Points("a seed", X, X)], title="third", link="models", **words),
                    line_chart(lines, title="apart", **words),
                ],
            )
        ],
    )
    place = tmp_path / "report.html"
    place.write_text(render(report))
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        page.goto(place.as_uri())
        page.wait_for_function("document.querySelectorAll('figure canvas').length === 4")

        def pressed() -> dict[str, dict[str, bool]]:
            return page.evaluate(
                """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [
                figure.querySelector("h3").textContent,
                Object.fromEntries([...figure.querySelectorAll(".legend-series")].map((button) => [
                button.querySelector("span").textContent, button.getAttribute("aria-pressed") === "true"]))]))"""
            )

        def drawn() -> list[str]:
            return page.evaluate("[...document.querySelectorAll('figure canvas')].map((canvas) => canvas.toDataURL())")

        before = drawn()
        page.locator("figure", has_text="first").locator("button", has_text="gru").click()
        page.wait_for_timeout(200)
        off = {"gru": False, "lstm": True}
        assert pressed() == {
            "first": off,
            "second": off,
            "third": {"gru": False, "a seed": True},
            "apart": {"gru": True, "lstm": True},
        }
        assert [a != b for a, b in zip(before, drawn(), strict=True)] == [True, True, True, False]
        page.locator("figure", has_text="second").locator("button", has_text="lstm").click(modifiers=["Shift"])
        assert all(all(each.values()) for each in pressed().values())  # it was alone, and all are there again
        browser.close()

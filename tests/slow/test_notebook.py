"""A notebook from its first cell to its last: what a training, a run, a figure and a report show there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import elman
from chromium import CHROMIUM

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
Browser = Any

CELLS = [
    """
import elman
text = "the cat sat on the mat. " * 200
run = elman.fit(text, budget="30 steps", hidden_size=8, embedding_size=8, lanes=4, k1=8, out="run")
""",
    "run",
    'run.inspect(parts=["gates"])',
    'run.inspect(parts=["gates"]).report.chapters[0].figures[0]',
    """
from elman.compare.comparison import compare
from elman.compare.plan import Plan
from elman.train.schedule import Budget
from pathlib import Path
Path("text.txt").write_text(text)
plan = Plan(("text.txt",), ("gru", "elman"), budget=Budget(4, "steps"), parameters=5000, settings=("lanes=4", "k1=8"))
compare(plan, Path("comparison"))
""",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The HTML that every cell shows in the end."""
    place = tmp_path_factory.mktemp("notebook")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    source = str(Path(elman.__file__).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(place)}}).execute()
    return ["".join(each.get("data", {}).get("text/html", "") for each in cell.outputs) for cell in book.cells]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'elman[dev]'")
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM)
        yield running
        running.close()


def test_a_training_shows_its_learning_curve_live(outputs: list[str]) -> None:
    assert "Learning curve" in outputs[0]
    assert "<svg" in outputs[0]
    assert "best so far" in outputs[0]
    assert "<progress" not in outputs[0]


def test_a_run_shows_what_it_is_and_how_it_learnt(outputs: list[str]) -> None:
    assert "parameters" in outputs[1]
    assert "Learning curve" in outputs[1]
    assert "srcdoc" in outputs[1]


def test_reports_figures_and_comparisons_show_themselves(outputs: list[str]) -> None:
    for html, words in zip(outputs[2:], ("looked at closely", "gate", "gru · elman"), strict=True):
        assert words in html
        assert "srcdoc" in html
        assert html.count('setAttribute("sandbox", "allow-scripts') == 1


@pytest.mark.parametrize(("background", "colour", "theme"), [("#fff", "#111", "light"), ("#111", "#eee", "dark")])
def test_a_page_takes_the_place_of_the_drawing(
    outputs: list[str], browser: Browser, background: str, colour: str, theme: str
) -> None:
    """In the notebook's own light or dark, whatever the machine's is, as high as it is, and out of its reach."""
    page = browser.new_page(viewport={"width": 900, "height": 700}, color_scheme="light" if theme == "dark" else "dark")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    body = f'<body style="background:{background};color:{colour}">{outputs[3]}</body>'
    page.set_content(f"<!doctype html>{body}")
    page.wait_for_selector(".elman-output > div", state="hidden")
    [inner] = page.frames[1:]
    assert inner.evaluate("document.documentElement.dataset.theme") == theme
    inner.wait_for_selector(".u-wrap, canvas")  # the component
    height = inner.evaluate("document.body.offsetHeight")
    assert page.locator("iframe").bounding_box()["height"] == pytest.approx(height + 2, abs=2)
    assert inner.evaluate("(() => { try { return parent.document.title; } catch { return 'out of reach'; } })()") == (
        "out of reach"
    )
    page.evaluate("document.body.style.background = '#888'; document.body.style.color = '#fff'")
    inner.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert not errors
    page.close()


def test_without_scripts_the_drawing_stays(outputs: list[str], browser: Browser) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.set_content(f"<!doctype html><body>{outputs[3]}</body>")
    drawing = page.locator(".elman-output svg[role=img]").first
    assert drawing.bounding_box()["height"] > 100
    page.close()

"""The site in a browser: built without a warning, whole on a phone, and open to keyboards and screen readers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from chromium import CHROMIUM

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytest.importorskip("sphinx")

pytestmark = pytest.mark.slow
SHOWN = (
    "en/index", "en/course/09-attention", "en/how-to/reading-a-report", "en/gallery", "en/measured", "en/search",
    "en/reference/commands", "en/reference/settings", "en/reference/api/elman.nn", "pt/index", "pt/how-to/text",
    "pt/course/01-recurrence", "pt/measured",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both languages, as `make docs` builds them: a warning, such as a link that leads nowhere, is an error."""
    place = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--conf-dir", "docs"]
    for language, code in (("en", "en"), ("pt", "pt_BR")):
        built = [*sphinx, "-D", f"language={code}", f"docs/{language}", str(place / language)]
        made = subprocess.run(built, cwd=pages.ROOT, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_a_page_is_whole_and_accessible(site: Path, browser: playwright.Browser, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for shown in SHOWN:
        page.goto((site / f"{shown}.html").as_uri())
        found = [
            each for each in axe.Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")
        ]
        assert not found, (shown, [(each["id"], each["nodes"][0]["html"][:200]) for each in found])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{shown} overflows"
    page.close()


def test_every_page_links_its_twin_and_fetches_nothing(site: Path) -> None:
    for language, other in (("en", "pt"), ("pt", "en")):
        built = sorted((site / language).rglob("*.html"))
        assert len(built) > 30
        for path in built:
            html = path.read_text(encoding="utf-8")
            twin = html.partition('<p class="language"><a href="')[2].partition('"')[0]
            there = (path.parent / twin).resolve()
            same = site / other / path.relative_to(site / language)
            own = path.stem in ("search", "genindex", "py-modindex") or not same.exists()  # made for one language
            assert there == (site / other / "index.html" if own else same), path
            assert there.is_file(), path
            assert 'src="http' not in html
            assert ("<span>Next</span>" in html or "<span>Previous</span>" in html) <= (language == "en"), path

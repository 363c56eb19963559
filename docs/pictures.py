"""The pictures of the gallery: `python docs/pictures.py [FOLDER]` photographs figures of reports, with Chromium.

The commands of `docs/en/gallery.md` are run in FOLDER, except those whose run is there already; without FOLDER, in a
temporary one. A picture is one figure of a report as a browser shows it, in `docs/pictures/`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTH, SETTLED = 960, 1500  # pixels of the page, and milliseconds until its components stand
FIGURES = {  # the report, and what the figure's title begins with
    "memory": ("runs/demo/report.html", "Indentation of the line"),
    "gallery-reading": ("runs/demo/report.html", "The text, the memory and the gates"),
    "gallery-gradient": ("runs/demo/report.html", "Gradient by the memory: layer 1 c"),
    "gallery-error": ("runs/demo/report.html", "The error over a passage"),
    "gallery-alignment": ("runs/numbers/report.html", "What each written token looks at"),
    "gallery-forecasts": ("runs/co2/report.html", "Forecasts over the truth"),
    "gallery-channels": ("runs/digits/report.html", "What each channel did to the decision"),
    "gallery-tags": ("runs/orders/report.html", "What each word did to each tag"),
    "gallery-comparison": ("runs/compared/report.html", "Loss against tokens read"),
}


def commands(page: str) -> list[list[str]]:
    """The words after `elman` of each command that a page shows."""
    return [shlex.split(line) for line in re.findall(r"^\$ elman (.*)$", page, re.MULTILINE)]


def prepare(folder: Path) -> None:
    """Make the runs and reports of the gallery in a folder, as its page says, and the text that one of them reads."""
    topics = "import pydoc_data.topics as t; open('topics.txt', 'w').write('\\n\\n'.join(t.topics.values()))"
    subprocess.run([sys.executable, "-c", topics], cwd=folder, check=True)
    tags = (DOCS / "en" / "how-to" / "tags.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", tags, re.DOTALL)
    subprocess.run([sys.executable, "-c", program[1] if program else ""], cwd=folder, check=True)
    for words in commands((DOCS / "en" / "gallery.md").read_text(encoding="utf-8")):
        made = words[words.index("-o") + 1] if "-o" in words else f"{words[1]}/report.html"
        if words[0] != "serve" and not (folder / made).exists():
            print("$ elman", *words, flush=True)
            subprocess.run([sys.executable, "-m", "elman", *words], cwd=folder, check=True)


def photograph(page: Page, report: Path, title: str, picture: Path) -> None:
    """Write one figure of a report as PNG. Raises `ValueError` where the report has no such figure."""
    page.goto(report.resolve().as_uri())
    page.wait_for_timeout(SETTLED)
    for figure in page.query_selector_all("figure"):
        if figure.inner_text().strip().startswith(title):
            figure.screenshot(path=picture)
            return
    raise ValueError(f"{report} has no figure {title!r}")


def main(folder: Path) -> None:
    """Make the runs, and the pictures of their reports."""
    prepare(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 2000}, color_scheme="light")
        for name, (report, title) in FIGURES.items():
            photograph(page, folder / report, title, DOCS / "pictures" / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))

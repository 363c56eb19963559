"""The pictures of the course: `python docs/course_pictures.py [01 02 …]` makes them again.

A chapter's commands are those that its page shows; they are run, and one figure of the report that they write becomes
`docs/pictures/course-NN.svg`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from elman.report.style import STYLE

DOCS = Path(__file__).parent
CHAPTERS = {path.name[:2]: path for path in sorted((DOCS / "en" / "course").glob("[0-9]*.md"))}
FIGURES = {  # the report, and the figure's title
    "01": ("lab-elman-1990.html", "Letters into words"),
    "02": ("lab-powers.html", "What is left of an input k steps later"),
    "03": ("lab-vanishing.html", "The gradient against the lag"),
    "04": ("lab-truncation.html", "The loss against the window"),
    "05": ("lab-exploding-and-clipping.html", "Gradient norm before clipping"),
    "06": ("runs/lstm/report.html", "Time scales, from the forget gate"),
    "07": ("lab-gates.html", "The adding problem over 20 steps, one gate missing"),
    "08": ("lab-bottleneck.html", "Symbols repeated rightly"),
    "09": ("runs/numbers/report.html", "78033"),
    "10": ("lab-book-or-index.html", "Questions answered rightly"),
}
ROW, MARGIN = 20, 10  # the height of a legend's rows, and the card's margin


def commands(page: str) -> list[str]:
    """The commands that a page shows."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ elman ")]


def picture(report: str, title: str) -> str:
    """One figure of a report, in the light scheme, as an SVG file that needs no other.

    Raises:
        ValueError: the report has no such figure, or the figure is no SVG drawing.
    """
    title = escape(title)
    heading = re.search(rf"<(h[34])>{re.escape(title)}</\1>", report)  # h4 is one of several figures to choose from
    if heading is None:
        raise ValueError(f"no figure {title!r}")
    caption, _, drawing = report[heading.end() :].partition('<div class="drawing">')
    found = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>(.*?)</svg>', drawing, re.DOTALL)
    if found is None:
        raise ValueError(f"the figure {title!r} is no SVG drawing")
    width, height = float(found[1]), float(found[2])
    size = 12.5 if width < 600 else 18  # pixels: a page shows a wide figure smaller
    legend, top = _legend(caption, width, size)
    body = re.sub(r'<circle class="hit".*?</circle>', "", found[3])
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:g} {height + top + 2 * MARGIN:g}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" data-theme="light" viewBox="{box}" '
        f'width="{width + 2 * MARGIN:g}" height="{height + top + 2 * MARGIN:g}"><title>{title}</title>'
        f"<style>{STYLE}\n.title{{font:600 {size + 2.5}px var(--sans);fill:var(--ink)}}"
        f".tick,.label,.note{{font-size:{size}px}}</style>"
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="100%" height="100%" fill="#fff"/>'
        f'<text class="title" x="4" y="14">{title}</text>{legend}<g transform="translate(0 {top})">{body}</g></svg>\n'
    )
    ElementTree.fromstring(svg)  # well-formed, or ParseError
    return svg


def _legend(caption: str, width: float, letters: float) -> tuple[str, float]:
    """The keys and names of the series in rows, and the height of the title and of all rows."""
    x, y, parts = 4.0, 28.0, []
    for key, name in re.findall(r"<span>(<svg.*?</svg>)(.*?)</span>", caption, re.DOTALL):
        size = 40 + 0.56 * letters * len(name)
        if x > 4 and x + size > width:
            x, y = 4.0, y + ROW
        inner = re.sub(r"</?svg[^>]*>", "", key)
        middle = "translate(15 0)" if 'class="key dot"' in key else "translate(0 -6)"
        parts.append(f'<g transform="translate({x:.0f} {y + 4:.0f})"><g transform="{middle}">{inner}</g>')
        parts.append(f'<text class="tick" x="36" y="4">{name}</text></g>')
        x += size + 14
    return "".join(parts), y + ROW - 4 if parts else 24


def main(chosen: list[str]) -> None:
    """Run the commands of the chosen chapters, of all by default, and write their pictures."""
    for number, (report, title) in FIGURES.items():
        if chosen and number not in chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for command in commands(CHAPTERS[number].read_text(encoding="utf-8")):
                print(f"$ {command}", flush=True)
                subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=folder, check=True)
            svg = picture((Path(folder) / report).read_text(encoding="utf-8"), title)
        (DOCS / "pictures" / f"course-{number}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The page: chapters of figures in one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from elman.report import modules
from elman.report.figure import Figure
from elman.report.notebook import framed, still
from elman.report.style import STYLE

MOST_PIXELS = 760  # of a report's height in a notebook, where it scrolls


@dataclass(frozen=True)
class Chapter:
    """Figures that belong together; each of the `findings` is a line above them.

    >>> import numpy as np
    >>> from elman.report import bar_chart
    >>> loss = bar_chart(["gru", "lstm"], np.array([1.46, 1.45]), title="Loss", x="nats", reading="Shorter is better.")
    >>> chapter = Chapter("Models", "Two were trained.", [loss], findings=["lstm is ahead by 0.01 nats"])
    >>> [figure.title for figure in chapter.figures]
    ['Loss']
    """

    title: str
    text: str  # an introduction
    figures: Sequence[Figure] = ()
    findings: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """A page. `facts` are pairs of a name and a value, shown under the title.

    >>> report = Report("Two models", facts=[("seed", "1")], chapters=[Chapter("One", "The first.")])
    >>> "<dt>seed</dt><dd>1</dd>" in render(report)
    True
    """

    title: str
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    chapters: Sequence[Chapter] = field(default_factory=list)
    footer: str = ""

    def _repr_html_(self) -> str:
        findings = "".join(f"<li>{escape(line)}</li>" for chapter in self.chapters for line in chapter.findings)
        words = f"<h3>{escape(self.title)}</h3><p>{escape(self.text)}</p><ul>{findings}</ul>"
        return framed(render(self), self.title, words, most=MOST_PIXELS)


def render(report: Report) -> str:
    """The report as one HTML file that needs no other; all texts in it are escaped.

    >>> html = render(Report("Tags & labels", chapters=[Chapter("One", "The first.")]))
    >>> "<h1>Tags &amp; labels</h1>" in html
    True
    """
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts)
    links = "".join(
        f'<a href="#s{index}">{escape(chapter.title)}</a>' for index, chapter in enumerate(report.chapters, start=1)
    )
    chapters = "".join(_chapter(chapter, index) for index, chapter in enumerate(report.chapters, start=1))
    body = (
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.text)}</p>"
        f'<dl>{facts}</dl><nav aria-label="Chapters">{links}</nav></header>{chapters}'
        f"<footer>{escape(report.footer)}</footer>"
    )
    return _page(report.title, body, [figure for chapter in report.chapters for figure in chapter.figures])


def embedded(figure: Figure) -> str:
    """A figure for a notebook: its drawing, and a page of its own that takes the drawing's place."""
    body = f'<div class="figures">{_grid([figure])}</div>'
    return framed(_page(figure.title, body, [figure]), figure.title, still(figure))


def _page(title: str, body: str, figures: Sequence[Figure]) -> str:
    kinds = {each.chart.kind for figure in figures for each in _every(figure) if each.chart}
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}{modules.style() if kinds else ''}</style></head>"
        f"<body><main>{body}</main>{modules.scripts(kinds)}</body></html>\n"
    )


def _every(figure: Figure) -> Iterator[Figure]:
    yield figure
    for _, part in figure.parts:
        yield from _every(part)


def _chapter(chapter: Chapter, index: int) -> str:
    findings = "".join(f"<li>{escape(finding)}</li>" for finding in chapter.findings)
    return (
        f'<section id="s{index}"><h2>{escape(chapter.title)}</h2><p>{escape(chapter.text)}</p>'
        + (f'<ul class="findings">{findings}</ul>' if findings else "")
        + f'<div class="figures">{_grid(chapter.figures)}</div></section>'
    )


def _grid(figures: Sequence[Figure]) -> str:
    """Figures in two columns; one that nothing would stand beside takes both."""
    parts = []
    for wide, run in groupby(figures, key=lambda figure: figure.wide):
        each = list(run)
        for index, figure in enumerate(each):
            kind = " class=wide" if wide else " class=alone" if index == len(each) - 1 and len(each) % 2 else ""
            parts.append(f"<figure{kind}>{_content(figure, 'h3')}</figure>")
    return "".join(parts)


def _content(figure: Figure, heading: str) -> str:
    """All of a figure; the parts of a choice are sections in it."""
    attributes = f' data-chart="{figure.chart.kind}"' if figure.chart else ""
    attributes += f' data-link="{escape(figure.link)}"' if figure.link else ""
    attributes += f' data-group="{escape(figure.group)}"' if figure.group else ""
    attributes += f' data-title="{escape(figure.title)}"' if figure.chart else ""
    data = f'<script type="application/json">{figure.chart.json()}</script>' if figure.chart else ""
    shown = "".join(
        f'<section class="part" data-name="{escape(name)}">{_content(part, "h4")}</section>'
        for name, part in figure.parts
    )
    return (
        f"<figcaption><{heading}>{escape(figure.title)}</{heading}></figcaption>{figure.head}"
        f'<div class="chart"{attributes}>{shown or _still(figure)}{data}</div>'
        + (f'<p class="reading">{escape(figure.reading)}</p>' if figure.reading else "")
        + (_numbers(figure) if figure.table.rows else "")
    )


def _still(figure: Figure) -> str:
    """What is there without scripts."""
    legend = "".join(f"<span>{key}{escape(name)}</span>" for key, name in figure.legend)
    return (
        '<div class="still">'
        + (f'<div class="legend">{legend}</div>' if legend else "")
        + f'<div class="drawing">{figure.drawing}</div></div>'
    )


def _numbers(figure: Figure) -> str:
    return (
        '<details><summary>Numbers</summary><div class="numbers" tabindex="0" role="region" '
        f'aria-label="Numbers of {escape(figure.title)}">{figure.table.html()}</div></details>'
    )

"""The page: chapters of figures in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from elman.report.figure import Figure
from elman.report.style import STYLE


@dataclass(frozen=True)
class Chapter:
    """Figures that belong together; each of the `findings` is a line above them."""

    title: str
    text: str  # an introduction
    figures: Sequence[Figure] = ()
    findings: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """A page. `facts` are pairs of a name and a value, shown under the title."""

    title: str
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    chapters: Sequence[Chapter] = field(default_factory=list)
    footer: str = ""


def render(report: Report) -> str:
    """The report as one HTML file that needs no other; all texts in it are escaped."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts)
    links = "".join(
        f'<a href="#s{index}">{escape(chapter.title)}</a>' for index, chapter in enumerate(report.chapters, start=1)
    )
    chapters = "".join(_chapter(chapter, index) for index, chapter in enumerate(report.chapters, start=1))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.text)}</p>"
        f"<dl>{facts}</dl><nav>{links}</nav></header>{chapters}"
        f"<footer>{escape(report.footer)}</footer></main></body></html>\n"
    )


def _chapter(chapter: Chapter, index: int) -> str:
    findings = "".join(f"<li>{escape(finding)}</li>" for finding in chapter.findings)
    return (
        f'<section id="s{index}"><h2>{escape(chapter.title)}</h2><p>{escape(chapter.text)}</p>'
        + (f'<ul class="findings">{findings}</ul>' if findings else "")
        + f'<div class="figures">{"".join(_figure(figure) for figure in chapter.figures)}</div></section>'
    )


def _figure(figure: Figure) -> str:
    legend = "".join(f"<span>{key}{escape(name)}</span>" for key, name in figure.legend)
    return (
        f"<figure{' class=wide' if figure.wide else ''}><figcaption><h3>{escape(figure.title)}</h3>"
        + (f'<div class="legend">{legend}</div>' if legend else "")
        + f'</figcaption><div class="drawing">{figure.drawing}</div>'
        f'<p class="reading">{escape(figure.reading)}</p>'
        f'<details><summary>Numbers</summary><div class="numbers">{figure.table.html()}</div></details></figure>'
    )

"""What the theme leaves out for readers who use a keyboard or a screen reader."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

# What scrolls can be reached by the keyboard, and a heading says its level.
REPLACED = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
}
# Sphinx makes the lines of a long signature a list of definitions without terms.
PARAMETERS = re.compile(r"<dl>\s*((?:<dd>.*?</dd>\s*)+)</dl>", re.DOTALL)


def mend(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Mend the page and the navigation beside it."""
    for name in ("body", "furo_navigation_tree"):
        html = context.get(name) or ""
        for found, better in REPLACED.items():
            html = html.replace(found, better)
        context[name] = PARAMETERS.sub(lambda lines: _lines(lines[1]), html)


def _lines(items: str) -> str:
    return items.replace("<dd>", '<span class="parameter">').replace("</dd>", "</span>")


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("html-page-context", mend, priority=900)  # after the theme has made its navigation
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The scripts and styles of the components that a page needs, written into the page itself."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from elman.report.chart import COMPONENTS

IMPORT = re.compile(r'^(import .*? from )"(\.{1,2}/[^"]+)";$', re.MULTILINE)
PREFIX = "elman/"


def scripts(kinds: Iterable[str]) -> str:
    """Script elements that mount the components of these kinds; nothing where there are none.

    A module is an entry of the import map, its address a data: URL of its text, so that nothing is fetched.
    """
    mounted = {kind: COMPONENTS[kind] for kind in sorted(set(kinds))}
    if not mounted:
        return ""
    texts = _with_all_below(["mount.js", *mounted.values()])
    addresses = {PREFIX + name: _address(text) for name, text in texts.items()}
    imports = "".join(f'import {{ mount as {kind} }} from "{PREFIX}{name}";' for kind, name in mounted.items())
    begin = f'{imports}import {{ mountAll }} from "{PREFIX}mount.js";mountAll({{{",".join(mounted)}}});'
    table = json.dumps({"imports": addresses}, separators=(",", ":"))
    return f'<script type="importmap">{table}</script><script type="module">{begin}</script>'


@cache
def style() -> str:
    """The styles of all components."""
    return _text("vendor/uplot/uPlot.min.css") + _text("components.css")


@cache
def _text(name: str) -> str:
    return (resources.files("elman.report") / "components" / name).read_text("utf-8")


def _with_all_below(names: Iterable[str]) -> dict[str, str]:
    """The texts of modules and of all that they import, each import by its name in the import map."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        folder = posixpath.dirname(name)

        def place(match: re.Match[str], folder: str = folder) -> str:
            below = posixpath.normpath(posixpath.join(folder, match[2]))
            waiting.append(below)
            return f'{match[1]}"{PREFIX}{below}";'

        found[name] = IMPORT.sub(place, _text(name))
    return found


def _address(text: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(text.encode()).decode()

"""The pages that people read, their blocks of code, and how these are run."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LANGUAGES = ("en", "pt")
PAGES = sorted(path for language in LANGUAGES for path in (DOCS / language).rglob("*.md"))


def name(page: Path) -> str:
    """A page as its language and its place, such as "en/how-to/python"."""
    return page.relative_to(DOCS).with_suffix("").as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language, such as python."""
    return re.findall(rf"^```+ *{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of elman in a page's shell sessions and indented blocks: the name, and the words after it."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:    )? *\$? ?(?:[^|\n]*\| )?elman ([a-z]+ ?[^|\n]*)", text, re.MULTILINE):
        with suppress(ValueError):  # a sentence that begins so, with an apostrophe
            name, *arguments = shlex.split(line, comments=True)
            yield name, arguments


def lay_out(run: Path, folder: Path) -> None:
    """Put a finished run where the pages have it."""
    shutil.copytree(run, folder / "runs" / "demo")


def execute(page: Path, snippets: Iterable[str], names: dict[str, Any]) -> None:
    """Run blocks of a page one after another, as a reader does who types them; an error names its line in the page."""
    text = page.read_text(encoding="utf-8")
    for snippet in snippets:
        above = text[: text.index(snippet)].count("\n")
        exec(compile("\n" * above + snippet, str(page), "exec"), names)


def converse(page: Path) -> int:
    """Run a page's sessions in Python, hold the answers equal, and return how many lines were run."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testfile(str(page), module_relative=False, optionflags=flags, encoding="utf-8")
    assert not found.failed, f"{name(page)} shows what does not come out"
    return found.attempted

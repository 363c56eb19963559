"""The docstrings of elman, which are nearly Markdown, as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

SECTION = re.compile(r"(Args|Arguments|Raises|Returns|Errors|Yields|Attributes|Example|Examples):\s*$")


def to_markdown(docstring: str) -> str:
    """Sessions of Python as blocks of code, sections such as `Raises:` as lists, and `<` as itself."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(_merged([_paragraph(each) for each in paragraphs]))


def _paragraph(text: str) -> str:
    lines = text.split("\n")
    if lines[0].lstrip().startswith(">>>"):
        return "```pycon\n" + inspect.cleandoc(text) + "\n```"
    if lines[0].startswith("    "):  # equations and tables keep their form
        return f"```text\n{inspect.cleandoc(text)}\n```" if not lines[0].lstrip().startswith("- ") else text
    for number, line in enumerate(lines):
        rest = lines[number + 1 :]
        if SECTION.match(line) and all(each.startswith("    ") for each in rest):
            before = [_paragraph("\n".join(lines[:number]))] if number else []
            return "\n\n".join([*before, f"**{line.strip().removesuffix(':')}**", *_entries(rest)])
        if number and line.startswith(">>>"):
            return _paragraph("\n".join(lines[:number])) + "\n\n" + _paragraph("\n".join(lines[number:]))
        if number and line.startswith("    ") and not re.match(r"- |\d+\. ", lines[number - 1].lstrip()):
            if not lines[0].startswith("- "):
                return _paragraph("\n".join(lines[:number])) + "\n\n" + _paragraph("\n".join(lines[number:]))
            break
    return _plain(text)


def _entries(lines: list[str]) -> Iterator[str]:
    """The entries of a section as a list: a line that is indented more goes on with the one above."""
    entries: list[str] = []
    for line in lines:
        if line.startswith("     ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    if entries:
        yield "\n".join(f"- {_plain(entry)}" for entry in entries)


def _plain(text: str) -> str:
    """A paragraph in which `<eos>` outside of code is no HTML."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def _merged(paragraphs: list[str]) -> list[str]:
    """Blocks of code that follow each other as one."""
    merged: list[str] = []
    for each in paragraphs:
        opening = each.split("\n", 1)[0]
        if merged and opening.startswith("```") and merged[-1].startswith(opening) and merged[-1].endswith("\n```"):
            merged[-1] = merged[-1].removesuffix("\n```") + "\n\n" + each.removeprefix(f"{opening}\n")
        else:
            merged.append(each)
    return merged

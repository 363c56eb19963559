"""The chapters of the course: what they print is what comes out, in both languages and in the notebooks."""

from __future__ import annotations

import ast
import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import pages
from elman.lab.catalogue import EXPERIMENTS

sys.path.insert(0, str(pages.DOCS))
import course_pictures
import notebooks

ENGLISH = sorted((pages.DOCS / "en" / "course").glob("[0-9]*.md"))
EVERY = [pages.DOCS / language / "course" / page.name for page in ENGLISH for language in pages.LANGUAGES]
ANSWERED = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


def programs(page: Path) -> list[tuple[str, str]]:
    """The programs of a page, and what it says that each prints."""
    return ANSWERED.findall(page.read_text(encoding="utf-8"))


def stored(page: Path) -> Any:
    """The committed notebook of a chapter."""
    return notebooks.nbformat.read(page.parents[1] / "notebooks" / f"{page.stem}.ipynb", as_version=4)


@pytest.mark.parametrize("page", ENGLISH, ids=pages.name)
def test_a_program_prints_what_the_page_says(page: Path) -> None:
    assert len(programs(page)) == len(pages.blocks(page, "python")) >= 2  # the program, and that of the answer
    for program, said in programs(page):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(program, str(page), "exec"), {})  # each by itself
        assert printed.getvalue() == said


@pytest.mark.parametrize("page", ENGLISH, ids=pages.name)
def test_twins_have_the_same_programs_and_outputs(page: Path) -> None:
    twin = pages.DOCS / "pt" / "course" / page.name
    here, there = ([(ast.dump(ast.parse(program)), said) for program, said in programs(each)] for each in (page, twin))
    assert here == there
    assert pages.blocks(page, "console") == pages.blocks(twin, "console")


@pytest.mark.parametrize("page", EVERY, ids=pages.name)
def test_a_notebook_is_its_chapter(page: Path) -> None:
    made, there = notebooks.notebook(page), stored(page)
    assert [(cell.cell_type, cell.source) for cell in made.cells] == [
        (cell.cell_type, cell.source) for cell in there.cells
    ]
    code = [cell for cell in there.cells if cell.cell_type == "code"]
    for (program, said), cell in zip(programs(page), code, strict=True):
        assert cell.source == program.rstrip("\n")
        assert "".join(output.text for output in cell.outputs) == said
    assert (page.parents[1] / "notebooks" / f"{page.stem}.ipynb").stat().st_size < 100_000


@pytest.mark.parametrize("page", ENGLISH, ids=pages.name)
def test_a_chapter_shows_a_command_and_its_picture(page: Path) -> None:
    commands = [shlex.split(command) for command in course_pictures.commands(page.read_text(encoding="utf-8"))]
    assert commands
    assert all(words[2] in EXPERIMENTS for words in commands if words[1] == "lab")
    picture = f"course-{page.name[:2]}.svg"
    assert f"](../../pictures/{picture})" in page.read_text(encoding="utf-8")
    assert (pages.DOCS / "pictures" / picture).stat().st_size < 150_000


def test_a_picture_is_a_figure_of_a_report() -> None:
    import numpy as np

    from elman.report import Chapter, Line, Report, line_chart, render

    line = Line("a < b", np.arange(3), np.arange(3.0))
    figure = line_chart([line], title="Loss & time", x="steps", y="nats", reading="Down is better.")
    page = render(Report("A report", chapters=[Chapter("One", "", [figure])]))
    svg = course_pictures.picture(page, "Loss & time")
    assert "a &lt; b" in svg
    assert svg.count('class="line ') == 2  # the key and the curve
    with pytest.raises(ValueError, match="no figure"):
        course_pictures.picture(page, "Another")

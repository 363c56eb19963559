"""The chapters of the course as executed notebooks: `python docs/notebooks.py [01 02 …]`, or `make notebooks`.

A notebook has the chapter's text and its Python; what the page shows as the output becomes the output of the cell, made
anew. Nothing in a notebook depends on the day or the machine, so the same chapters give the same files.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

DOCS = Path(__file__).parent
LANGUAGES = ("en", "pt")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def plain(page: str) -> str:
    """A chapter in the Markdown of notebooks: no directives, and no outputs, which the cells will have."""
    page = re.sub(r"^(```python\n.*?^```\n)\n```text\n.*?^```\n", r"\1", page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"^````\{dropdown\} (.*?)\n(.*?)^````\n", r"**\1**\n\n\2", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^\{download\}.*\n", "", page, flags=re.MULTILINE)


def notebook(chapter: Path) -> nbformat.NotebookNode:
    """The notebook of a chapter, not executed: links between chapters lead from notebook to notebook."""
    text = re.sub(r"\]\((\d\d-[\w-]+)\.md\)", r"](\1.ipynb)", plain(chapter.read_text(encoding="utf-8")))
    made = jupytext.reads(text, fmt="md")
    made.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(made.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    return made


def execute(made: nbformat.NotebookNode) -> None:
    """Run all cells in one process on one thread."""
    ipc = Config(KernelManager={"transport": "ipc"})  # no port that others could listen to
    NotebookClient(made, config=ipc, kernel_name="python3", timeout=120, record_timing=False).execute()
    for cell in made.cells:
        cell.metadata = {}
    made.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}


def main(chosen: list[str]) -> None:
    """Make the notebooks of the chosen chapters, of all by default."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for language in LANGUAGES:
        for chapter in sorted((DOCS / language / "course").glob("[0-9]*.md")):
            if chosen and chapter.name[:2] not in chosen:
                continue
            made = notebook(chapter)
            execute(made)
            place = DOCS / language / "notebooks" / f"{chapter.stem}.ipynb"
            place.parent.mkdir(exist_ok=True)
            nbformat.write(made, place)
            print(place.relative_to(DOCS.parent), place.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])

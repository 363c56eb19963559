"""The documentation says what is true: its code runs, and both languages have the same pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import typer

import pages
from elman import run_folders
from elman.cli import app
from elman.serve import Sessions
from elman.tasks import TASKS
from http_client import client_of

PYTHON = [page for page in pages.PAGES if pages.blocks(page, "python")]
GROUP: Any = typer.main.get_command(app)
CONTEXT = typer.Context(GROUP, info_name="elman")
SETTINGS = {
    name
    for task in TASKS.values()
    for section in (task.data, task.train, *task.models.values())
    for name in section.model_fields
}
SESSIONS = [page for page in pages.PAGES if pages.blocks(page, "pycon")]


@pytest.mark.parametrize("page", PYTHON, ids=pages.name)
def test_python_runs(page: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages.lay_out(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    with serving(page, monkeypatch):
        pages.execute(page, pages.blocks(page, "python"), {})


@contextmanager
def serving(page: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While a page that speaks with a server runs, its client speaks with one in this process."""
    if "httpx.Client" not in page.read_text(encoding="utf-8"):
        yield
        return
    with Sessions("runs/demo") as sessions, client_of(sessions) as client:
        monkeypatch.setattr(httpx, "Client", lambda base_url: client)
        yield


@pytest.mark.parametrize("page", SESSIONS, ids=pages.name)
def test_sessions_answer_as_shown(page: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages.lay_out(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert pages.converse(page)


def test_both_languages_have_the_same_pages() -> None:
    english, portuguese = (
        {page.relative_to(pages.DOCS / language) for page in (pages.DOCS / language).rglob("*.md")}
        for language in pages.LANGUAGES
    )
    assert {page for page in english if page.parts[0] != "reference"} == portuguese
    assert sum(page.parts[0] in ("course", "how-to") and page.stem != "index" for page in portuguese) >= 20


def test_no_page_is_left_open() -> None:
    assert not [pages.name(page) for page in pages.PAGES if re.search(r"@@|TODO|FIXME", page.read_text("utf-8"))]


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_link_leads_to_a_page_of_the_repository(page: Path) -> None:
    """As one reads them without the site, where a role of Sphinx is no link."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"\{(external|doc|ref)[^}`]*\}`", text)
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+\.md)", text):
        there = (page.parent / target).resolve()
        assert there.is_file() or "api" in there.parts, target  # which the site makes


def test_every_page_has_one_title() -> None:
    for page in pages.PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1, pages.name(page)


@pytest.mark.parametrize("page", [pages.ROOT / "README.md", *pages.PAGES], ids=lambda page: page.stem)
def test_commands_have_the_options_and_settings_that_are_shown(page: Path) -> None:
    for name, arguments in pages.commands(page):
        command = GROUP.get_command(CONTEXT, name)
        assert command is not None, f"elman {name}"
        known = {opt for parameter in command.params for opt in (*parameter.opts, *parameter.secondary_opts)}
        known |= {"--help", "-h"}
        for argument in arguments:
            if re.match(r"--?[a-zA-Z]", argument):
                assert argument.partition("=")[0] in known, f"elman {name} has no {argument}"
        for before, argument in pairwise(arguments):
            if before == "--set":
                assert argument.partition("=")[0].rpartition(".")[2] in SETTINGS, argument


def test_the_page_of_a_run_names_every_file() -> None:
    told = (pages.DOCS / "en/reference/files.md").read_text(encoding="utf-8")
    codecs = [f"{codec}.json" for task in TASKS.values() for codec in task.codec_names]
    files = (*run_folders.FILES, *run_folders.FOLDERS["model"], *codecs, run_folders.LOCK)
    assert not [name for name in files if f"`{name}`" not in told]
    assert not [name for name in run_folders.FOLDERS if f"`{name}/`" not in told]

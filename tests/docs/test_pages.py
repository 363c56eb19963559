"""The documentation says what is true: its code runs, and both languages have the same pages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pages

PYTHON = [page for page in pages.PAGES if pages.blocks(page, "python")]
SESSIONS = [page for page in pages.PAGES if pages.blocks(page, "pycon")]


@pytest.mark.parametrize("page", PYTHON, ids=pages.name)
def test_python_runs(page: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages.lay_out(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    pages.execute(page, pages.blocks(page, "python"), {})


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
    assert portuguese <= {page for page in english if page.parts[0] != "reference"}

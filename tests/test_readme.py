"""What the README shows runs as it stands there, and names only what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import pages
from elman.cli import COMMANDS

PAGE = pages.ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")
SNIPPETS = pages.blocks(PAGE, "python")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_every_snippet_runs_by_itself(
    snippet: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.lay_out(trained, tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    pages.execute(PAGE, [snippet], {})


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 15
    assert not [link for link in links if "://" not in link and not (pages.ROOT / link).is_file()]


def test_it_is_short_and_shows_a_memory() -> None:
    assert README.count("\n") <= 120
    assert "](docs/pictures/" in README.partition("\n## ")[0]


def test_every_command_is_named() -> None:
    assert not [name for name in COMMANDS if not re.search(rf"(?:elman|\|) {name}\b", README)]

"""What the README shows runs as it stands there, and names only what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import pages
from elman.cli import run as command

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


def test_every_option_that_is_named_exists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    section = README.split("## Commands")[1].split("\n## ")[0]
    commands = re.findall(r"    elman (\w+)(.*(?:\n {8,}.*)*)", section)
    assert len(commands) >= 4
    for name, options in commands:
        assert command([name, "--help"]) == 0
        shown = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", options):
            assert option in shown, f"elman {name} has no {option}"

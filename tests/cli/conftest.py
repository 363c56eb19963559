from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from elman.cli import run as command


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """All files of a folder."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read


@pytest.fixture
def names() -> Callable[[Path], list[str]]:
    """What is in a folder."""

    def read(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    return read


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str | Path], int], str]:
    """Run a command that is to fail with an exit code, and give the one line it says."""

    def fail(arguments: list[str | Path], code: int) -> str:
        capsys.readouterr()
        assert command([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert "own fault" not in err
        [line] = [line for line in err.splitlines() if line.startswith("elman: ")]
        assert err.splitlines()[-1] == line
        return line

    return fail

"""`make` takes the torch that it is told to, in a virtual environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHOSEN = "0.0.1"  # no release: its environment is never there

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(*arguments: str) -> str:
    """What make would run, had it made nothing yet and were it no make that runs these tests."""
    own = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    make = ["make", "--dry-run", "--always-make", *arguments]
    return subprocess.run(make, cwd=ROOT, env=own, capture_output=True, text=True, check=True).stdout


def test_another_torch_leaves_the_pinned_one_alone() -> None:
    run = commands("test", f"TORCH={CHOSEN}").splitlines()
    installed = [line for line in run if "pip install" in line]
    assert installed
    assert all(f"torch=={CHOSEN}" in line and "constraints-dev.txt" not in line for line in installed)
    assert any("pytest" in line for line in run)
    assert all(f".venv-{CHOSEN}/bin/" in line for line in run if "/bin/" in line)


def test_without_a_choice_the_pinned_torch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH", CHOSEN)  # a variable of the shell is no choice
    run = commands("test").splitlines()
    installed = [line for line in run if "pip install" in line]
    assert installed
    assert all("-c constraints-dev.txt" in line and "torch==" not in line for line in installed)
    assert all(".venv/bin/" in line for line in run if "/bin/" in line)


def test_the_frameworks_of_the_extra_are_installed_apart_and_pinned() -> None:
    run = commands("interop").splitlines()
    frameworks = next(line for line in run if "pip install" in line and "keras" in line)
    assert frameworks.startswith(".venv-interop/bin/")
    assert {"jax", "flax", "paddlepaddle", "onnxruntime"} <= {word.partition("==")[0] for word in frameworks.split()}
    assert not [word for word in frameworks.split("check ")[1].split() if "==" not in word]
    assert any("record.py -o build/interop" in line for line in run)


def test_wheels_are_tried_where_there_is_nothing_else() -> None:
    run = commands("wheels", "MACHINE=x86_64").splitlines()
    built = [line for line in run if "auditwheel repair" in line]
    assert [f"build/wheels/{machine}/" in line for machine, line in zip(("aarch64", "x86_64"), built, strict=True)] == [
        True
    ] * 2
    assert any("-target aarch64-linux-gnu.2.17" in line for line in run)
    assert not any("-target x86_64" in line for line in run), "zig's x86-64 builds do not see what a processor has"
    tried = next(line for line in run if "installed.py" in line)
    assert "env -i PATH=$PWD/bin" in tried


def test_a_warning_fails_the_documentation_of_either_language() -> None:
    built = [line for line in commands("docs").splitlines() if "sphinx-build" in line]
    assert [language in line for language, line in zip(("docs/en", "docs/pt"), built, strict=True)] == [True] * 2
    assert all("--fail-on-warning" in line for line in built)

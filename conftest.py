"""The folder in which examples run: a small language model is in `runs/demo` where an example speaks of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # set before torch is first imported; as in tests/conftest.py


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt one sentence."""
    import elman

    folder = tmp_path_factory.mktemp("examples") / "demo"
    text = "the cat sat on the mat. " * 200
    elman.fit(text, budget="40 steps", hidden_size=32, learning_rate=0.02, out=folder, progress=False)
    return folder


@pytest.fixture
def beside_demo(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Goes into a folder of its own, in which a document can be run."""

    def enter(document: str) -> None:
        monkeypatch.chdir(tmp_path)
        if "runs/demo" in document:
            shutil.copytree(request.getfixturevalue("demo"), tmp_path / "runs" / "demo")

    return enter


@pytest.fixture(autouse=True)
def in_a_folder(request: pytest.FixtureRequest) -> None:
    """Run every docstring there."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("beside_demo")(request.node.dtest.docstring)

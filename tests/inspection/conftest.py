"""Small runs to look at, one of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elman.cli import run as command

Train = Callable[..., Path]


@pytest.fixture(scope="session")
def train() -> Train:
    """Six steps of training on a text, into a folder."""

    def make(text: Path, folder: Path, *options: str) -> Path:
        sizes = ["hidden_size=8", "lanes=4", "k1=8", *options]
        arguments = ["train", str(text), "-o", str(folder), "--steps", "6"]
        for size in sizes:
            arguments += [size] if size.startswith("--") else ["--set", size]
        assert command(arguments) == 0
        return folder

    return make


@pytest.fixture(scope="session")
def runs(train: Train, plain_text: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of every kind."""
    place = tmp_path_factory.mktemp("runs")
    return {
        "lstm": train(plain_text, place / "lstm", "num_layers=2", "clip=value", "clip_threshold=0.01"),
        "gru": train(documents, place / "gru", "--model=gru"),
        "elman": train(plain_text, place / "elman", "--model=elman"),
        "transformer": train(plain_text, place / "transformer", "--model=transformer", "num_layers=2", "window=8"),
    }


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of three characters each."""
    drawn = np.random.default_rng(0).choice(list("abcdef"), (400, 3))
    text = tmp_path_factory.mktemp("words") / "words.jsonl"
    text.write_text("".join(json.dumps({"text": "".join(word)}) + "\n" for word in drawn))
    return text


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

"""Hostile inputs by the thousand: no fault of elman's own, no hang, no lost file (see `fuzzing`).

INPUTS=20000 SEED=7 make slow        more of them, from another seed
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elman.cli import run as command
from fuzzing import Given, check

pytestmark = pytest.mark.slow
INPUTS, SEED = int(os.environ.get("INPUTS", "1500")), int(os.environ.get("SEED", "1"))
PART = 50  # inputs of one test


@pytest.fixture(scope="session")
def given(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    small = ["--set", "hidden_size=8", "--set", "embedding_size=6"]
    lanes = ["--set", "lanes=4", "--set", "k1=8"]
    heads = ["--set", "hidden_size=8", "--set", "num_heads=2", "--set", "num_layers=2", "--set", "window=8"]
    pairs = folder / "pairs.tsv"
    pairs.write_text("".join(f"{number:03d}\t{str(number)[::-1]}\n" for number in range(60)))
    labels = folder / "labels.csv"
    labels.write_text(
        "text,label\n" + "".join(f"a {'good' if at % 2 else 'bad'} day {at},{at % 2}\n" for at in range(60))
    )
    tags = folder / "tags.conll"
    tags.write_text("".join(f"a DET\n{'cat' if at % 2 else 'dog'}{at} NOUN\nsleeps VERB\n\n" for at in range(60)))
    series = folder / "series.csv"
    series.write_text(
        "unique_id,ds,y\n" + "".join(f"{name},{at},{(at + ord(name)) % 7}\n" for name in "ab" for at in range(80))
    )
    texts = {"lstm": [*small, *lanes], "transformer": ["--model", "transformer", *heads, *lanes]}
    others = {
        "pairs": (pairs, [*small, "--set", "batch_tokens=100"]),
        "labels": (labels, [*small, "--set", "batch_size=16"]),
        "tags": (tags, [*small, "--set", "character_size=4", "--set", "batch_words=40"]),
        "series": (series, [*small[:2], "--horizon", "3", "--set", "data.window=14", "--set", "batch_windows=16"]),
    }
    sources = dict.fromkeys(texts, plain_text) | {name: source for name, (source, _) in others.items()}
    training = texts | {name: options for name, (_, options) in others.items()}
    for name, source in sources.items():
        given = [str(source), "--steps", "12", "--set", "checkpoint_every=5", *training[name]]
        assert command(["train", *given, "-o", str(folder / name)]) == 0
    comparing = ["--models", "gru,elman", "--steps", "3", "--parameters", "3000", *lanes]
    assert command(["compare", str(plain_text), "-o", str(folder / "comparison"), *comparing]) == 0
    runs = {name: folder / name for name in sources}
    return Given(runs, sources, training, folder / "comparison", comparing)


@pytest.mark.parametrize("part", range(-(-INPUTS // PART)))
def test_hostile_inputs(given: Given, part: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for number in range(part * PART, min((part + 1) * PART, INPUTS)):
        place = tmp_path / str(number)
        place.mkdir()
        if found := check(given, SEED * 1_000_000 + number, place):
            wrong.append(found)
    assert not wrong, "\n\n".join(wrong)

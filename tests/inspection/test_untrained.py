"""The untrained model of an inspection is the one that the run began with, bit by bit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import elman
from elman.cli import run as command
from elman.models import build
from elman.models.initialization import initial_model
from elman.tasks.language_modelling.subject import open_subject
from elman.tasks.translation.subject import open_pairs
from elman.train import checkpoints
from inspecting import inspect

KINDS = ("elman", "gru", "lstm", "transformer")

SEEN = """
import sys
import safetensors.torch
import elman
for folder in sys.argv[1:]:
    run = elman.load(folder)
    model = run.task.observe(run, []).fresh
    safetensors.torch.save_file({k: v.clone() for k, v in model.state_dict().items()}, folder + "/seen.safetensors")
"""


@pytest.fixture(scope="module")
def runs(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of a step of every model and task, with a seed of its own."""
    place = tmp_path_factory.mktemp("seeded")
    pairs = place / "pairs.tsv"
    pairs.write_text("".join(f"{a}b {c}a\tb{c} a{a}\n" for a in "abcd" for c in "efgh"))
    made = {}
    for kind in KINDS:
        for task, data, options in (
            ("text", plain_text, ["--set", "num_layers=2"]),
            ("pairs", pairs, ["--set", "validation_sentences=0"]),
        ):
            folder = made[f"{kind} {task}"] = place / f"{kind}-{task}"
            given = ["train", str(data), "-o", str(folder), "--model", kind, "--steps", "1", "--seed", "7"]
            assert command([*given, "--set", "hidden_size=32", *options]) == 0
    code = [sys.executable, "-c", SEEN, *map(str, made.values())]
    subprocess.run(code, check=True, timeout=300)
    return made


@pytest.mark.parametrize("name", [f"{kind} {task}" for kind in KINDS for task in ("text", "pairs")])
def test_it_is_the_model_that_the_run_began_with(runs: dict[str, Path], name: str) -> None:
    first = checkpoints.load(runs[name] / "checkpoints" / "step-000000000.safetensors").part("model")
    seen = safetensors.torch.load_file(runs[name] / "seen.safetensors")
    assert set(seen) == set(first)
    for key, value in first.items():
        assert torch.equal(seen[key], value), key


def test_a_seed_alone_decides() -> None:
    """Not the number of threads, on which a decomposition's last bits depend."""
    threads = torch.get_num_threads()

    def weights(seed: int, count: int) -> torch.Tensor:
        torch.set_num_threads(count)
        try:
            model = initial_model(lambda: build({"model": "lstm", "vocab_size": 9, "hidden_size": 256}), seed)
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    assert torch.equal(weights(7, 1), weights(7, 4))
    assert not torch.equal(weights(7, 1), weights(8, 1))


def test_random_numbers_stay_as_they_were(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    text, pairs = elman.load(runs["gru text"]), elman.load(runs["gru pairs"])
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", devices.append)
    open_subject(text, None)
    open_pairs(pairs, [])
    assert torch.rand(1) == expected
    assert not devices


def test_a_training_seeds_every_device(plain_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", devices.append)
    given = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--steps", "1", "--seed", "7"]
    assert command([*given, "--set", "hidden_size=8"]) == 0
    assert 7 in devices


@pytest.mark.parametrize("name", ["gru text", "gru pairs"])
def test_a_model_folder_alone_does_not_say_its_seed(runs: dict[str, Path], name: str, tmp_path: Path) -> None:
    alone = shutil.copytree(runs[name] / "model", tmp_path / "alone")
    data = tmp_path / "data.tsv"
    data.write_text("ab ba\tba ab\n" * 20 if "pairs" in name else "the cat sat on the mat\n" * 20)
    parts = ["source"] if "pairs" in name else ["gradients", "gates", "memory"]
    found = inspect(alone, str(data), parts=parts)
    assert "untrained, another seed" in found.html()
    assert found.numbers["untrained"] == "untrained, another seed"
    assert json.dumps(found.numbers).count("another seed") == 1  # no key has it
    assert {"trained", "untrained"} <= set(found.numbers[parts[0]])
    assert "untrained, another seed" not in inspect(runs[name], str(data), parts=parts).html()

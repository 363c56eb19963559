"""Several processes, each of which keeps its part alone of a model: real ones, started by torch's launcher.

That they follow one process is among the tests of processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import fitting
from processes_program import write_data

SETTINGS: dict[str, Any] = {
    "hidden_size": 16, "embedding_size": 8, "num_layers": 2, "lanes": 6, "k1": 8, "k2": 12, "average": 0.9,
    "schedule": "constant", "warmup": 0.0, "learning_rate": 0.003, "validate_every": 10, "checkpoint_every": 5,
}  # fmt: skip
pytestmark = pytest.mark.slow


def command(text: Path, folder: Path, steps: int, processes: int, **settings: Any) -> list[str]:
    """A training whose weights are sharded."""
    named = (SETTINGS | {"sharded": True} | settings).items()
    chosen = [part for name, value in named for part in ("--set", f"{name}={json.dumps(value)}")]
    several = ["--steps", str(steps), "--processes", str(processes), "--resume"]
    return [sys.executable, "-m", "elman", "train", str(text), "-o", str(folder), *several, *chosen]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)


def losses(folder: Path) -> list[float]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record["loss"] for record in records if "loss" in record]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def test_a_run_goes_on_with_other_numbers_of_processes(data: Path, tmp_path: Path) -> None:
    """Weights are gathered, and divided anew: by 2 processes, 1 (which has them whole) and 3."""
    text, moved = data / "text.jsonl", tmp_path / "moved"
    whole = fitting.fit(str(text), out=tmp_path / "whole", budget="24 steps", progress=False, **SETTINGS)
    for steps, processes in ((8, 2), (16, 1), (24, 3)):
        if processes > 1:
            done = run(command(text, moved, steps, processes))
            assert done.returncode == 0, done.stderr
            assert sorted((moved / "checkpoints").iterdir())[-1].is_dir()
        else:
            fitting.fit(str(text), out=moved, budget=f"{steps} steps", resume=True, progress=False)
    np.testing.assert_allclose(losses(moved), losses(whole.path), rtol=1e-4)
    weights = {name: x.numpy() for name, x in whole.model.state_dict().items()}
    for name, x in fitting.runs.load(moved).model.state_dict().items():
        np.testing.assert_allclose(x.numpy(), weights[name], atol=1e-4, err_msg=name)


def test_a_killed_run_goes_on_exactly(data: Path, tmp_path: Path) -> None:
    """One rank is killed at any moment, then the newest checkpoint is damaged; dropout is drawn anew alike."""
    text, folder, steps = data / "text.txt", tmp_path / "run", 40
    noise = {"dropout_hidden": 0.2}
    process = subprocess.Popen(
        command(text, folder, steps, 2, **noise), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while len(saved := sorted((folder / "checkpoints").glob("step-*[0-9]"))) < 2 or saved[-1].name < "step-000000020":
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [int(child) for child in children if b"RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")]
    os.kill(ranks[0], signal.SIGKILL)
    stderr = process.communicate(timeout=90)[1]
    assert process.returncode == 1
    assert "rank 1 was killed by signal 9" in stderr
    assert "Traceback" not in stderr
    newest = sorted((folder / "checkpoints").glob("step-*[0-9]"))[-1]
    file = sorted(newest.glob("*.safetensors"))[-1]
    file.write_bytes(file.read_bytes()[:-1])
    done = run(command(text, folder, steps, 2, **noise))
    assert done.returncode == 0, done.stderr
    assert f"damaged checkpoint {newest.name}" in done.stderr
    undisturbed = tmp_path / "undisturbed"
    assert run(command(text, undisturbed, steps, 2, **noise)).returncode == 0
    assert losses(folder) == losses(undisturbed)
    shipped = [(run / "model" / "model.safetensors").read_bytes() for run in (folder, undisturbed)]
    assert shipped[0] == shipped[1]

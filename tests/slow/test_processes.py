"""Several processes train one model: real ones, started by torch's launcher, over loopback."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processes_program import CASES, write_data

PROGRAM = Path(__file__).parents[1] / "processes_program.py"
SIZES = ("hidden_size=16", "embedding_size=8", "lanes=6", "k1=8", "validate_every=10")
STEADY = ("--set", "schedule=constant", "--set", "warmup=0", "--set", "learning_rate=0.003")  # for any number of steps
LONG = (*STEADY, "--set", "checkpoint_every=10", "--set", "dropout_hidden=0.1")
pytestmark = pytest.mark.slow


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=240, check=False, **options
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def alone(data: Path) -> dict[str, Any]:
    """The losses and weights of one process."""
    done = run(PROGRAM, data, data / "alone.npz")
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(data / "alone.npz"))


@pytest.mark.parametrize(("processes", "sharded"), [(2, False), (4, False), (2, True)])
def test_processes_follow_one(processes: int, sharded: bool, data: Path, alone: dict[str, Any]) -> None:
    """In float64, but for what is said in bfloat16: some batches have fewer rows than processes, and some no target."""
    found = data / f"{processes}{'-sharded' * sharded}.npz"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
    done = run(*launcher, PROGRAM, data, found, *(["sharded"] if sharded else []))
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(found) as file:
        together = dict(file)
    refused = {case for case, (_, _, settings) in CASES.items() if sharded and settings.get("k2") == "auto"}
    assert {name.split("/")[0] for name in together} == {*CASES, "read"} - refused
    for name, expected in alone.items():
        if name == "read":  # rows to validate, by rank 0
            assert together[name] < 1.3 * expected / (1 if sharded else processes)
            continue
        if name.split("/")[0] in refused:
            continue
        close = 1e-2 if "bfloat16" in name else 1e-12
        np.testing.assert_allclose(together[name], expected, rtol=0, atol=close, err_msg=name)


def train(text: Path, folder: Path, *options: object, processes: int = 1) -> list[str]:
    """The arguments of a small training."""
    settings = [part for setting in SIZES for part in ("--set", setting)]
    several = ["--processes", processes] if processes > 1 else []
    return [str(part) for part in ("-m", "elman", "train", text, "-o", folder, *settings, *several, *options)]


def losses(folder: Path) -> list[float]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record["loss"] for record in records if "loss" in record]


def test_a_run_goes_on_with_more_processes_and_fewer(data: Path, tmp_path: Path) -> None:
    """No token is left out or read twice: losses are those of one process that never stopped; all is said once."""
    whole, moved = tmp_path / "whole", tmp_path / "moved"
    alone = run(*train(data / "text.jsonl", whole, "--steps", 40, *STEADY, "--json"))
    for steps, processes in ((12, 2), (25, 3), (40, 1)):
        options = ("--steps", steps, *STEADY, "--resume", "--json")
        done = run(*train(data / "text.jsonl", moved, *options, processes=processes))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("the model is in") == 1
        [report] = map(json.loads, done.stdout.splitlines())
        assert report["steps"] == steps
        seconds = report.get("step_seconds", [])
        assert len(seconds) == (processes if processes > 1 else 0)
        assert not seconds or seconds[report["slowest_rank"]] == max(seconds) > 0
    assert report["tokens"] == json.loads(alone.stdout)["tokens"]
    np.testing.assert_allclose(losses(moved), losses(whole), rtol=1e-4)
    metrics = [json.loads(line) for line in (moved / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in metrics if "validation" in record] == [10, 12, 20, 25, 30, 40]


def started(arguments: list[str], folder: Path, steps: int) -> subprocess.Popen[str]:
    """A training that has saved so many steps more than before, and goes on."""
    target = last_saved(folder) + steps
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_step(process, folder, target)
    return process


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while last_saved(folder) < step:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last_saved(folder: Path) -> int:
    return max((int(path.stem[5:]) for path in (folder / "checkpoints").glob("step-*.safetensors")), default=0)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes that train, in the order of their ranks."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = dict(
                part.split(b"=", 1) for part in (place / "environ").read_bytes().split(b"\0") if b"=" in part
            )
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == process.pid and b"RANK" in environment:
            found[int(environment[b"RANK"])] = int(place.name)
    return [found[rank] for rank in sorted(found)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_run_survives_all_that_happens_to_its_processes(data: Path, tmp_path: Path) -> None:
    """It ends exactly like one that nothing has happened to."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "run"
    command = ("--steps", 400, *LONG)
    assert run(*train(data / "text.txt", undisturbed, *command, processes=2)).returncode == 0

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    process = started([*torchrun, *train(data / "text.txt", folder, *command)], folder, 20)
    reached = last_saved(folder)
    os.kill(workers(process)[1], signal.SIGKILL)  # the launcher begins anew, and the run goes on by itself
    wait_for_step(process, folder, reached + 30)
    os.kill(workers(process)[0], signal.SIGKILL)
    process.communicate(timeout=90)
    assert process.returncode != 0

    command = (*command, "--resume")
    process = started(train(data / "text.txt", folder, *command, processes=2), folder, 20)
    process.send_signal(signal.SIGTERM)
    stderr = process.communicate(timeout=90)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "everything is saved" in stderr
    assert "Traceback" not in stderr

    process = started(train(data / "text.txt", folder, *command, processes=2), folder, 20)
    os.kill(workers(process)[1], signal.SIGKILL)
    stderr = process.communicate(timeout=90)[1]
    assert process.returncode == 1
    assert "rank 1 was killed by signal 9" in stderr
    assert "Traceback" not in stderr

    assert last_saved(folder) < 400
    assert run(*train(data / "text.txt", folder, *command, processes=2)).returncode == 0
    assert len(losses(undisturbed)) == 400
    assert losses(folder) == losses(undisturbed)


def limit_files() -> None:
    """No file may have more than 20 kB from now on, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.parametrize(
    ("options", "message", "before"),
    [
        (("--set", "lanes=1"), "lanes: expected 2 or more, one for each process, got 1", None),
        (("--set", "hidden_size=0"), "hidden_size", None),
        ((), "File too large", limit_files),
    ],
    ids=["on every rank", "before the others begin", "a disk that is full"],
)
def test_what_is_wrong_is_said_once(
    options: tuple[str, ...], message: str, before: Callable[[], None] | None, data: Path, tmp_path: Path
) -> None:
    done = run(*train(data / "text.txt", tmp_path / "run", "--for", "2s", *options, processes=2), preexec_fn=before)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.count(message) == 1, done.stderr


def test_processes_that_differ(data: Path, tmp_path: Path) -> None:
    """Started by hand, as a cluster's own launcher does, with other threads each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    address = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, *train(data / "text.txt", tmp_path / "run", "--steps", 5)],
            env=address | {"RANK": str(rank), "OMP_NUM_THREADS": str(rank + 1)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert "threads of rank 1: expected 1, as rank 0, got 2" in said[0]
    assert not said[1]

"""Commands that share the trainings of a comparison: real ones, one of which dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elman.compare.comparison import compare
from elman.compare.plan import Plan
from elman.errors import UserError
from elman.train.schedule import Budget
from processes_program import write_data

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow
SMALL = (
    "--models", "gru,elman", "--steps", "6", "--match", "tokens", "--set", "hidden_size=16", "--set", "lanes=4",
    "--set", "k1=8", "--seeds", "2", "--trials", "3",
)  # fmt: skip


def start(text: Path, folder: Path, *options: object) -> subprocess.Popen[str]:
    arguments = ["-m", "elman", "compare", text, "-o", folder, *SMALL, *options]
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip


def test_commands_that_share_a_journal_find_what_one_finds(tmp_path: Path) -> None:
    write_data(tmp_path)
    text, journal = tmp_path / "text.txt", tmp_path / "journal"
    alone = start(text, tmp_path / "alone")
    dying = start(text, tmp_path / "dying", "--storage", journal)
    deadline = time.monotonic() + 120
    while not [*(tmp_path / "dying" / "trials").glob("*/config.yaml")]:  # it has begun a trial
        assert dying.poll() is None, dying.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(dying.pid, signal.SIGKILL)
    dying.communicate()
    shared = start(text, tmp_path / "shared", "--storage", journal, "--processes", 2)
    for process in (alone, shared):
        said = process.communicate(timeout=240)[1]
        assert process.returncode == 0, said
    found = (tmp_path / "shared" / "comparison.json").read_bytes()
    assert found == (tmp_path / "alone" / "comparison.json").read_bytes()
    assert len([*(tmp_path / "shared").glob("*-[12]")]) == 4


def test_a_process_that_is_killed_leaves_its_part_to_others(tmp_path: Path) -> None:
    write_data(tmp_path)
    plan = Plan(
        (str(tmp_path / "text.txt"),), ("gru", "elman"), match="tokens", budget=Budget(300, "steps"),
        settings=("hidden_size=16", "lanes=4", "k1=8"),
    )  # fmt: skip
    killed: list[int] = []

    def kill(name: str, done: float, text: str) -> None:
        if not killed and len([*tmp_path.glob("folder/*-1/config.yaml")]) == 2:  # each of the two trains
            killed.append(member := next(each.pid for each in multiprocessing.active_children() if each.pid))
            os.kill(member, signal.SIGKILL)

    said: list[str] = []
    store = compare(plan, tmp_path / "folder", processes=2, progress=kill, say=said.append)
    assert killed
    assert [*store.known["runs"]] == ["gru-1", "elman-1"]
    assert sorted(line.split(":")[0] for line in said if "-1: " in line) == ["elman-1", "gru-1"]


def test_an_error_of_a_process_speaks_to_whoever_began_the_comparison(tmp_path: Path) -> None:
    write_data(tmp_path)
    plan = Plan(
        (str(tmp_path / "text.txt"),), ("gru", "elman"), match="tokens", budget=Budget(40, "steps"),
        settings=("hidden_size=16", "lanes=4", "k1=8", "learning_rate=1e30", "clip=none", "max_bad_steps=1"),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"with a lower learning rate \(learning_rate=\.\.\.\)"):
        compare(plan, tmp_path / "folder", processes=2)

"""How busy the machine was, from counters written by hand."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from elman.compare import comparison, load
from elman.compare.plan import Plan
from elman.compare.training import LOAD, Stopped
from elman.train.schedule import Budget


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of three cores, of which this process may use two, at the beginning of time."""
    monkeypatch.setattr(load, "STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    write(tmp_path / "stat", [1000, 1000, 1000])
    at(monkeypatch, elapsed=100.0, own=50.0)
    return tmp_path / "stat"


def write(stat: Path, busy: list[int]) -> None:
    """Counters, in ticks: all but idle and iowait are spread over what a core does."""
    cores = [f"cpu{number} {ticks - 5} 1 1 7777 99 1 1 1 0 0" for number, ticks in enumerate(busy)]
    stat.write_text("\n".join([f"cpu  {sum(busy)} 0 0 0 0 0 0 0 0 0", *cores, "intr 1 2", "ctxt 5"]) + "\n")


def at(monkeypatch: pytest.MonkeyPatch, elapsed: float, own: float) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: elapsed)
    monkeypatch.setattr(time, "process_time", lambda: own)


def test_others_are_what_the_own_cores_did_besides(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hertz = os.sysconf("SC_CLK_TCK")
    meter = load.Meter("cpu")
    write(machine, [1000 + 8 * hertz, 1000 + 10 * hertz, 1000 + 7 * hertz])  # the second is not ours
    at(monkeypatch, elapsed=110.0, own=59.0)
    lap = meter.lap()
    assert lap == load.Load(capacity=20.0, own=9.0, others=6.0)
    assert lap.shares == {"own_share": 0.45, "others_share": 0.3}
    at(monkeypatch, elapsed=120.0, own=69.0)
    assert meter.lap() == load.Load(20.0, 10.0, 0.0)  # since the last one; ticks that lag behind are not below nothing


def test_where_it_cannot_be_known(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load.Meter("cuda").lap() is None
    write(machine, [5, 5, 5])
    machine.write_text(machine.read_text().replace("1", "0"))
    for text in ("", "cpu0 1", "cpu0 a b c d e f g h", "cpu0 0 0 0 0 0 0 0 0\ncpu2 0 0 0 0 0 0 0 0"):
        machine.write_text(text)
        assert load.Meter("cpu").lap() is None, text
    machine.unlink()
    assert load.Meter("cpu").lap() is None
    monkeypatch.delattr(os, "sched_getaffinity")
    assert load.Meter("cpu").lap() is None


def test_an_interrupted_training_counts_all_its_sessions(
    plain_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"capacity": 0.0, "own": 0.0, "busy": 1.0}
    others = 6.0

    def read() -> tuple[float, float, float]:
        clock["capacity"] += 10.0
        clock["own"] += 1.0
        clock["busy"] += 1.0 + others
        return clock["capacity"], clock["own"], clock["busy"]

    monkeypatch.setattr(load, "_read", read)
    settings = ("lanes=4", "k1=8", "validate_every=100")
    plan = Plan((str(plain_text),), ("gru", "elman"), budget=Budget(6, "steps"), parameters=5000, settings=settings)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 4

    with pytest.raises(Stopped):
        comparison.compare(plan, tmp_path / "c", stop=stop)
    others = 0.0  # the machine is idle when it goes on
    store = comparison.compare(plan, tmp_path / "c", resume=True)
    laps = [json.loads(line) for line in (tmp_path / "c" / "gru-1" / LOAD).read_text().splitlines()]
    assert [lap["others"] for lap in laps] == [6.0, 0.0, 0.0]  # stopped; validated at the end, and finished
    timing = json.loads((tmp_path / "c" / "timing.json").read_text())["runs"]
    assert timing["gru-1"]["others_share"] == pytest.approx(6 / 30)
    assert timing["gru-1"]["own_share"] == pytest.approx(3 / 30)
    assert timing["elman-1"]["others_share"] == 0
    assert store.timing["runs"] == timing

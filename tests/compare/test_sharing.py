"""A comparison that several processes share: each job once, whatever becomes of who held it."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from elman.compare import liveness, sharing
from elman.compare.plan import Plan
from elman.compare.search import propose
from elman.compare.sharing import Shared, Taken
from elman.errors import UserError
from elman.train.schedule import Budget

pytest.importorskip("optuna")
KNOWN: dict[str, Any] = {"settings": {"gru": {}}, "trials": {}, "runs": {}, "parameters": {}, "data": {}}


def found(place: int | None, loss: float | None = 2.0) -> dict[str, Any]:
    return {"place": place, "factor": 0.5, "learning_rate": 0.01, "loss": loss}


def plan(seeds: int = 2, trials: int = 3) -> Plan:
    return Plan(("text.txt",), ("gru", "elman"), budget=Budget(6, "steps"), seeds=seeds, trials=trials)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def begun(address: str, known: dict[str, Any] = KNOWN, **options: int) -> Shared:
    shared = Shared(address, plan(**options))
    with shared.turn():
        shared.publish(known)
    return shared


def name(job: Taken) -> str:
    return job.training or f"{job.model} {job.place}"


def do(shared: Shared, job: Taken) -> None:
    with shared.holding(job):
        shared.finish(job, found(job.place) if job.training is None else [{"loss": 1.0}, {"seconds": 1.0}], 1.0)


def test_each_job_is_done_once(address: str) -> None:
    begun(address)
    done: list[str] = []

    def work() -> None:
        shared = Shared(address, plan())
        while shared.done < 1:
            if (job := shared.take()) is not None:
                done.append(name(job))
                do(shared, job)

    with ThreadPoolExecutor() as pool:
        for working in [pool.submit(work) for _ in range(3)]:
            working.result()
    trials = [f"{model} {place}" for model in ("gru", "elman") for place in range(3)]
    assert sorted(done) == sorted([*trials, *plan().trainings()])
    shared = Shared(address, plan())
    assert shared.tried("gru") == [found(0), found(1), found(2)]
    assert [*shared.trained()] == [*plan().trainings()]
    assert shared.trained()["gru-2"] == ({"loss": 1.0}, {"seconds": 1.0})
    more = begun(address, seeds=3)  # what is done stays done
    taken = [more.take(), more.take()]
    assert [name(job) for job in taken if job] == ["gru-3", "elman-3"]
    assert more.take() is None


def test_what_an_earlier_session_has_found_is_not_done_again(address: str) -> None:
    trials = {"gru": [found(0), found(1, loss=None), found(2)], "elman": [found(1)]}
    shared = begun(address, KNOWN | {"trials": trials, "runs": {"gru-1": {"loss": 3.0}}})
    assert shared.tried("gru") == trials["gru"]
    taken = [name(job) for job in (shared.take(), shared.take(), shared.take()) if job]
    assert taken == ["elman 0", "elman 2", "gru-2"]
    assert shared.trained() == {"gru-1": ({"loss": 3.0}, None)}


def test_a_proposal_depends_on_the_place_and_the_seed(tmp_path: Path) -> None:
    proposed = []
    for at in "ab":
        shared = begun(str(tmp_path / at))
        jobs = [job for job in iter(shared.take, None) if job.place is not None]
        for job in jobs if at == "a" else reversed(jobs):
            proposed.append((name(job), propose(job.study, job.trial, 7 + (job.place or 0))))
    assert sorted(proposed[:6]) == sorted(proposed[6:])
    assert dict(proposed)["gru 0"] == 1.0
    assert len(set(dict(proposed).values())) == 3


@pytest.mark.parametrize("form", ["{}/journal", "sqlite:///{}/shared.db"], ids=["journal", "database"])
def test_a_job_is_given_back_where_an_error_ends_it(form: str, tmp_path: Path) -> None:
    shared = begun(form.format(tmp_path))
    shared.take()
    job = shared.take()
    assert job is not None
    factor = propose(job.study, job.trial, 5)
    with pytest.raises(KeyboardInterrupt), shared.holding(job):
        raise KeyboardInterrupt
    left = [shared.take() for _ in range(6)]
    again = next(other for other in left if other and name(other) == name(job))
    assert propose(again.study, again.trial, 99) == factor
    assert left[5] is None


@pytest.mark.parametrize("holder", [f"{socket.gethostname()} {2**22 + 1}", "elsewhere 1"], ids=["dead", "silent"])
def test_a_job_of_the_dead_is_taken_by_others(holder: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = begun(address)
    job = shared.take()
    assert job is not None
    job.trial.set_user_attr("holder", holder)
    if "elsewhere" in holder:
        taken = {name(other) for other in (shared.take(), shared.take()) if other}
        assert name(job) not in taken  # it may be at work
        monkeypatch.setattr(liveness, "SILENCE", 0.05)
        time.sleep(0.1)
        for beats in range(3):
            job.trial.set_user_attr("beats", beats)
            assert name(job) not in {name(other) for other in [shared.take()] if other}
        time.sleep(0.1)
    taken = {name(other) for other in iter(shared.take, None)}
    assert name(job) in taken
    shared.finish(job, found(job.place), 1.0)  # too late
    assert shared.tried(job.model) == []


def test_the_last_training_of_the_dead_is_taken_by_others(address: str) -> None:
    """No other training of its model is left to ask for."""
    shared = begun(address, seeds=1, trials=0)
    job = shared.take()
    assert job is not None
    job.trial.set_user_attr("holder", f"{socket.gethostname()} {2**22 + 1}")
    assert [name(other) for other in iter(shared.take, None)] == ["gru-1", "elman-1"]


def test_a_command_lists_what_was_lost(address: str) -> None:
    """A process died between the end of another's job and its new place in the list."""
    shared = begun(address)
    job = shared.take()
    assert job is not None
    sharing._end(job.study, job.trial._trial_id)
    assert name(job) not in {name(other) for other in iter(shared.take, None)}
    assert [name(other) for other in iter(begun(address).take, None)] == [name(job)]


def test_one_at_a_time_has_its_turn(address: str) -> None:
    within, most = [0], [0]
    lock = threading.Lock()

    def enter() -> None:
        with Shared(address, plan()).turn():
            with lock:
                within[0] += 1
                most[0] = max(most[0], within[0])
            time.sleep(0.05)
            within[0] -= 1

    with ThreadPoolExecutor() as pool:
        for each in [pool.submit(enter) for _ in range(3)]:
            each.result()
    assert most == [1]


def test_another_plan_is_another_comparison(tmp_path: Path) -> None:
    begun(str(tmp_path / "journal"))
    assert Shared(str(tmp_path / "journal"), plan(seeds=9)).known is not None
    assert Shared(str(tmp_path / "journal"), plan(trials=4)).known is None


def test_no_such_storage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for address in ("nosuch://host/name", str(tmp_path / "file" / "journal")):
        with pytest.raises(UserError, match=r"storage .*expected a file, or the address of a database"):
            Shared(address, plan())

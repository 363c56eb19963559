"""Processes find each other in every attempt of a launch: here as threads with a store in memory."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from elman import rendezvous
from elman.errors import UserError


@pytest.fixture
def store() -> dist.HashStore:
    return dist.HashStore()


def meet(store: dist.HashStore, size: int) -> set[str]:
    """The names that the ranks give an attempt."""
    with ThreadPoolExecutor(size) as pool:
        first = pool.submit(rendezvous._name_attempt, store, size)
        others = [pool.submit(rendezvous._attempt_of_first, store, rank) for rank in range(1, size)]
        return {each.result() for each in (first, *others)}


def test_each_attempt_has_one_name_of_its_own(store: dist.HashStore) -> None:
    """Whatever earlier attempts have left: also one whose rank 0 died before it answered, and one of more ranks."""
    store.set("elman/asked/1", "a question that nobody answered")
    names = [meet(store, size) for size in (3, 2, 4)]
    assert [len(name) for name in names] == [1, 1, 1]
    assert len(set.union(*names)) == 3


def test_a_rank_that_does_not_come(store: dist.HashStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "TIMEOUT", timedelta(seconds=0.05))
    with pytest.raises(UserError, match="rank 1 has not come"):
        rendezvous._name_attempt(store, 2)


def test_work_may_take_longer_than_the_time_limit(store: dist.HashStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "TIMEOUT", timedelta(seconds=0.5))
    monkeypatch.setattr(rendezvous, "BEAT", timedelta(seconds=0.05))
    with ThreadPoolExecutor() as pool:
        with rendezvous.keep_waiting(store, "work"):
            waiting = pool.submit(rendezvous.wait_for, store, "work")
            time.sleep(1.5)
            assert not waiting.done()
        assert waiting.result()


def test_work_that_fails(store: dist.HashStore) -> None:
    with pytest.raises(ZeroDivisionError), rendezvous.keep_waiting(store, "work"):
        raise ZeroDivisionError
    assert not rendezvous.wait_for(store, "work")


def test_who_waits_for_the_dead_is_told(store: dist.HashStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "TIMEOUT", timedelta(seconds=0.2))
    with pytest.raises(UserError, match=r"rank 0 has given no sign of life for 0\.2 seconds"):
        rendezvous.wait_for(store, "work")


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        for name, value in address.items():
            monkeypatch.setenv(name, str(value))
        with pytest.raises(UserError, match=f"the processes cannot meet at localhost:{port}.*free port"):
            rendezvous.meet()

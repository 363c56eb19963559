"""Where the processes of a training meet: one attempt of a launch, and what they leave each other in its store.

torch's launcher may start all processes anew (`--max-restarts`) and keeps one store over all attempts of a launch.
torch's own start would find in it the addresses of processes that are no more, so each attempt has a name of its own,
which prefixes all that it stores. The launch has a name too, by which a later attempt knows the runs of earlier ones.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from elman.errors import UserError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

TIMEOUT = timedelta(minutes=10)  # of a message, after which a training ends in an error
BEAT = timedelta(seconds=5)  # between two signs of life of a rank that the others wait for
WORDS = ("gloo", "Gloo", "Connection", "NCCL")  # in errors of messages between processes
DONE, FAILED = "done", "failed"


class Meeting(NamedTuple):
    """This process's rank among all, the names of the launch and of the attempt, and the store that the ranks share."""

    rank: int
    size: int
    launch: str
    attempt: str
    store: Store


@contextmanager
def together() -> Iterator[Meeting]:
    """The processes that a launcher has started are one group within this; see `distributed.joined`."""
    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available() and dist.is_nccl_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    mine = not dist.is_initialized()  # a program of one's own may have begun already
    try:
        launch = attempt = uuid.uuid4().hex
        if mine:
            rank, size, launch, attempt, store = meet()
            backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        store = dist.distributed_c10d._get_default_store()
        launch = store.compare_set("elman/launch", "", launch).decode()
        attempt = store.compare_set("elman/attempt", "", attempt).decode()
        yield Meeting(dist.get_rank(), dist.get_world_size(), launch, attempt, store)
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(word in str(error) for word in WORDS):
            raise
        if os.environ["RANK"] != "0":
            raise SystemExit(1) from error  # one line is enough
        what = f"another process of the training has ended ({str(error).splitlines()[0][:120]})"
        raise UserError(what, remedy="what ended it is said above; go on with --resume") from error
    finally:
        if mine and dist.is_initialized():
            dist.destroy_process_group()


def left_to_launcher(error: str) -> bool:
    """Whether the launcher tells this process's error: rank 0 tells its own, and others have most errors in common."""
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if place is None or os.environ.get("RANK", "0") == "0":
        return False
    message = {"message": error, "extraInfo": {"py_callstack": error, "timestamp": str(int(time.time()))}}
    Path(place).write_text(json.dumps({"message": message}), encoding="utf-8")
    return True


def meet() -> Meeting:
    """Wait until all processes that were started together are there."""
    from torch.distributed import DistError
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
    except DistError as error:
        place = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
        what = f"the processes cannot meet at {place} ({str(error).splitlines()[0][:120]})"
        raise UserError(what, remedy="name a machine that all reach, and a free port of it") from error
    launch = store.compare_set("elman/launch", "", uuid.uuid4().hex).decode()
    attempt = _name_attempt(store, size) if rank == 0 else _attempt_of_first(store, rank)
    return Meeting(rank, size, launch, attempt, PrefixStore(f"elman/{attempt}", store))


def _attempt_of_first(store: Store, rank: int) -> str:
    """Ask rank 0 for the name of the attempt. A question is new each time, so that no earlier attempt has answered."""
    question = uuid.uuid4().hex
    store.set(f"elman/asked/{rank}", question)
    name = store.get(f"elman/named/{question}").decode()
    store.set(f"elman/heard/{name}/{rank}", "")
    return name


def _name_attempt(store: Store, size: int) -> str:
    """Name the attempt, and answer each other rank until it has heard, and not a rank of an earlier attempt alone."""
    name, waiting, deadline = uuid.uuid4().hex, list(range(1, size)), time.monotonic() + TIMEOUT.total_seconds()
    while waiting:
        for rank in waiting:
            if store.check([f"elman/asked/{rank}"]):
                store.set(f"elman/named/{store.get(f'elman/asked/{rank}').decode()}", name)
        waiting = [rank for rank in waiting if not store.check([f"elman/heard/{name}/{rank}"])]
        if waiting and time.monotonic() > deadline:
            raise UserError(f"rank {waiting[0]} has not come", remedy="see what it says on its machine")
        time.sleep(0.01)
    return name


@contextmanager
def signs_of_life(give: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `give` every so many seconds while a block runs; one call that fails is nothing, for the next may pass."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            with suppress(Exception):
                give()

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()


@contextmanager
def keep_waiting(store: Store, work: str) -> Iterator[None]:
    """Let others wait for the work that a block does, however long that takes: they hear that this process lives."""
    from torch.distributed import DistError

    result = FAILED
    try:
        with signs_of_life(lambda: store.add(f"{work}/beats", 1), BEAT.total_seconds()):
            yield
        result = DONE
    finally:
        with suppress(DistError):  # nobody is there to be told
            store.set(work, result)


def wait_for(store: Store, work: str) -> bool:
    """Wait for the work of another process, and return whether it succeeded.

    Raises:
        UserError: the process gave no sign of life for `TIMEOUT`.
    """
    beats, heard = -1, time.monotonic()
    pause = 0.01
    while not store.check([work]):
        now, count = time.monotonic(), store.add(f"{work}/beats", 0)
        if count != beats:
            beats, heard = count, now
        if now - heard > TIMEOUT.total_seconds():
            what = f"rank 0 has given no sign of life for {TIMEOUT.total_seconds():g} seconds"
            raise UserError(what, remedy="see what it says on its machine; go on with --resume")
        time.sleep(pause)
        pause = min(1.0, 1.2 * pause)
    return store.get(work).decode() == DONE

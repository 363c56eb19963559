"""Processes that share trials of Optuna: signs of life of who holds one, and turns."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from elman.compare.training import Stopped
from elman.rendezvous import signs_of_life

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

BEAT = 10.0  # seconds between two signs of life
SILENCE = 180.0  # seconds after which a process counts as dead
LOOK = 1.0  # seconds between two looks at what others have done


@contextmanager
def living(trial: Trial) -> Iterator[None]:
    """Give signs of life for a trial."""
    beats = itertools.count(1)
    trial.set_user_attr("holder", f"{socket.gethostname()} {os.getpid()}")
    with signs_of_life(lambda: trial.set_user_attr("beats", next(beats)), BEAT):
        yield


class Heard:
    """What this process has heard of those that hold trials."""

    def __init__(self) -> None:
        self.signs: dict[int, tuple[Any, float]] = {}  # of a trial: its last sign of life, and when that was new here

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Whether the process that holds a trial is dead: gone from this machine, or not heard for long."""
        holder, beats = (trial.user_attrs.get(name) for name in ("holder", "beats"))
        if holder is not None and not _may_live(holder):
            return True
        sign = (holder, beats)
        if trial._trial_id not in self.signs or self.signs[trial._trial_id][0] != sign:
            self.signs[trial._trial_id] = sign, time.monotonic()
        return time.monotonic() - self.signs[trial._trial_id][1] > SILENCE


@contextmanager
def turn(turns: Study, heard: Heard, stop: Callable[[], bool]) -> Iterator[None]:
    """One process at a time is within this, in the order in which they ask: the lowest running trial of a study.

    Raises:
        Stopped: `stop()` returned true.
    """
    mine = turns.ask()
    with living(mine):
        try:
            while any(other.number < mine.number and not heard.is_dead(other) for other in in_state(turns, "RUNNING")):
                if stop():
                    raise Stopped
                time.sleep(LOOK / 4)
            yield
        finally:
            turns.tell(mine, 0.0)


def in_state(study: Study, *names: str) -> list[FrozenTrial]:
    """The trials of a study that are in one of these states."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState[name] for name in names])


def _may_live(process: str) -> bool:
    """Whether a process may be there: one of another machine may."""
    host, _, number = process.partition(" ")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

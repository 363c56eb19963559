"""A comparison that is going on: what is compared, where its results are kept, who is told, and who may stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.compare.training import TellStage
from elman.tasks.exchange import Say


@dataclass(frozen=True)
class Ongoing:
    """What every part of a comparison that is going on needs.

    Whatever asks `stop` raises `Stopped` where that returns true, when everything is saved.
    """

    plan: Plan
    store: Store
    say: Say = lambda line: None
    progress: TellStage = lambda name, done, text: None
    stop: Callable[[], bool] = lambda: False

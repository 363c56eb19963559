"""What a time budget is spent on, by a clock that only steps, validations and checkpoints advance."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from elman.state import State
from elman.tasks.language_modelling.settings import TextTraining
from elman.train import checkpoints
from elman.train.events import Event, Finished, Step, Validated
from elman.train.loop import fit
from elman.train.objective import Loss, Place
from elman.train.rhythm import VALIDATION_SHARE
from elman.train.schedule import Budget
from elman.train.training import Training

BUDGET, STEP, SAVE = 60.0, 0.5, 0.2  # seconds
TARGETS = 10  # a step


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        original = checkpoints.save

        def save(folder: Path, step: int, checkpoint: checkpoints.Checkpoint) -> None:
            original(folder, step, checkpoint)
            self.now += SAVE

        monkeypatch.setattr(checkpoints, "save", save)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@dataclass
class Timed:
    """An objective whose steps and validations take so many seconds of a clock; the first step takes five times."""

    clock: Clock
    validating: float
    validation_size: int = 1
    training_size: int = 1000
    metric: str = "loss"
    adaptive: None = None
    steps: int = 0

    def batches(self, epoch: int) -> int:
        return 100

    def cost(self, metrics: dict[str, float]) -> float:
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        return ""

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        self.clock.now += STEP if self.steps else 5 * STEP
        self.steps += 1
        return Loss((model.get_parameter("weight") ** 2).mean(), TARGETS, None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.clock.now += self.validating
        return {"loss": 1.0}

    def initial_state(self, model: nn.Module) -> None:
        return None


def training(clock: Clock, validating: float, size: int = 1, budget: float = BUDGET) -> Training:
    settings = TextTraining(schedule="linear", warmup=0.0, final=0.1, learning_rate=1.0, optimizer="sgd")
    torch.manual_seed(1)
    return Training(nn.Linear(1, 1), Timed(clock, validating, size), settings, Budget(budget, "seconds"))


def finished(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


# A third of a step's time for as many targets: what reading without learning takes.
SIZES = [(0.01, 1), (1.0, 60), (4.0, 1), (10.0, 600), (20.0, 1200), (20.0, 1)]


@pytest.mark.parametrize(("validating", "size"), SIZES)
def test_the_whole_takes_what_was_asked_for(clock: Clock, tmp_path: Path, validating: float, size: int) -> None:
    """No more than that and one step, whether a validation is fast or slow, and known from the outset or not."""
    begun = clock.now
    events = list(fit(training(clock, validating, size), tmp_path))
    last = finished(events)
    assert last.reason == "budget"
    assert last.seconds == pytest.approx(clock.now - begun)
    assert last.seconds <= BUDGET + STEP + 1e-6
    assert last.seconds >= BUDGET - max(validating, STEP / 3 / TARGETS * size) - SAVE
    assert isinstance(events[-2], Validated)
    assert events[-2].step == last.step


@pytest.mark.parametrize(("validating", "size"), SIZES)
@pytest.mark.parametrize("stops", [[3], [20, 21, 60]])
def test_so_it_does_in_several_sessions(
    clock: Clock, tmp_path: Path, validating: float, size: int, stops: list[int]
) -> None:
    for stop in stops:
        made = training(clock, validating, size)
        events = list(fit(made, tmp_path, stop=lambda at=stop, one=made: one.counters.step >= at))  # type: ignore[misc]
        clock.now += 1000.0  # between sessions no time counts
        if finished(events).reason == "budget":
            break
    events = list(fit(training(clock, validating, size), tmp_path))
    assert finished(events).reason == "budget"
    # A session that is stopped writes a checkpoint, and the next begins with another slow step.
    assert finished(events).seconds <= BUDGET + 5 * STEP + SAVE + 1e-6


@pytest.mark.parametrize(("validating", "size"), SIZES)
def test_a_finished_training_stays_finished(clock: Clock, tmp_path: Path, validating: float, size: int) -> None:
    """Even where the last validation took less time than was kept for it. A larger budget goes on."""
    first = finished(list(fit(training(clock, validating, size), tmp_path)))
    again = finished(list(fit(training(clock, validating, size), tmp_path)))
    assert (again.step, again.reason) == (first.step, "budget")
    more = finished(list(fit(training(clock, validating, size, budget=2 * BUDGET), tmp_path)))
    assert more.step > first.step
    assert more.seconds <= 2 * BUDGET + 5 * STEP + SAVE + 1e-6


@pytest.mark.parametrize(("validating", "size"), SIZES)
def test_the_learning_rate_comes_to_its_end(clock: Clock, tmp_path: Path, validating: float, size: int) -> None:
    rates = [
        event.learning_rate for event in fit(training(clock, validating, size), tmp_path) if isinstance(event, Step)
    ]
    assert rates[-1] == pytest.approx(0.1, abs=0.05)
    assert rates[0] > 0.9


def test_a_validation_that_takes_all_leaves_half_of_the_time_to_learn(clock: Clock, tmp_path: Path) -> None:
    last = finished(list(fit(training(clock, 100.0, 10**9), tmp_path)))
    assert last.seconds == pytest.approx(BUDGET / 2 + 100.0 + SAVE, abs=STEP)


def test_a_first_validation_that_would_eat_the_budget_is_not_made(clock: Clock, tmp_path: Path) -> None:
    """Of more than a twentieth of the budget, by the time of the steps; so only the last is left."""
    size = int(1.1 * VALIDATION_SHARE * BUDGET * 3 / STEP * TARGETS)
    events = list(fit(training(clock, 3.0, size), tmp_path / "large"))
    assert len([event for event in events if isinstance(event, Validated)]) == 1
    events = list(fit(training(clock, 0.1, 10), tmp_path / "small"))
    assert len([event for event in events if isinstance(event, Validated)]) == 10


@pytest.mark.parametrize("validating", [0.1, 1.0, 3.0])
def test_a_twentieth_of_the_time_is_for_validations_but_the_last(
    clock: Clock, tmp_path: Path, validating: float
) -> None:
    """And but the first, which tells how long they take."""
    events = list(fit(training(clock, validating), tmp_path))
    spent = [event.seconds for event in events if isinstance(event, Validated)]
    assert sum(spent[1:-1]) <= VALIDATION_SHARE * BUDGET + 1e-6

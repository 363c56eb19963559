"""The training loop: a generator of events, which the command line, the lens and the tests simply iterate over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch

from elman import atomic
from elman.errors import UserError
from elman.train import checkpoints
from elman.train.checkpoints import Checkpoint
from elman.train.journal import Journal
from elman.train.rhythm import Rhythm
from elman.train.training import Step, Training


@dataclass(frozen=True)
class Resumed:
    """The training goes on from a checkpoint of this step."""

    step: int


@dataclass(frozen=True)
class Warned:
    """Something was not right, and was mended."""

    text: str


@dataclass(frozen=True)
class Validated:
    """Metrics on the validation set."""

    step: int
    metrics: dict[str, float]
    improved: bool
    seconds: float


Reason = Literal["budget", "patience", "stopped"]


@dataclass(frozen=True)
class Finished:
    """The last event: why it ended, after how many steps and seconds; `best` is the least cost (`Objective.cost`)."""

    reason: Reason
    step: int
    seconds: float
    best: float


Event = Resumed | Warned | Step | Validated | Finished


def fit(training: Training, folder: Path, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Train until the budget is spent, the patience ends or `stop()` says so.

    Everything is written to `folder`: `checkpoints/`, `metrics.jsonl`, `timing.jsonl`, and the best weights as
    `model/model.safetensors`. A folder that holds checkpoints is taken up where the newest whole one left it,
    bit by bit: weights, memory and metrics end as if nothing had happened (same machine, same thread count).

    Raises:
        UserError: a write failed (the run can be resumed), all checkpoints are damaged, or the loss was not
            finite too often.
    """
    yield from _restore(training, folder)
    counters, patience = training.counters, training.settings.patience
    reason: Reason = "budget"
    rhythm = Rhythm(training)

    def ended() -> bool:
        nonlocal reason
        reason = "stopped" if stop() else "patience" if patience and counters.since_best >= patience else "budget"
        return reason != "budget"

    with (
        Journal(folder / "metrics.jsonl", keep=counters.metrics_bytes) as metrics,
        Journal(folder / "timing.jsonl") as timing,
    ):
        if counters.step == 0:
            rhythm.saved(save(training, folder, metrics))
        for step in steps(training, ended=ended):
            metrics.write(record(step))
            yield step
            if rhythm.validation_due():
                validated = validate(training, folder, metrics, timing)
                rhythm.validated(validated.seconds)
                yield validated
            counters.reserved = rhythm.reserve()
            if rhythm.checkpoint_due():
                rhythm.saved(save(training, folder, metrics))
        if reason != "stopped" and counters.validated_at < counters.step:
            yield validate(training, folder, metrics, timing)
        if math.isinf(counters.best) and counters.step:  # no validation, or no number: these are better than none
            training.keep_best()
            ship(training, folder)
        save(training, folder, metrics)
    yield Finished(reason, counters.step, training.seconds, counters.best)


def steps(training: Training, *, ended: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """The steps of a training until its budget is spent or `ended()` says so; nothing is written."""
    training.model.train()
    while training.progress < 1 and not ended():
        yield training.step()


def validate(training: Training, folder: Path, metrics: Journal, timing: Journal) -> Validated:
    """Validate, journal it, and ship the weights if they are the best so far."""
    begun = training.seconds
    measured, improved = training.validate()
    step = training.counters.step
    metrics.write({"step": step, "validation": measured, "best": training.counters.best})
    if improved:
        ship(training, folder)
    seconds = training.seconds
    timing.write(
        {
            "step": step,
            "targets": training.counters.targets,
            "seconds": seconds,
            "validation_seconds": seconds - begun,
        }
    )
    timing.sync()
    return Validated(step, measured, improved, seconds - begun)


def ship(training: Training, folder: Path) -> None:
    """Write the best weights as `model/model.safetensors`."""
    atomic.write_bytes(folder / "model" / "model.safetensors", safetensors.torch.save(training.best))


def save(training: Training, folder: Path, metrics: Journal) -> float:
    """Write a checkpoint; what the metrics say up to here is on the disk before it. Returns the seconds it took."""
    begun = training.seconds
    training.counters.metrics_bytes = metrics.sync()
    checkpoints.save(folder / "checkpoints", training.counters.step, training.to_checkpoint())
    return training.seconds - begun


def record(step: Step) -> dict[str, Any]:
    """A step's line in `metrics.jsonl`: nothing in it depends on the clock."""
    return {
        "step": step.step,
        "epoch": step.epoch,
        "loss": step.loss,
        "targets": step.targets,
        "learning_rate": step.learning_rate,
        "gradient_norm": step.gradient.norm_before,
        "clipped_norm": step.gradient.norm_after,
        "clipped": step.gradient.clipped,
        "skipped": step.skipped,
    }


def _restore(training: Training, run: Path) -> Iterator[Event]:
    errors = []
    folder, journal = run / "checkpoints", run / "metrics.jsonl"
    for found in checkpoints.newest(folder):
        if isinstance(found, Checkpoint):
            try:
                training.restore(found)
            except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
                raise UserError(
                    f"the checkpoints in {folder} are another model's, or damaged ({_first_line(error)})",
                    remedy="resume with the settings the run was made with, or --overwrite it",
                ) from error
            if training.best:
                ship(training, run)  # whatever became of the file
            yield Resumed(training.counters.step)
            return
        errors.append(str(found))
        yield Warned(f"damaged checkpoint {found}; trying the one before")
    if errors or (journal.exists() and journal.stat().st_size):
        raise UserError(
            f"no whole checkpoint is left in {folder}",
            remedy="start again with --overwrite, or from another copy",
        )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)

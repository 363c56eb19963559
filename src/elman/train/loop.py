"""The training loop: a generator of events, over which the command line, the lens and the tests iterate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from elman.errors import UserError
from elman.train import checkpoints, sharding, tensor_files
from elman.train.checkpoints import Checkpoint, Damaged
from elman.train.events import Event, Finished, Reason, Resumed, Step, Validated, Warned
from elman.train.journal import Journal, Unwritten
from elman.train.rhythm import Rhythm
from elman.train.training import Training


def fit(training: Training, folder: Path, *, stop: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Train until the budget is spent, the patience ends or `stop()` is true.

    The loop writes `checkpoints/`, `metrics.jsonl`, `timing.jsonl` and, as `model/model.safetensors`, the best weights
    to `folder`. A folder that holds checkpoints is continued from the newest whole one, bit by bit: weights, state and
    metrics end as if the training had never stopped (on the same machine, with the same number of threads). Raises
    `UserError` where a write failed (the run can be resumed), where all checkpoints are damaged, and where too many
    steps in a row had a loss that was not finite.

    >>> import elman
    >>> from contextlib import closing
    >>> with closing(elman.training("to be or not to be, " * 100, budget="2 steps", hidden_size=8)) as events:
    ...     training = next(events).training  # prepared: a model, an objective, settings, a budget
    ...     print(*(type(event).__name__ for event in fit(training, Path("runs/by-hand"))))
    Step Step Validated Finished
    >>> sorted(path.name for path in Path("runs/by-hand").iterdir())
    ['checkpoints', 'metrics.jsonl', 'model', 'timing.jsonl']
    """
    yield from _restore(training, folder)
    training.ranks.check_same({"the step that the training goes on from": training.counters.step})
    counters, patience = training.counters, training.settings.patience
    reason: Reason = "budget"
    rhythm = Rhythm(training)

    def ended(stopped: bool) -> bool:
        nonlocal reason
        reason = "stopped" if stopped else "patience" if patience and counters.since_best >= patience else "budget"
        return reason != "budget"

    ranks = training.ranks
    kind = Journal if ranks.first else Unwritten
    with (
        kind(folder / "metrics.jsonl", keep=counters.metrics_bytes) as metrics,
        kind(folder / "timing.jsonl") as timing,
    ):
        if counters.step == 0:
            rhythm.saved(_save(training, folder, metrics))
        for step in steps(training, stop=stop, ended=ended):
            metrics.write(_record(step))
            yield step
            counters.reserved, saving, validating = ranks.told(
                rhythm.reserve(), rhythm.checkpoint_due(), rhythm.validation_due()
            )
            if validating:
                validated = _validate(training, folder, metrics, timing)
                rhythm.validated(validated.seconds)
                yield validated
                counters.reserved, saving = ranks.told(rhythm.reserve(), rhythm.checkpoint_due())
            if saving:
                rhythm.saved(_save(training, folder, metrics))
        if reason != "stopped" and counters.validated_at < counters.step:
            yield _validate(training, folder, metrics, timing)
        if math.isinf(counters.best) and counters.step:  # no validation gave a number: ship the last weights
            training.keep_best()
            _ship(training, folder)
        _save(training, folder, metrics)
    yield Finished(reason, counters.step, training.seconds, counters.best)


def steps(
    training: Training,
    *,
    stop: Callable[[], bool] = lambda: False,
    ended: Callable[[bool], bool] = lambda stopped: stopped,
) -> Iterator[Step]:
    """The steps of a training until its budget is spent or `ended(stopped)` is true; nothing is written.

    `stopped` is whether `stop()` is true in any process: a signal may reach one alone.

    >>> import elman
    >>> from contextlib import closing
    >>> with closing(elman.training("to be or not to be, " * 100, budget="3 steps", hidden_size=8)) as events:
    ...     print([round(step.learning_rate, 4) for step in steps(next(events).training)])
    [0.0001, 0.0438, 0.0148]
    """
    training.model.train()
    ranks = training.ranks
    while True:
        progress, stopped = ranks.sums(training.progress if ranks.first else 0.0, stop())
        if progress >= 1 or ended(stopped > 0):
            return
        yield training.step(progress)


def _validate(training: Training, folder: Path, metrics: Journal, timing: Journal) -> Validated:
    begun, counters = training.seconds, training.counters
    measured, improved = training.validate()
    metrics.write({"step": counters.step, "validation": measured, "best": counters.best})
    if improved:
        _ship(training, folder)
    seconds = training.seconds
    spent = {"seconds": seconds, "validation_seconds": seconds - begun}
    timing.write({"step": counters.step, "targets": counters.targets, **spent})
    timing.sync()
    return Validated(counters.step, measured, improved, seconds - begun)


def _ship(training: Training, folder: Path) -> None:
    """Write the best weights as one file, tensor by tensor: rank 0 has one whole tensor at a time."""
    best, ranks = training.best, training.ranks
    like = training.model.state_dict()
    layout = {name: (part.dtype, tuple(like[name].shape)) for name, part in best.items()}
    if ranks.first:
        path = folder / "model" / "model.safetensors"
        tensor_files.write(path, layout, lambda name: sharding.whole(name, best, like, ranks))
    elif ranks.together:
        for name in tensor_files.order(layout):
            sharding.whole(name, best, like, ranks)


def _save(training: Training, folder: Path, metrics: Journal) -> float:
    """Write a checkpoint, after the metrics up to here are on the disk, and return the seconds that this took."""
    begun = training.seconds
    training.counters.metrics_bytes = metrics.sync()
    place, step = folder / "checkpoints", training.counters.step
    if checkpoint := training.to_checkpoint():
        if training.ranks.together:
            from elman.train import sharded_checkpoints  # and torch's distributed checkpoints, which take long

            sharded_checkpoints.save(place, step, checkpoint, training.ranks)
        else:
            checkpoints.save(place, step, checkpoint)
    return training.seconds - begun


def _record(step: Step) -> dict[str, Any]:
    """A step's line in `metrics.jsonl`: no number in it depends on the clock."""
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


def _load(training: Training, path: Path) -> Checkpoint:
    if path.suffix and not training.ranks.together:
        return checkpoints.load(path)
    from elman.train import sharded_checkpoints

    return sharded_checkpoints.load(path, training.layout(), training.ranks)


def _restore(training: Training, run: Path) -> Iterator[Event]:
    folder, journal = run / "checkpoints", run / "metrics.jsonl"
    damaged = False
    for found in checkpoints.newest(folder, partial(_load, training)):
        if isinstance(found, Damaged):
            damaged = True
            yield Warned(f"damaged checkpoint {found}; trying the one before")
            continue
        try:
            training.restore(found)
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            first_line = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(
                f"the checkpoints in {folder} are another model's, or damaged ({first_line})",
                remedy="resume with the settings the run was made with, or replace it (--overwrite)",
            ) from error
        if training.best:
            _ship(training, run)  # the file may be lost or damaged
        yield Resumed(training.counters.step)
        return
    if damaged or (journal.exists() and journal.stat().st_size):
        raise UserError(
            f"no whole checkpoint is left in {folder}",
            remedy="start again (--overwrite), or from another copy",
        )

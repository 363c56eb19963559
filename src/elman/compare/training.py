"""One training of a comparison: a run like any other, which goes on where an earlier session left it, then measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from elman import runs
from elman.arrays import Floats
from elman.compare import load
from elman.compare.intervals import Blocks
from elman.errors import UserError
from elman.inspection.look import plain
from elman.metrics.words import words
from elman.preparation import Prepared, prepare
from elman.tasks import TASKS
from elman.tasks.configuration import Settings
from elman.train import journal
from elman.train.events import Finished, Step, Validated
from elman.train.loop import fit
from elman.train.running_loss import RunningLoss

LOAD = "load.jsonl"  # in the run's folder: the load of the machine, a line a lap
MOST_BLOCKS = 512
CURVE_POINTS = 50
RATES = "learning_rate", "muon_rate"  # settings that a trial's factor multiplies

Tell = Callable[[float, str], None]
"""Told how far a training is, 0 to 1, and a few words."""
TellStage = Callable[[str, float, str], None]
"""Told what is being done, how much of that is done, 0 to 1, and a few words."""


class Stopped(Exception):
    """A person stopped the comparison; everything is saved."""


def tree_of_training(settings: Settings, seed: int, factor: float = 1.0, share: float = 1.0) -> dict[str, Any]:
    """Resolved settings with another seed, learning rates times `factor`, and a share of the budget."""
    tree = settings.model_dump(mode="json")
    rates = {name: float(f"{tree['train'][name] * factor:.4g}") for name in RATES}
    tree["train"] |= {"seed": seed, **rates}
    amount = tree["budget"]["amount"] * share
    tree["budget"]["amount"] = max(1, round(amount)) if tree["budget"]["unit"] == "steps" else amount
    return tree


def train(
    tree: dict[str, Any], folder: Path, stop: Callable[[], bool], tell: Tell, *, anew: bool = False
) -> tuple[Finished, Prepared]:
    """Train the run in a folder, or go on with its training; `anew` replaces a run.

    Raises:
        Stopped: `stop()` returned true.
        UserError: as of `prepare` and `fit`.
    """
    with prepare(tree, folder, resume=not anew, overwrite=anew) as prepared, journal.Journal(folder / LOAD) as laps:
        meter, loss = load.Meter(tree["train"]["device"]), RunningLoss()
        for event in fit(prepared.training, folder, stop=stop):
            if isinstance(event, Step):
                tell(min(event.progress, 1.0), f"loss {loss.add(event.loss):.3f}")
            elif isinstance(event, Validated | Finished) and (lap := meter.lap()):
                laps.write(asdict(lap))
        assert isinstance(event, Finished)
        if event.reason == "stopped":
            raise Stopped
        return event, prepared


def measured_training(
    tree: dict[str, Any], folder: Path, stop: Callable[[], bool], tell: Tell
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train, then measure the best weights: what seed and data decide, and what the clock and the machine decide."""
    peak_ram = load.measure_peak_ram(tree["train"]["device"])
    finished, prepared = train(tree, folder, stop, tell)
    megabytes = peak_ram()
    task, corpus, counters = TASKS[prepared.settings.task], prepared.corpus, prepared.training.counters
    model = runs.load(folder).model
    measured = task.measure(model, corpus)
    losses, targets = (in_blocks(each) for each in (measured.losses, measured.targets))
    loss = Blocks(losses, targets).value
    if not np.isfinite(loss):
        what = f"the validation loss of {folder} is {words(loss)}: the model cannot be compared"
        raise UserError(what, remedy="lower the learning rate (--set learning_rate=...), or leave the model out")
    (validations, training), clock = learning_curves(folder), clock_curve(folder)
    reach, decoding = task.memory(model, corpus), task.decoding_speed(model)
    result = {
        "loss": loss,
        **measured.scores,
        "score_terms": {name: in_blocks(terms).tolist() for name, terms in measured.terms.items()},
        "steps": counters.step,
        "tokens": counters.targets,
        "skipped": counters.skipped,
        "learning_rate": tree["train"]["learning_rate"],
        **({} if reach is None else {"memory": plain(reach)}),
        "curve": validations,
        "training_curve": plain(training),
        "blocks": {"nats": np.round(losses, 4).tolist(), "tokens": targets.tolist()},
    }
    _, learnt, seconds = clock[-1] if clock else (0.0, 0.0, finished.seconds)
    busy = load.total(folder / LOAD)
    timing = {
        "seconds": finished.seconds,
        "training_tokens_per_second": learnt / max(seconds, 1e-9),
        **({} if decoding is None else {"decoding_tokens_per_second": decoding}),
        "peak_megabytes": megabytes,
        **(busy.shares if busy else {"own_share": None, "others_share": None}),
        "curve": clock,
    }
    return result, timing


def in_blocks(terms: Floats) -> Floats:
    """Terms of sums (N, ...), some in a row added up where they are many."""
    return np.add.reduceat(terms, np.arange(0, len(terms), -(-len(terms) // MOST_BLOCKS)))


def learning_curves(run: Path) -> tuple[list[list[float]], list[list[float]]]:
    """[step, targets, loss] at every validation; [targets, loss], the means of the training loss over fiftieths."""
    validations, read, losses = [], [0], []
    for record in journal.read(run / "metrics.jsonl"):
        if "targets" in record:
            read.append(read[-1] + record["targets"])
            losses.append(np.nan if record["loss"] is None else record["loss"])
        if "validation" in record:
            validations.append([record["step"], read[-1], record["validation"]["loss"]])
    parts = np.array_split(np.array([read[1:], losses]), min(CURVE_POINTS, len(losses)), axis=1)
    return validations, [[float(targets[-1]), round(float(part.mean()), 6)] for targets, part in parts]


def clock_curve(run: Path) -> list[list[float]]:
    """[step, targets, seconds] at every validation; the seconds are those of training, without validations."""
    curve: dict[int, list[float]] = {}
    validating = 0.0
    for record in journal.read_timing(run / "timing.jsonl"):
        validating += record["validation_seconds"]
        curve[int(record["step"])] = [record["step"], record["targets"], record["seconds"] - validating]
    return list(curve.values())

"""What is measured of a training: the losses of its model block by block, and the curves of its journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from elman.compare.intervals import Blocks
from elman.tasks.task import Task
from elman.train import journal

MOST_BLOCKS = 512
CURVE_POINTS = 50


def block_losses(task: Task, model: Any, corpus: Any) -> Blocks:
    """The losses that validation takes the mean of, in the blocks of the task or some in a row."""
    losses, counts = task.block_losses(model, corpus)
    edges = np.arange(0, len(losses), -(-len(losses) // MOST_BLOCKS))
    return Blocks(np.add.reduceat(losses, edges), np.add.reduceat(counts, edges))


def learning_curve(run: Path) -> list[list[float]]:
    """[step, loss] at every validation."""
    records = journal.read(run / "metrics.jsonl")
    return [[r["step"], r["validation"]["loss"]] for r in records if "validation" in r]


def training_curve(run: Path) -> list[list[float]]:
    """[targets, loss]: means of the training loss over fiftieths of the training."""
    steps = [(r["targets"], r["loss"]) for r in journal.read(run / "metrics.jsonl") if "targets" in r]
    targets, losses = np.array([(n, np.nan if loss is None else loss) for n, loss in steps], np.float64).T
    read = targets.cumsum()
    parts = np.array_split(np.arange(len(losses)), min(CURVE_POINTS, len(losses)))
    return [[float(read[part[-1]]), round(float(losses[part].mean()), 6)] for part in parts]


def clock_curve(run: Path) -> list[list[float]]:
    """[step, targets, seconds] at every validation, the time of validating left out of the seconds."""
    curve: dict[int, list[float]] = {}
    validating = 0.0
    for record in journal.read_timing(run / "timing.jsonl"):
        validating += record["validation_seconds"]
        curve[int(record["step"])] = [record["step"], record["targets"], record["seconds"] - validating]
    return list(curve.values())

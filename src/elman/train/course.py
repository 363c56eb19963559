"""The course of a training: what its steps and validations measured, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.train import journal

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Metrics:
    """The records of `metrics.jsonl` as arrays (N,) with an entry a step; a number that was not finite is NaN."""

    step: Array
    epoch: Array  # passes over the data
    loss: Array  # of the step, in nats a target
    targets: Array  # how many targets the step had
    learning_rate: Array
    gradient_norm: Array
    clipped_norm: Array  # of the gradient after clipping
    clipped: Array
    skipped: Array
    validations: Mapping[str, Array]  # (M,) each: "step", and the metrics of the task by name


def course(run: Path) -> Metrics:
    """The course of the training in a run's folder. Raises `UserError` where there is none."""
    steps: dict[str, list[Any]] = {name: [] for name in Metrics.__dataclass_fields__ if name != "validations"}
    validations: list[dict[str, Any]] = []
    for record in journal.read(run / "metrics.jsonl"):
        if "validation" in record:
            validations.append({"step": record["step"], **record["validation"]})
        else:
            for name, values in steps.items():
                values.append(record.get(name))
    names = dict.fromkeys(name for record in validations for name in record)
    measured = {name: _array([record.get(name) for record in validations]) for name in names}
    return Metrics(**{name: _array(values) for name, values in steps.items()}, validations=measured)


def _array(values: Sequence[Any]) -> Array:
    """Numbers as an array, with NaN for None."""
    return np.array([math.nan if value is None else value for value in values])

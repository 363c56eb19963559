"""What a checkpoint holds besides tensors, by name and type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=0, lt=1 << 53)]


@dataclass
class Counters:
    """The numbers a training counts."""

    step: Count = 0  # optimiser steps taken or skipped
    epoch: Count = 0
    batch: Count = 0  # the next one in this epoch
    targets: Count = 0  # seen so far
    seconds: float = 0.0  # spent, in this and earlier sessions
    reserved: float = 0.0  # seconds of a time budget that are kept for the last validation
    skipped: Count = 0  # steps whose loss or gradient was not finite
    bad_in_a_row: Count = 0
    best: float = float("inf")
    since_best: Count = 0  # validations
    metrics_bytes: Count = 0  # of metrics.jsonl
    validated_at: Count = 0  # step


@dataclass(frozen=True)
class Averaged:
    """What a checkpoint says of an average of the weights."""

    updates: Count
    decay: float


@dataclass(frozen=True)
class Values:
    """All in a checkpoint that is no tensor."""

    counters: Counters
    optimizer: dict[str, list[str]]  # a parameter's number: the names of its slots
    norms: list[float]
    losses: list[float]
    carried: bool
    adaptive: dict[str, int] | None = None
    average: Averaged | None = None

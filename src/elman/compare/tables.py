"""The two tables of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from elman.compare.outcomes import Clock, Outcome, over, percent
from elman.tasks.task import Task

Columns = dict[str, Callable[[Any], str]]
"""The heading of each column of a table, and the cell of a row in it."""


def result_columns(ranked: Sequence[Outcome], task: Task) -> Columns:
    """What seed and data decide. The interval's heading says what it is over; what was not measured has no column."""
    columns: Columns = {
        "model": lambda one: one.model,
        task.loss_unit: lambda one: f"{one.quality.middle:.4f}",
        f"95 % over {over(ranked[0].quality, len(ranked[0].losses), task)}": lambda one: (
            f"{one.quality.low:.4f} to {one.quality.high:.4f}"
        ),
        **{
            heading: partial(_score, name)
            for name, heading in task.scores.items()
            if all(name in one.scores for one in ranked)
        },
        "parameters": lambda one: f"{one.parameters:,}",
        f"{task.target}s": lambda one: f"{one.targets:,.0f}",
        "rate": lambda one: f"{one.learning_rate:g}",
    }
    if any(one.lags is not None for one in ranked):
        columns |= {"horizon": lambda one: one.reach, "gradient left": lambda one: one.remains}
    return columns


def _score(name: str, one: Outcome) -> str:
    return f"{one.scores[name]:.4f}"


def clock_columns(measured: Sequence[Clock], task: Task) -> Columns:
    """What the clock says."""
    columns: Columns = {
        "model": lambda one: one.model,
        "seconds": lambda one: f"{one.seconds:.1f}",
        f"training {task.target}s/s": lambda one: f"{one.training:,.0f}",
        f"decoding {task.target}s/s": lambda one: f"{one.decoding:,.0f}",
        "peak MB": lambda one: "–" if one.megabytes is None else f"{one.megabytes:,.0f}",
        "own CPU": lambda one: percent(one.own_share),
        "other work's CPU": lambda one: percent(one.others_share),
    }
    if any(one.decoding is None for one in measured):
        del columns[f"decoding {task.target}s/s"]
    return columns


def cells(columns: Columns, rows: Sequence[Any]) -> list[list[str]]:
    """The rows of a table."""
    return [[cell(row) for cell in columns.values()] for row in rows]

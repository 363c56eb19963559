"""What numbers the options take: beyond these a command would not end, or not fit any memory."""

from __future__ import annotations

import math
from typing import Any

import typer

from elman.errors import UserError

BEAM = 1000  # hypotheses of a sentence
BATCH = 1 << 16  # sentences
LENGTH_PENALTY = 10.0  # an exponent: of (5 + n) / 6 for n tokens
COVERAGE_PENALTY = 1000.0
TARGET = 100_000  # tokens of a translation
WRITTEN = 10_000_000  # tokens of a text
SEEDS = TRIALS = 1000  # trainings of a model
PARAMETERS = 10**11
MEASURING = 3600.0  # seconds for a line of a benchmark


def finite(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """A callback of an option: refuses what a range lets pass, infinity where it has no end and what is no number."""
    if value is not None and not math.isfinite(value):
        raise UserError(option.opts[0], expected="a finite number", got=value, exit_code=2)
    return value

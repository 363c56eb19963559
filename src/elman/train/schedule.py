"""The budget of a training, the fraction of it that is spent, and the learning rate that follows from this fraction."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, cast

from elman.errors import UserError

Unit = Literal["steps", "epochs", "seconds"]

NUMBER = r"[0-9]+(?:\.[0-9]*)?"
MOST_RESERVED = 0.5  # of a time budget
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# The largest budgets: over a longer one, the learning rate would not leave its first values in years.
MOST: dict[Unit, float] = {"steps": 10**12, "epochs": 10**9, "seconds": 10 * 365 * 86400}


@dataclass(frozen=True)
class Budget:
    """The optimiser steps, epochs (passes over the training data) or seconds that a training may spend.

    >>> Budget(100, "steps").progress(step=25, epochs=0.0, seconds=3.0)
    0.25
    """

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        if not 0 < self.amount <= MOST[self.unit]:
            raise ValueError(f"budget: expected {bounds(self.unit)} {self.unit}, got {self.amount}")

    def progress(self, *, step: int, epochs: float, seconds: float, reserved: float = 0.0) -> float:
        """The spent fraction; at least 1 when the budget is spent.

        `reserved` seconds of a time budget are kept for the work after the last step; at most half of the budget, since
        a model that has learnt nothing needs no validation.

        >>> Budget(100, "seconds").progress(step=25, epochs=0.0, seconds=30.0, reserved=40.0)
        0.5
        """
        spent = {"steps": step, "epochs": epochs, "seconds": seconds}[self.unit]
        kept = min(max(reserved, 0.0), MOST_RESERVED * self.amount) if self.unit == "seconds" else 0.0
        return spent / (self.amount - kept)

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit.removesuffix('s') if self.amount == 1 else self.unit}"


def bounds(unit: Unit) -> str:
    """The possible amounts of a budget, in words."""
    return f"more than 0 and at most {MOST[unit]:,.0f}"


def learning_rate(progress: float, peak: float, *, warmup: float, final: float, shape: str = "cosine") -> float:
    """The learning rate at a fraction of the budget: a linear warm-up, then a fall from peak towards final * peak.

        rate = peak (final + (1 − final) fall)     cosine        fall = (1 + cos πx) / 2     (Loshchilov & Hutter 2017)
                                                   linear        fall = 1 − x
                                                   constant      fall = 1
                                                   inverse_sqrt  fall = √(warmup / progress)    (Vaswani et al. 2017)

    x runs from 0 to 1 between the warm-up and the end. Since the schedule runs over the *budget*, two minutes of
    training give the best model of two minutes, not the first two minutes of a longer schedule. `inverse_sqrt` is
    proportional to 1/√step after its warm-up, which must not be 0; with final = 0 it ends at √warmup of the peak.

    `progress` is the spent fraction of the budget, clamped to [0, 1]; `warmup` the fraction over which the rate rises
    from (nearly) 0; `final` the rate at the end, as a fraction of peak; and `shape` one of the four above.

    >>> [round(learning_rate(p, 1.0, warmup=0.1, final=0.0), 3) for p in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    >>> [round(learning_rate(p, 1.0, warmup=0.04, final=0.0, shape="inverse_sqrt"), 3) for p in (0.02, 0.04, 0.16, 1.0)]
    [0.5, 1.0, 0.5, 0.2]
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return peak * max(progress / warmup, 1e-3)  # never quite zero: the first step should count
    x = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    fall = {
        "cosine": (1 + math.cos(math.pi * x)) / 2,
        "linear": 1 - x,
        "constant": 1.0,
        "inverse_sqrt": math.sqrt(warmup / progress) if warmup else 1.0,
    }[shape]
    return peak * (final + (1 - final) * fall)


def parse_duration(text: str) -> float:
    """Seconds from a duration: `90`, `90s`, `2m`, `1.5h`, `1h30m`. Raises `ValueError` for any other text, and for 0.

    >>> parse_duration("2m"), parse_duration("1h30m"), parse_duration("45")
    (120.0, 5400.0, 45.0)
    """
    text = text.strip().lower()
    parts = re.findall(rf"({NUMBER})([smhd]?)", text)
    seconds = sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
    if not re.fullmatch(rf"({NUMBER}[smhd])*({NUMBER})?", text) or not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


def make_budget(amount: float, unit: Unit, what: str) -> Budget:
    """A budget. Raises `UserError`, which begins with `what`, for an amount out of bounds."""
    if not 0 < amount <= MOST[unit]:
        raise UserError(what, expected=f"{bounds(unit)} {unit}", got=amount, exit_code=2)
    return Budget(amount, unit)


def parse_budget(text: object, what: str = "budget") -> Budget:
    """A budget from words: a duration, epochs or steps. Raises `UserError` for anything else.

    >>> str(parse_budget("2m")), str(parse_budget("3 epochs")), str(parse_budget("200 steps"))
    ('120 seconds', '3 epochs', '200 steps')
    """
    if isinstance(text, Budget):
        return text
    expected = "a time such as 90s, 2m or 1h30m, or a number of epochs or of steps such as 3 epochs"
    if not isinstance(text, str):
        raise UserError(what, expected=expected, got=repr(text), exit_code=2)
    if counted := re.fullmatch(r"\s*(\S+)\s*(epoch|step)s?\s*", text.lower()):
        whole = counted[2] == "step"
        try:
            amount = int(counted[1]) if whole else float(counted[1])
        except ValueError:
            raise UserError(what, expected=expected, got=repr(text), exit_code=2) from None
        return make_budget(amount, cast(Unit, f"{counted[2]}s"), what)
    try:
        return make_budget(parse_duration(text), "seconds", what)
    except UserError:
        raise
    except ValueError:
        raise UserError(what, expected=expected, got=repr(text), exit_code=2) from None

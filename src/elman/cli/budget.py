"""The budget of a training on the command line: one of --for, --epochs and --steps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from elman.errors import UserError
from elman.train.schedule import Unit, make_budget, parse_duration

UNITS: dict[str, Unit] = {"--for": "seconds", "--epochs": "epochs", "--steps": "steps"}


def choose_budget(for_: str | None, epochs: float | None, steps: int | None) -> dict[str, Any] | None:
    """As settings have it; None where none was given.

    Raises:
        UserError: two of them, or one that is no budget.
    """
    given: dict[str, Any] = {"--for": for_, "--epochs": epochs, "--steps": steps}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UserError("the budget", expected="one of --for, --epochs, --steps", got=" and ".join(chosen), exit_code=2)
    if not chosen:
        return None
    [name] = chosen
    try:
        amount = parse_duration(for_) if for_ is not None else given[name]
    except ValueError:
        raise UserError("--for", expected="a time such as 90s, 2m or 1h30m", got=repr(for_), exit_code=2) from None
    return asdict(make_budget(amount, UNITS[name], name))

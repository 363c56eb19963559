"""The budget of a training on the command line: one of --for, --epochs and --steps."""

from __future__ import annotations

from typing import Any

from elman.errors import UserError


def choose_budget(for_: str | None, epochs: float | None, steps: int | None) -> dict[str, Any] | None:
    """As settings have it; None where none was given.

    Raises:
        UserError: two of them, or one that is no budget.
    """
    from elman.train.schedule import parse_duration

    given = {"--for": for_, "--epochs": epochs, "--steps": steps}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UserError("the budget", expected="one of --for, --epochs, --steps", got=" and ".join(chosen), exit_code=2)
    if for_ is not None:
        try:
            return {"amount": parse_duration(for_), "unit": "seconds"}
        except ValueError:
            raise UserError("--for", expected="a time such as 90s, 2m or 1h30m", got=repr(for_), exit_code=2) from None
    if epochs is not None:
        if epochs == 0:
            raise UserError("--epochs", expected="more than 0", got=0, exit_code=2)
        return {"amount": epochs, "unit": "epochs"}
    return None if steps is None else {"amount": steps, "unit": "steps"}

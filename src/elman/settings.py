"""The base of every group of settings. This module imports no torch, so that a shell's completion can read settings."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from elman.errors import UserError, suggestion

# Larger numbers are typing errors. Whether a model fits into the RAM is checked when all its sizes are known.
UNITS, INNER_UNITS, LAYERS, POSITIONS = 1 << 16, 1 << 20, 1 << 10, 1 << 20
Units = Annotated[int, Field(ge=1, le=UNITS)]
Layers = Annotated[int, Field(ge=1, le=LAYERS)]
Probability = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A frozen, validated group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def complaint(error: ValidationError, *, exit_code: int = 1) -> UserError:
    """The first complaint of pydantic, in one line."""
    return complain(error.errors()[0], exit_code=exit_code)


def complain(first: Mapping[str, Any], *, exit_code: int = 1) -> UserError:
    """A complaint of pydantic, as its errors are listed, in one line."""
    names = [str(part) for part in first["loc"]]
    message = first["msg"].removeprefix("Value error, ")
    if not names or ":" in message:  # the message of one of our validators is complete
        return UserError(message, exit_code=exit_code)
    if first["type"] == "missing":
        return UserError(".".join(names), expected="a value", got="none", exit_code=exit_code)
    if first["type"] == "extra_forbidden":
        return UserError(f"{names[0]} is not known here", remedy="leave it out", exit_code=exit_code)
    remedy = ""
    if first["type"] == "literal_error":
        remedy = suggestion(str(first["input"]), re.findall("'(.*?)'", first["ctx"]["expected"]))
    expected = (message[0].lower() + message[1:]).removeprefix("input should be ")
    # Pydantic names the member of a union last: the setting is the part before it.
    return UserError(names[0], expected=expected, got=reprlib.repr(first["input"]), remedy=remedy, exit_code=exit_code)


def check_even(size: int, purpose: str, name: str = "hidden_size") -> None:
    """Raise `UserError` for a size that is not even."""
    if size % 2:
        raise UserError(name, expected=f"an even size for {purpose}", got=size)

"""How much a server keeps and takes."""

from __future__ import annotations

import re

from pydantic import Field, ValidationInfo, field_validator

from elman.errors import UserError
from elman.settings import Section
from elman.train.schedule import parse_duration

FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class ServingLimits(Section):
    """The limits of a server. Sizes are such as "1GB" or "512MiB", or a number of bytes; times "30m", or seconds.

    >>> limits = ServingLimits(memory="512MiB", idle="90s", tokens=1000)
    >>> limits.memory_bytes, limits.idle_seconds, limits.sessions
    (536870912, 90.0, 10000)
    """

    memory: str | int = Field("1GB", description="How much the sessions in memory may take; others lie on the disk.")
    idle: str | float = Field("30m", description="How long a session lives that nobody uses.")
    sessions: int = Field(10_000, ge=1, description="How many sessions there may be.")
    checkpoints: int = Field(64, ge=1, description="How many checkpoints a session may have.")
    prompt: int = Field(100_000, ge=1, description="How many tokens or values a session may be fed at once.")
    tokens: int = Field(100_000, ge=1, description="How many tokens may be written at once.")
    queue: int = Field(1000, ge=1, description="How many works of a model may run and wait.")
    rows: int = Field(1000, ge=1, description="How many of them run together; the others wait.")
    chunk: int = Field(256, ge=1, description="How much of a prompt is read between two rounds of writing.")
    request: str | int = Field("8MB", description="How long a request may be.")
    in_flight: int = Field(1000, ge=1, description="How many requests there may be at once.")

    @field_validator("memory", "request")
    @classmethod
    def _size(cls, value: str | int, info: ValidationInfo) -> str | int:
        parse_size(value, info.field_name or "")
        return value

    @field_validator("idle")
    @classmethod
    def _time(cls, value: str | float) -> str | float:
        try:
            parse_duration(str(value))
        except ValueError:
            raise UserError("idle", expected='a time such as "30m"', got=repr(value), exit_code=2) from None
        return value

    @property
    def memory_bytes(self) -> int:
        """`memory` as a number."""
        return parse_size(self.memory)

    @property
    def request_bytes(self) -> int:
        """`request` as a number."""
        return parse_size(self.request)

    @property
    def idle_seconds(self) -> float:
        """`idle` as a number."""
        return parse_duration(str(self.idle))


def parse_size(text: str | int, what: str = "a size") -> int:
    """Bytes from such as "1GB", "512 MiB" or 4096. Raises `UserError`, which begins with `what`, for anything else.

    >>> parse_size("1GB"), parse_size("1.5 MiB"), parse_size(4096)
    (1000000000, 1572864, 4096)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", str(text).strip().lower())
    if found is None or not float(found[1]):
        raise UserError(what, expected='a size such as "1GB"', got=repr(text), exit_code=2)
    return int(float(found[1]) * FACTORS[found[2] or ""])

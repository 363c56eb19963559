"""Why a server refuses a request, with HTTP's number for each reason.

Any other `UserError` says that a request is wrong: 400.
"""

from __future__ import annotations

from typing import ClassVar

from elman.errors import UserError


class Unknown(UserError):
    """There is no such session, checkpoint or model."""

    status: ClassVar[int] = 404


class Busy(UserError):
    """The session does something else: one thing at a time."""

    status: ClassVar[int] = 409


class Gone(UserError):
    """What was asked for is no longer there: a position before the memory that a session began with."""

    status: ClassVar[int] = 410


class TooLarge(UserError):
    """A request is longer than the limits allow."""

    status: ClassVar[int] = 413


class Full(UserError):
    """There is no room now."""

    status: ClassVar[int] = 429
    retry_after: float = 1.0  # seconds, after which there may be room


class ModelFailed(UserError):
    """The model failed on a request, which was right; or its server has ended."""

    status: ClassVar[int] = 500


class Closed(UserError):
    """The server ends."""

    status: ClassVar[int] = 503


def status_of(error: UserError) -> int:
    """HTTP's number for the reason of an error.

    >>> status_of(Busy("session")), status_of(UserError("top_k"))
    (409, 400)
    """
    status: int = getattr(error, "status", 400)
    return status

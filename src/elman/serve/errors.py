"""Why a server refuses a request, with HTTP's number for each reason.

Any other `UserError` says that a request is wrong: 400.
"""

from __future__ import annotations

from typing import ClassVar

from elman.errors import UserError


class Unknown(UserError):
    """There is no such session, checkpoint or model.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     sessions.get("nobody's")
    Traceback (most recent call last):
    elman.serve.errors.Unknown: there is no such session; it was closed, or ended because nobody used it
    """

    status: ClassVar[int] = 404


class Busy(UserError):
    """The session does something else: one thing at a time.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create(text="the c")
    ...     with session.generate(tokens=100_000):
    ...         session.feed(text="at")
    Traceback (most recent call last):
    elman.serve.errors.Busy: the session does something else; wait for its answer, or cancel it
    """

    status: ClassVar[int] = 409


class Gone(UserError):
    """What was asked for is no longer there: a position before the memory that a session began with.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create(memory=sessions.create(text="the c").state())
    ...     session.rollback(2)
    Traceback (most recent call last):
    elman.serve.errors.Gone: position: expected 5 or more, where the session's memory begins, got 2
    """

    status: ClassVar[int] = 410


class TooLarge(UserError):
    """A request is longer than the limits allow.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo", prompt=3) as sessions:
    ...     sessions.create(text="the c")
    Traceback (most recent call last):
    elman.serve.errors.TooLarge: a feed: expected at most 3 at once, got 5
    """

    status: ClassVar[int] = 413


class Full(UserError):
    """There is no room now.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo", sessions=2) as sessions:
    ...     three = [sessions.create() for _ in range(3)]
    Traceback (most recent call last):
    elman.serve.errors.Full: the server keeps 2 sessions, and has no room for another; close one, or try again later
    """

    status: ClassVar[int] = 429
    retry_after: float = 1.0  # seconds, after which there may be room


class ModelFailed(UserError):
    """The model failed on a request, which was right; or its server has ended.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create(text="the c")
    ...     sessions.models["demo"].listener.round = lambda works: 1 / 0  # as a model with a mistake
    ...     session.feed(text="at")
    Traceback (most recent call last):
    elman.serve.errors.ModelFailed: the model failed on this request (ZeroDivisionError: division by zero)
    """

    status: ClassVar[int] = 500


class Closed(UserError):
    """The server ends.

    >>> from elman.serve import Sessions
    >>> with Sessions("runs/demo") as sessions:
    ...     session = sessions.create(text="the c")
    >>> session.feed(text="at")
    Traceback (most recent call last):
    elman.serve.errors.Closed: the server ends
    """

    status: ClassVar[int] = 503


def status_of(error: UserError) -> int:
    """HTTP's number for the reason of an error.

    >>> status_of(Busy("session")), status_of(UserError("top_k"))
    (409, 400)
    """
    status: int = getattr(error, "status", 400)
    return status

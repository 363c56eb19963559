"""Every error of the server in one shape: {"error": {"message", "type", "code", "param"}}, a sentence and a status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from elman.errors import UserError
from elman.serve.errors import status_of
from elman.serve.http.answers import ErrorAnswer, as_json
from elman.settings import complain

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    410: "gone_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}
CODES = {
    401: "invalid_api_key",
    404: "not_found",
    409: "busy",
    410: "gone",
    413: "too_large",
    429: "full",
    503: "unavailable",
}
WORDS = {
    404: "there is nothing at this address; /docs lists what there is",
    405: "this address does not take this method; /docs lists what it takes",
}


class Refused(UserError):
    """A request that goes no further, with the status of its answer."""

    def __init__(
        self, status: int, message: str, *, retry_after: float | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.retry_after, self.param = status, retry_after, param


def described(error: UserError, status: int, param: str | None = None) -> dict[str, Any]:
    """An error as the clients of the server read it."""
    param = param or getattr(error, "param", None)
    what = {"message": str(error), "type": TYPES.get(status, "server_error"), "code": CODES.get(status), "param": param}
    return {"error": what}


def answer(error: UserError, status: int | None = None, param: str | None = None) -> Response:
    """The response that tells an error."""
    status = status or status_of(error)
    headers = {}
    if (wait := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return as_json(described(error, status, param), status, headers)


def install(app: FastAPI) -> None:
    """Let an app tell each of its errors in the one shape."""

    async def of_a_person(request: Request, error: Exception) -> Response:
        assert isinstance(error, UserError)
        return answer(error)

    async def of_a_form(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = dict(error.errors()[0])
        if first["type"] == "json_invalid":
            return answer(UserError("the body is not valid JSON"))
        place = first["loc"] = tuple(first["loc"])[1:]  # without "body", "path" or "query"
        if not place:
            return answer(UserError("the body", expected="a JSON object, with Content-Type: application/json"))
        return answer(complain(first), param=str(place[0]))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = UserError(WORDS.get(error.status_code, error.detail))
        found = answer(said, error.status_code)
        if error.status_code == 405:  # starlette names those of the first route of this address
            found.headers["Allow"] = ", ".join(_methods(app, request.scope["path"]))
        return found

    async def of_the_disk(request: Request, error: Exception) -> Response:
        assert isinstance(error, OSError)
        return answer(UserError(f"the server cannot write or read its files: {error.strerror}"), 503)

    async def of_ours(request: Request, error: Exception) -> Response:
        return answer(UserError("the server failed; its log says where"), 500)

    handlers: Mapping[Any, Any] = {
        UserError: of_a_person,
        RequestValidationError: of_a_form,
        HTTPException: of_http,
        OSError: of_the_disk,
        Exception: of_ours,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _methods(app: FastAPI, path: str) -> list[str]:
    """The methods that an address takes."""
    here = [route for route in app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    return sorted({method for route in here for method in route.methods or ()})


EXAMPLES = {
    400: "tokens: expected at least 1, got 0",
    401: "this server needs an API key; send it as Authorization: Bearer KEY",
    404: "there is no such session; it may have ended",
    408: "the request did not arrive in 30 s",
    409: "the session is at work; wait for its answer, or stop it",
    410: "the session began with a memory that had read more than that",
    413: "the request has more than 1,000,000 bytes",
    429: "the server is full; try again in 1 s",
    503: "the server is stopping",
}


def statuses(*others: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for its description: those of every route, and `others`."""
    return {
        status: {
            "model": ErrorAnswer,
            "description": TYPES[status].replace("_", " "),
            "content": {"application/json": {"example": described(UserError(EXAMPLES[status]), status)}},
        }
        for status in sorted({400, 401, 408, 413, 429, 503, *others})
    }

"""The server against its own OpenAPI description: whatever the description allows or forbids, nothing is a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import integers
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from elman.serve import Sessions
from elman.serve.http.app import make_app
from elman.serve.http.gate import Rules

pytestmark = pytest.mark.slow

EXAMPLES = 40
CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
)  # fmt: skip


@pytest.fixture(scope="module")
def app(trained: Path) -> Iterator[Any]:
    with Sessions(trained, tokens=200) as sessions:
        ids = [sessions.create(text="the cat").id for _ in range(3)]
        app = make_app(sessions, Rules(loopback=False))
        app.state.ids = ids
        yield app


@pytest.fixture(scope="module")
def schema(app: Any) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", app)


LIMITS = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
)  # fmt: skip


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_that_is_asked_makes_the_server_fail(schema: Any, app: Any, mode: GenerationMode) -> None:
    """Half of the requests for a session are for one that is there: a made-up id is not found."""
    tried: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        tried[operation.label] = asked(operation, app, mode)
    assert len(tried) >= 15
    if mode.is_positive:
        assert sum(min(statuses) < 300 for statuses in tried.values()) >= 12, tried


def asked(operation: Any, app: Any, mode: GenerationMode) -> set[int]:
    """The statuses of answers to what schemathesis makes up for an operation."""
    statuses = set()

    @LIMITS
    @given(case=operation.as_strategy(generation_mode=mode), number=integers(0, 5))
    def ask(case: Any, number: int) -> None:
        if "/sessions/" in case.path and case.method != "DELETE" and number < 3:
            case.path_parameters["id"] = app.state.ids[number]
        response = case.call()
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that has no part
        ask()
    return statuses

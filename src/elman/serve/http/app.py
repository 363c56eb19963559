"""The app: sessions and models of `elman.serve.Sessions` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from elman import __version__
from elman.serve.http import errors, openai, page, sessions, socket
from elman.serve.http.answers import Health, as_json
from elman.serve.http.events import Works
from elman.serve.http.gate import Gate, Rules
from elman.serve.http.metrics import CONTENT_TYPE, ServerMetrics

if TYPE_CHECKING:
    from elman.serve.sessions import Sessions

THREADS = 64  # that may wait for disks and models' threads at once
DESCRIPTION = (
    "Sequence models with a memory for each client. A session keeps what it has read: feed it, let it write, fork it, "
    "roll it back, save it. `/` is a page where one watches a model remember."
)
KEYS = {"key": {"type": "http", "scheme": "bearer", "description": "Of --api-key-file."}}


def make_app(opened: Sessions, rules: Rules | None = None) -> FastAPI:
    """An ASGI app over sessions, which their owner closes.

    Args:
        opened: the models, and all sessions with them.
        rules: who is let in, and how much of each.
    """
    rules = rules or Rules()
    app = FastAPI(
        title="elman serve",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    metrics = ServerMetrics(opened)
    app.state.works = works = Works(opened, metrics.first.observe)
    app.state.rules = rules
    routers = [each.router for each in (sessions, openai, socket)]
    errors.install(app)
    for router in routers:
        app.router.routes += router.routes  # `include_router` would look each request up twice
    files = page.add(app)
    _add_health(app, works, metrics)
    rules.open = {*rules.open, *files, "/healthz", "/readyz", "/openapi.json"}
    app.add_middleware(Gate, rules=rules, metrics=metrics)
    if rules.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(rules.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "Location"],
        )
    _describe(app, bool(rules.keys))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _add_health(app: FastAPI, works: Works, metrics: ServerMetrics) -> None:
    @app.get("/healthz", response_model=Health, tags=["health"])
    async def healthz() -> Response:
        """The server lives."""
        return as_json({"status": "alive"})

    @app.get("/readyz", response_model=Health, responses={503: errors.statuses()[503]}, tags=["health"])
    async def readyz() -> Response:
        """The server takes work."""
        if works.stopping:
            raise errors.Refused(503, "the server is stopping")
        return as_json({"status": "ready"})

    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @app.get("/metrics", response_class=Response, responses=text | errors.statuses(), tags=["health"])
    async def prometheus() -> Response:
        """The numbers of this server, as Prometheus reads them."""
        return Response(await anyio.to_thread.run_sync(metrics.text), media_type=CONTENT_TYPE)


def _describe(app: FastAPI, has_keys: bool) -> None:
    """The OpenAPI description, which names no error of a shape that this server has not."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            if has_keys:
                found["components"]["securitySchemes"] = KEYS
                found["security"] = [{"key": []}]
            for path in found["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

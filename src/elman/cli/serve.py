"""`elman serve`: models as a server, with a memory for each client, and a page where one watches them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli import completion
from elman.cli.options import Json
from elman.cli.signals import Stop
from elman.cli.task_options import with_options_of
from elman.display import print_json, say
from elman.errors import UserError, missing_extra
from elman.serve.limits import ServingLimits
from elman.tasks.configuration import make_section
from elman.wording import counted

if TYPE_CHECKING:
    from elman.serve.sessions import Sessions

NEEDED = ("fastapi", "uvicorn", "websockets", "prometheus_client", "fastapi_offline")
SWITCH = 0.001  # seconds: how long Python's threads wait for each other at most; 0.005 by default


def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN ...]",
            help="Run folders; a model's id is its folder's name.",
            autocompletion=completion.run_folder,
        ),
    ],
    limits: dict[str, Any],
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 and :: let other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keys, one a line; clients send one as Authorization: Bearer KEY."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A site whose pages may ask, such as https://example.org; several times."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where sessions are kept while they rest and over a restart; without it, they end with the server.",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Hold the weights as bytes with a scale for each row, where the model can.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve RUN's model to many clients, each with a memory of its own, over HTTP. SIGTERM and Ctrl-C stop it gently.

    The page at the address shows a model while it reads; /docs describes the routes, /v1/completions is OpenAI's.
    """
    _check_installed()
    from elman.serve.http import keys as api_keys
    from elman.serve.http import server
    from elman.serve.http.gate import Rules

    chosen = make_section(ServingLimits, limits)
    keys = api_keys.read(api_key_file) if api_key_file else api_keys.Keys()
    origins = [_origin(each) for each in cors or ()]
    with ExitStack() as open_until_the_end:
        stop = open_until_the_end.enter_context(Stop(most=3))
        listening = open_until_the_end.enter_context(server.listen(host, port))
        loopback = server.is_loopback(listening)
        if not loopback and not keys:
            say(f"warning: whoever reaches {host} may use this server; --api-key-file closes it")
        rules = Rules(keys, loopback, host, origins, request=chosen.request_bytes, in_flight=chosen.in_flight)
        sessions = open_until_the_end.enter_context(_sessions(runs, folder, chosen, int8))
        address = server.address_of(listening)

        def ready() -> None:
            if as_json:
                print_json(
                    {"address": address, "models": list(sessions.models), "sessions": sessions.stats()["sessions"]}
                )
            else:
                print(f"serving {', '.join(sessions.models)} at {address}", flush=True)

        from elman.serve.http.app import make_app

        server.run(make_app(sessions, rules), listening, request=rules.request, signals=lambda: stop.count, ready=ready)
    if stop():
        raise typer.Exit(stop.exit_code)


def _check_installed() -> None:
    """Raise `UserError` where a package of the server is missing."""
    from importlib.util import find_spec

    for package in NEEDED:
        if find_spec(package) is None:
            raise missing_extra(package.replace("_", "-"), "serve", "servers")


def _origin(text: str) -> str:
    """A site as browsers write it in `Origin`. Raises `UserError` for anything else."""
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/")):
        expected = "a site such as https://example.org, or *"
        raise UserError("--cors", expected=expected, got=repr(text), exit_code=2)
    return text.rstrip("/").lower()


def _sessions(runs: list[str], folder: Path | None, limits: ServingLimits, int8: bool) -> Sessions:
    """The models, and what was saved in the folder."""
    import sys

    from elman.environment import keep_freed
    from elman.serve.sessions import Sessions

    keep_freed()
    sys.setswitchinterval(SWITCH)
    sessions = Sessions(runs, folder=folder, limits=limits, int8=int8)
    for name, served in sessions.models.items():
        if int8 and not served.describe().get("int8"):
            say(f"{name}: its weights stay as they are, for only those of recurrent language models become bytes")
    if folder is not None and (found := sessions.restore()):
        say(f"restored {counted(found, 'session')}")
    return sessions


command = with_options_of(ServingLimits, "limits", serve)

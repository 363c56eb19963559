"""The command line, one thin file a command. A command is imported when it is called, and torch when it runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from inspect import signature
from typing import Any

import typer
from typer.core import TyperGroup

from elman import __version__
from elman.cli import completion
from elman.display import say
from elman.errors import UserError, nearest
from elman.remedies import of_a_command

COMMANDS = (
    "train", "evaluate", "generate", "predict", "inspect", "info", "import", "export", "serve", "compare", "lab",
    "bench", "interop", "env",
)  # fmt: skip
MODULES = {"import": "importing"}  # a module cannot have every name
CONTEXT = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The commands: each is the function `command` of the module of its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of the help."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with. Raises `UserError` where there is none of that name."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UserError(f"no command called {args[0]!r}", remedy=nearest(args[0], COMMANDS), exit_code=2)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"elman.cli.{MODULES.get(cmd_name, cmd_name)}")
        one = typer.Typer(pretty_exceptions_enable=False, add_completion=False, context_settings=CONTEXT)
        function = module.command
        if "options" in signature(function).parameters:
            from elman.cli.task_options import with_task_options

            function = with_task_options(cmd_name, function)
        one.command(cmd_name, cls=getattr(module, "COMMAND_CLASS", None))(function)
        return typer.main.get_command(one)


app = typer.Typer(
    name="elman",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    help="Sequence models whose memory you can see: train, compare, look inside and ship everything from Elman's "
    "network to the Transformer.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"elman {__version__}")
        raise typer.Exit


@app.callback()
def before_the_command(
    debug: bool = typer.Option(False, "--debug", help="Show a traceback where something fails."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options that stand before the command."""
    if debug:
        os.environ["ELMAN_DEBUG"] = "1"


def main() -> None:
    """Run this process's command, and leave with its exit code."""
    completion.join_words(os.environ)
    exit_code = run()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # Without this, Python would flush again at exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(exit_code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command (None: this process's own) and return its exit code; an error is one line on stderr."""
    try:
        with of_a_command():
            result = app(arguments, standalone_mode=False)
    except UserError as error:
        _say(str(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return 130
    except SystemExit as left:
        # Where a pipe breaks, typer leaves with 1. That is no failure: the reader has seen enough (`| head`).
        return 0 if isinstance(left.__context__, BrokenPipeError) else int(left.code or 0)
    except OSError as error:
        _say(f"{error.filename or 'cannot go on'}: {error.strerror}")
        return 1
    except Exception as error:
        from elman.cli.failures import explain

        # Usage errors are known by their interface: some versions of typer bring a click of their own.
        if hasattr(error, "format_message"):
            if message := error.format_message().rstrip("."):  # empty where the help was shown instead
                _say(f"{message}; see --help")
            return 2
        if explained := explain(error):
            _say(explained)
            return 1
        _say(f"{type(error).__name__}: {' '.join(str(error).split())} (elman's own fault: --debug shows where)")
        return 1
    return result if isinstance(result, int) else 0


def _say(line: str) -> None:
    if os.environ.get("ELMAN_DEBUG") and sys.exc_info()[0] is not None:
        traceback.print_exc()
    from elman import rendezvous

    if not rendezvous.left_to_launcher(line):
        say(f"elman: {line}")

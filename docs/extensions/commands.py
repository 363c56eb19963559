"""Every command with its options, as the program itself declares them.

```{commands}
```
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from elman.cli import COMMANDS, app

HELP = "--help"  # every command has it


def page() -> str:
    """All commands, in MyST."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="elman")
    return "\n\n".join(section(group.get_command(context, name), name) for name in COMMANDS)


def section(command: Any, name: str) -> str:
    """A command: what it does, its arguments and its options."""
    shown = [each for each in command.params if HELP not in each.opts and not getattr(each, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    usage = " ".join(["elman", name, *(_metavar(each) for each in arguments), "[OPTIONS]"])
    listed = [_entry(f"`{_metavar(each)}`", each) for each in arguments]
    listed += [_entry(", ".join(f"`{opt}`" for opt in each.opts) + _taken(each), each) for each in options]
    words = inspect.cleandoc(command.help or "").replace("\b\n", "")
    return "\n\n".join([f"## elman {name}", f"```console\n$ {usage}\n```", _code_kept(words), *listed])


def _metavar(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _taken(option: Any) -> str:
    """What an option takes, such as ` *RUN*`, or nothing where it is a switch."""
    if option.is_flag:
        return ""
    low, high = getattr(option, "min", None), getattr(option, "max", None)
    bounds = (f" from {low:,}" if low is not None else "") + (f" to {high:,}" if high is not None else "")
    return f" *{option.metavar or option.name.strip('_').upper()}*{bounds}"


def _entry(term: str, parameter: Any) -> str:
    default = parameter.default if isinstance(parameter.default, int | float | str) else None
    told = default not in (None, "", False) and "Default" not in (parameter.help or "")
    return f"{term}\n: {_code_kept(parameter.help or '')}" + (f" Default `{default}`." if told else "")


def _code_kept(words: str) -> str:
    """Help texts are no Markdown: what looks like HTML or emphasis is as it stands."""
    return re.sub(r"([<*\\|])", r"\\\1", words)


class Commands(SphinxDirective):
    """The directive `commands`."""

    def run(self) -> list[nodes.Node]:
        """The page's nodes."""
        return self.parse_text_to_nodes(page(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

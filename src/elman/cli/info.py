"""`elman info`: a run's task, model, data, training, and damaged files."""

from __future__ import annotations

import typer

from elman.cli.options import Json, RunFolder
from elman.display import print_json, say


def command(run: RunFolder, as_json: Json = False) -> None:
    """Show the task, model, data and budget of RUN, how far its training is, and which files are damaged."""
    from elman.information import describe

    report = describe(run)
    if as_json:
        print_json(report)
    else:
        for name, value in report.items():
            if name != "damaged" and value not in (None, {}):
                words = _words(str(value) if name == "seed" else value)
                print(f"{name:<14}{words.removeprefix(f'{name} ')}")
    for line in report["damaged"]:
        say(line)
    raise typer.Exit(1 if report["damaged"] else 0)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return f"{len(value):,}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

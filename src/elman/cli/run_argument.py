"""The argument RUN that the commands share which use a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from elman.cli import completion

RunFolder = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run folder that `elman train` made.", autocompletion=completion.run_folder),
]

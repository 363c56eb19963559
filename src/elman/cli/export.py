"""`elman export`: a run's model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli import completion
from elman.cli.options import Json, RunFolder
from elman.display import print_json, say
from elman.export.formats import FORMATS


def command(
    run: RunFolder,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="The file to write, or a folder with all that its use needs."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(help=f"The format: {', '.join(FORMATS)}.", autocompletion=completion.one_of(lambda: FORMATS)),
    ] = "onnx",
    lengths: Annotated[
        bool, typer.Option("--lengths", help="An input `lengths` (B,) says where the padding of each row begins.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Matrices are bytes with a scale for each row, a quarter of the size.")
    ] = False,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="RUNTIMES",
            help="Compare in these runtimes too before writing: openvino, tract, reference.",
            autocompletion=completion.several_of(completion.runtimes),
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Write RUN's model for other programs, compared with the run's own answers before it is written."""
    from elman.export import export

    given: dict[str, Any] = {name: True for name, chosen in (("lengths", lengths), ("int8", int8)) if chosen}
    if check is not None:
        given["check"] = tuple(dict.fromkeys(["onnxruntime", *check.split(",")]))
    exported = export(run, to, output, overwrite=overwrite, say=say, **given)
    if as_json:
        print_json({"run": run, **exported.report})
        return
    for name, value in exported.lines:
        print(f"{name:<18}  {value}")

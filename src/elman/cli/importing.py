"""`elman import`: a model of another framework becomes a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from elman.cli import completion, options
from elman.display import print_json, say
from elman.tasks import TASKS

if TYPE_CHECKING:
    from elman.run import Run


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .keras file, an .h5 file of Keras, an ONNX graph, or a state dict of torch (.safetensors, .pt).",
        ),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="RUN", help="The run folder.")] = None,
    task: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(TASKS)}, or auto: the layers decide.",
            autocompletion=completion.one_of(completion.tasks),
        ),
    ] = "auto",
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Makes numbers of texts: elman's tokenizer.json, one of Hugging Face's tokenizers, a token a line, or "
            "the word_index of Keras as JSON. Without one, texts are numbers with blanks between them.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The names of the outputs in their order, one a line.")
    ] = None,
    layers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Describes the layers of a state dict, as YAML or JSON; without it they are guessed."
        ),
    ] = None,
    window: Annotated[int | None, typer.Option(help="How many steps of a series a forecaster reads.", min=1)] = None,
    leading: Annotated[
        str,
        typer.Option(
            help="Of Keras: the outputs at masked steps before a row's first real one, read from a state: that state's "
            "(state, on JAX) or zeros (zero, on torch and TensorFlow).",
            autocompletion=completion.one_of(lambda: ("state", "zero")),
        ),
    ] = "state",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Make a run of a model of Keras, ONNX or torch: evaluate, inspect, train and export it as any other.

    A layer that is not known is an error that names it; then nothing is written. What the file cannot hold, and what
    was guessed, is said.

    The layers of a state dict are a list in --layers FILE, the first of which reads the input, as

    - embedding: NAME

    - lstm: NAME

    - linear: NAME

    - softmax

    NAME is what the names of its tensors begin with; further keys of an entry are options, as reads: last.
    """
    from elman.importing import import_model
    from elman.run_folders import default_folder

    if leading not in ("state", "zero"):
        from elman.errors import UserError

        raise UserError("--leading", expected="state or zero", got=repr(leading), exit_code=2)
    notes: list[str] = []

    def told(line: str) -> None:
        notes.append(line)
        say(line)

    run = import_model(
        file,
        out or default_folder(file.stem, "imported", again=overwrite),
        task=task,
        tokenizer=tokenizer,
        labels=labels,
        layers=layers,
        window=window,
        leading=cast(Literal["state", "zero"], leading),
        overwrite=overwrite,
        say=told,
    )
    _report(run, notes, as_json)


def _report(run: Run, notes: list[str], as_json: bool) -> None:
    network = run.config["model"]["network"]
    parameters = sum(p.numel() for p in run.model.parameters())
    ops = ", ".join(node["op"] for node in network["nodes"])
    say(f"imported: {parameters:,} parameters in {ops}; the model is in {run.path}/model; try `elman info {run.path}`")
    if as_json:
        report = {
            "run": str(run.path),
            "task": run.task.name,
            "framework": network["framework"],
            "parameters": parameters,
            "nodes": [{name: node[name] for name in ("op", "name", "inputs")} for node in network["nodes"]],
            "notes": notes,
        }
        print_json(report)

"""`elman evaluate`: how well a run's model predicts a text."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.console import clock


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder that `elman train` made.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A text, a folder, JSON lines or a named source.")],
    lanes: Annotated[
        int | None, typer.Option(help="Read the text in so many parts side by side; 1 reads it in one go.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Evaluate RUN's model on DATA: loss in nats a token, perplexity, bits a character."""
    from elman import runs
    from elman.data.corpus import encode_file
    from elman.errors import UserError
    from elman.tasks import language_modelling

    loaded = runs.load_language_model(run)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        tokens = encode_file(data, loaded.tokenizer, Path(cache))
        if len(tokens) < 2:
            raise UserError(f"{data} is too short to evaluate", expected="at least 2 tokens", got=len(tokens))
        metrics = language_modelling.evaluate(loaded.model, tokens, loaded.tokenizer.eod, lanes=lanes)
    seconds = time.perf_counter() - begun
    report = {"run": run, "data": data, **metrics, "unknown": tokens.unknown, "seconds": round(seconds, 3)}
    if as_json:
        print(json.dumps(report))
        return
    print(f"loss                {metrics['loss']:.4f} nats a token")
    print(f"perplexity          {metrics['perplexity']:.3f}")
    print(f"bits per character  {metrics['bits_per_character']:.4f}")
    unknown = f", {tokens.unknown:,} of them unknown to the model" if tokens.unknown else ""
    print(f"tokens              {metrics['tokens']:,.0f}{unknown}")
    print(f"time                {clock(seconds)}")

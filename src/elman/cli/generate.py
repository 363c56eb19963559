"""`elman generate`: write text with a run's model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.options import RunFolder
from elman.display import print_json, say
from elman.errors import UserError


def command(
    run: RunFolder,
    options: dict[str, Any],
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", help="What the text begins with; - reads stdin.", show_default=False)
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with each token's log-probability.")
    ] = False,
) -> None:
    """Write text with RUN's model, token by token, to stdout. The text stops where the model ends a document."""
    from elman import runs

    loaded = runs.load(run)
    chosen = loaded.task.options_of("generate", options, run)
    prompt = _checked(prompt)
    writing = loaded.task.generate(loaded, prompt, chosen)
    if writing.unknown:
        say(f"warning: {writing.unknown} of the prompt's {writing.prompt_tokens} tokens are unknown to the model")
    if not as_json:  # nothing is kept: a text of any length takes no memory
        print(prompt, end="", flush=True)
        for piece in writing:
            print(piece.text, end="", flush=True)
        print()
        return
    pieces = list(writing)
    written = [piece for piece in pieces if piece.token is not None]
    report = {
        "prompt": prompt,
        "unknown": writing.unknown,
        "text": "".join(piece.text for piece in pieces),
        "seed": writing.seed,
        "tokens": [piece.token for piece in written],
        "log_probabilities": [round(piece.log_probability, 6) for piece in written],
    }
    print_json(report, ensure_ascii=False)


def _checked(prompt: str) -> str:
    """The prompt, from stdin where it is "-"."""
    if prompt == "-":
        if sys.stdin is None:
            raise UserError("PROMPT", expected="a text", got="a closed stdin", exit_code=2)
        from elman.data.textfile import decode

        return "".join(decode([sys.stdin.buffer.read()], Path("stdin")))
    try:
        prompt.encode()  # an argument that is no UTF-8 has become surrogates
    except UnicodeError:
        raise UserError("PROMPT", expected="UTF-8 text", got="something else", exit_code=2) from None
    return prompt

"""`elman generate`: write text with a run's model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from elman.cli import bounds
from elman.cli.console import print_json, say
from elman.cli.run_argument import RunFolder
from elman.cli.sampling_options import MinP, TopK, TopP
from elman.errors import UserError


def command(
    run: RunFolder,
    prompt: Annotated[str, typer.Argument(metavar="[PROMPT]", help="What the text begins with; - reads stdin.")] = "",
    tokens: Annotated[int, typer.Option(help="How many tokens to write.", min=0, max=bounds.WRITTEN)] = 500,
    temperature: Annotated[
        float,
        typer.Option(help="Above 1 bolder, below 1 safer, 0 the most probable.", min=0, callback=bounds.finite),
    ] = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    seed: Annotated[int | None, typer.Option(help="For the same text again.", min=0, max=2**63 - 1)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with each token's log-probability.")
    ] = False,
) -> None:
    """Write text with RUN's model, token by token, to stdout. It stops at a document's end."""
    import torch

    from elman import runs
    from elman.data.tokenizers import StreamDecoder
    from elman.decode.generation import generate
    from elman.decode.sampling import sample

    loaded = runs.load_language_model(run)
    tokenizer = loaded.tokenizer
    prompt = _checked(prompt)
    ids = [int(token) for token in tokenizer.encode(prompt)]
    if unknown := tokenizer.count_unknown(ids):
        say(f"warning: {unknown} of the prompt's {len(ids)} tokens are unknown to the model")
    # A document begins with <eod>; where there are no documents, an empty prompt begins with a new line.
    begin = [] if ids and tokenizer.eod is None else [tokenizer.start]
    random = torch.Generator()
    if seed is None:
        seed = random.seed() % 2**31
    random.manual_seed(seed)
    if not as_json:
        print(prompt, end="", flush=True)
    decoder = StreamDecoder(tokenizer)
    for token in ids:
        decoder.push(token)
    written: list[tuple[int, float]] = []
    text = ""
    stream = generate(
        loaded.model,
        begin + ids,
        lambda logits: sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, generator=random),
        banned=[] if tokenizer.unk is None else [tokenizer.unk],
    )
    for _, (token, log_probability) in zip(range(tokens), stream, strict=False):
        if as_json:  # else nothing is kept: a text of any length takes no memory
            written.append((token, log_probability))
        if token == tokenizer.eod:
            break
        piece = decoder.push(token)
        if as_json:
            text += piece
        else:
            print(piece, end="", flush=True)
    text += (rest := decoder.finish())
    if as_json:
        report = {
            "prompt": prompt,
            "unknown": unknown,
            "text": text,
            "seed": seed,
            "tokens": [tokenizer.symbol(token) for token, _ in written],
            "log_probabilities": [round(value, 6) for _, value in written],
        }
        print_json(report, ensure_ascii=False)
    else:
        print(rest)


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

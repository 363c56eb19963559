"""Training time of a token against the length of source and target, recurrent and Transformer.

    python benchmarks/time_by_length.py [--models gru,gru:input_feeding,transformer] [--tokens 4096]
                                        [-o plot.html] [--json]

The batches of all lengths have about equally many tokens. The operations a token of a recurrent model do not depend on
the length, but its steps wait for each other; the operations a token of attention grow with the length.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from elman.environment import keep_freed
from elman.models import EncoderDecoder, build_encoder_decoder
from elman.nn.output_loss import output_loss
from elman.report import Chapter, Line, Report, line_chart, render

VOCABULARY = 4000
SIZES = {"gru": {"hidden_size": 256}, "lstm": {"hidden_size": 256}, "transformer": {"hidden_size": 128}}


def make(name: str) -> EncoderDecoder:
    kind, *flags = name.split(":")
    config = {"model": kind, "source_vocab_size": VOCABULARY, "vocab_size": VOCABULARY, "tied": True, "joint": True}
    return build_encoder_decoder(config | SIZES.get(kind, {}) | dict.fromkeys(flags, True))


def microseconds(model: EncoderDecoder, length: int, tokens: int, repeats: int) -> float:
    """The time of a target token, forward and backward: the median of some batches."""
    rows = max(1, tokens // length)
    source = torch.randint(VOCABULARY, (rows, length))
    targets = torch.randint(VOCABULARY, (rows, length))
    spent = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            hidden, _ = model.read(targets, model.encode(source))
            loss = output_loss(model.output_layer, hidden.flatten(0, 1), targets.flatten())
        loss.backward()
        model.zero_grad()
        spent.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(spent[1:]) / (rows * length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="gru,gru:input_feeding,transformer")
    parser.add_argument("--lengths", default="8,16,32,64,128,256,512")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    keep_freed()
    lengths = [int(length) for length in arguments.lengths.split(",")]
    found: dict[str, list[float]] = {}
    for name in arguments.models.split(","):
        model = make(name)
        found[name] = [microseconds(model, length, arguments.tokens, arguments.repeats) for length in lengths]
    if arguments.out:
        lines = [
            Line(name, np.array(lengths, float), np.array(times), colour=1 + index)
            for index, (name, times) in enumerate(found.items())
        ]
        reading = "Flat is a cost a token that does not depend on the length."
        names = {"title": "Training time", "x": "tokens", "y": "µs a token"}
        figure = line_chart(lines, **names, log_x=True, zero=True, reading=reading)
        text = f"Source and target of that many tokens, batches of {arguments.tokens} target tokens."
        page = Report("Time against length", "Forward and backward.", [], [Chapter("Time", text, [figure], [])], "")
        arguments.out.write_text(render(page), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"lengths": lengths, "microseconds": found}))
        return
    print(f"| µs a target token at a length of | {' | '.join(map(str, lengths))} |")
    print("|---" * (1 + len(lengths)) + "|")
    for name, times in found.items():
        print(f"| {name} | {' | '.join(f'{value:.0f}' for value in times)} |")


if __name__ == "__main__":
    main()

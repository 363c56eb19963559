"""Steps and prompts of a Transformer's rows on one core: memories in place, and put together at every step, in turns.

    python benchmarks/rows.py [--rounds 9] [--json FILE]

The model has 4 layers of 128, 4 heads and 100 tokens, and no window. Rows hold memories of 64 or 512 steps, or of 8 to
512, and draw and read some tokens; or they read prompts of 256 tokens in fresh memories. Times are those of the
processor, in one thread, medians of the rounds; a ratio is the median of the rounds' ratios. "writing" is a row that
writes after 64 or 512 tokens, as `elman generate` does, and as it did by recorded steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.decode.arena import Arena, Draw, StateRows
from elman.decode.generation import generate
from elman.decode.sampling import sample
from elman.decode.stream import stream
from elman.decode.transformer_arena import TransformerRows
from elman.decode.uniforms import uniforms
from elman.models import build
from turns import Timed, in_turns

V, LONGEST, PROMPT = 100, 512, 256
MEMORIES: dict[str, Callable[[int], list[int]]] = {
    "64": lambda rows: [64] * rows,
    "512": lambda rows: [LONGEST] * rows,
    "8 to 512": lambda rows: np.linspace(8, LONGEST, rows).astype(int).tolist(),
}


def texts(lengths: Sequence[int]) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [random.integers(0, V, length).tolist() for length in lengths]


def of_steps(arena: Arena, lengths: Sequence[int], count: int) -> Timed:
    """Seconds of a step of rows that remember so much."""
    first = [arena.admit(None) for _ in lengths]
    arena.read(first, texts(lengths))
    rows = [arena.row(slot) for slot in first]
    draws = [Draw(np.random.default_rng(row).random(count + 1), temperature=0.8) for row in range(len(rows))]

    def work() -> float:
        slots = [arena.admit(row) for row in rows]
        arena.write(slots, draws, 1)
        begun = time.process_time()
        arena.write(slots, draws, count)
        seconds = time.process_time() - begun
        for slot in slots:
            arena.release(slot)
        return seconds / count

    return work


def of_prompts(arena: Arena, rows: int) -> Timed:
    """Seconds of the prompts."""
    given = texts([PROMPT] * rows)

    def work() -> float:
        slots = [arena.admit(None) for _ in given]
        begun = time.process_time()
        arena.read(slots, given)
        seconds = time.process_time() - begun
        for slot in slots:
            arena.release(slot)
        return seconds

    return work


def of_writing(model: Any, text: list[int], count: int) -> dict[str, Timed]:
    """Seconds of a token: what comes before the first one is not counted."""

    def seconds(tokens: Any) -> float:
        next(tokens)
        begun = time.process_time()
        for _ in islice(tokens, count):
            pass
        return (time.process_time() - begun) / count

    def recorded() -> float:
        numbers = uniforms(1)

        def choose(logits: torch.Tensor) -> torch.Tensor:
            return sample(logits, temperature=0.8, uniform=torch.tensor([next(numbers)], dtype=torch.double))

        return seconds(generate(model, text, choose))

    def now() -> float:
        return seconds(stream(model, text, uniforms(1), count + 1, temperature=0.8))

    return {"before": recorded, "in place": now}


def compared(systems: dict[str, Timed], rounds: int) -> dict[str, Any]:
    times = in_turns(systems, rounds)
    ratio = statistics.median(x / y for x, y in zip(times["before"], times["in place"], strict=True))
    return {"seconds": {name: statistics.median(times[name]) for name in times}, "ratio": ratio}


@torch.inference_mode()
def measure(rounds: int) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build({"model": "transformer", "vocab_size": V, "hidden_size": 128, "num_layers": 4, "num_heads": 4}).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    arenas: dict[str, Arena] = {"before": StateRows(model), "in place": TransformerRows(model)}
    parts: dict[str, dict[str, Timed]] = {}
    for rows, count in ((1, 40), (16, 8), (64, 4)):
        for name, lengths in MEMORIES.items():
            if rows > 1 or name != "8 to 512":
                systems = {kind: of_steps(arena, lengths(rows), count) for kind, arena in arenas.items()}
                parts[f"a step of {rows} rows, memory {name}"] = systems
        parts[f"{rows} prompts of {PROMPT}"] = {kind: of_prompts(arena, rows) for kind, arena in arenas.items()}
    for length in (64, LONGEST):
        parts[f"writing a token after {length}"] = of_writing(model, texts([length])[0], 100)
    return {name: compared(systems, rounds) for name, systems in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    print("| | before | in place | times as fast |\n|---|---|---|---|")
    for name, part in found.items():
        before, now = (1e6 * part["seconds"][kind] for kind in ("before", "in place"))
        print(f"| {name} | {before:,.0f} µs | {now:,.0f} µs | {part['ratio']:.2f} |")


if __name__ == "__main__":
    main()

"""The training step of the Transformer language model: elman's, beside nanoGPT's model of the same sizes.

    python benchmarks/transformer.py [--nanogpt FOLDER] [--compile] [--width 128] [--memory 64] [--rounds 5] [--json]

Both models train on the same random tokens: forward, backward, clipping by norm, fused AdamW, the gradients set to none
before each step. elman's carries the keys and values of the `memory` steps before from window to window (and, beside
that, none). FOLDER holds `model.py` of nanoGPT, which is not part of elman; `--compile` compiles that model first, the
time of which does not count. The contestants take turns; the table has medians of the rounds, and the share of the best
rate of a square matrix product in the same run, where a step's products and attention count as multiplications and
additions, forward once and backward twice, and an attention's only where a key is seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from elman import state as states
from elman.bench.timing import CLOCKS, matmul_rate
from elman.models import build

VOCABULARY, LAYERS, HEAD = 65, 4, 32


def nanogpt(folder: str, width: int, steps: int) -> nn.Module:
    """nanoGPT's model of these sizes, from its own file."""
    sys.path.insert(0, folder)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    sizes = {"n_layer": LAYERS, "n_head": width // HEAD, "n_embd": width, "dropout": 0.0, "bias": True}
    return GPT(GPTConfig(block_size=steps, vocab_size=VOCABULARY, **sizes))


def step_of(forward: Callable[[], torch.Tensor], model: nn.Module, low: bool) -> Callable[[], None]:
    """One training step of a model whose loss is `forward`."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = forward()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def ours(
    tokens: torch.Tensor, targets: torch.Tensor, width: int, memory: int
) -> tuple[Callable[[], torch.Tensor], nn.Module]:
    """elman's model with a memory of so many steps, and its loss."""
    steps = tokens.shape[1]
    sizes = {"hidden_size": width, "num_layers": LAYERS, "num_heads": width // HEAD, "tied": True}
    model = build({"model": "transformer", "vocab_size": VOCABULARY, "window": (memory or steps) + 1, **sizes})
    carried = None

    def forward() -> torch.Tensor:
        nonlocal carried
        logits, after = model(tokens, carried)
        carried = states.detach(after) if memory else None
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    return forward, model


def multiplications(rows: int, steps: int, width: int, memory: int) -> float:
    """Of a training step: multiplications and additions of products and of attention to the keys seen."""
    products = rows * steps * (LAYERS * 12 * width**2 + VOCABULARY * width)
    seen = rows * (steps * memory if memory else steps * (steps + 1) / 2)
    return 6.0 * (products + 2 * LAYERS * seen * width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", metavar="FOLDER")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--memory", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    given = parser.parse_args()
    clock = CLOCKS[given.clock]
    torch.set_num_threads(given.threads)
    torch.manual_seed(1)
    tokens = torch.randint(VOCABULARY, (given.rows, given.steps + 1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:].contiguous()
    found = []
    for precision in ("float32", "bfloat16"):
        low = precision == "bfloat16"
        contestants: dict[str, Callable[[], None]] = {}
        if given.nanogpt:
            model = nanogpt(given.nanogpt, given.width, given.steps)
            run = torch.compile(model) if given.compile else model
            contestants["nanogpt"] = step_of(lambda run=run: run(inputs, targets)[1], model, low)
        for name, memory in (("elman, no memory", 0), (f"elman, memory {given.memory}", given.memory)):
            contestants[name] = step_of(*ours(inputs, targets, given.width, memory), low)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for step in contestants.values():
            for _ in range(3):
                step()
        rates = []
        for _ in range(given.rounds):
            rates.append(matmul_rate(torch.bfloat16 if low else torch.float32, 0.3, clock))
            for name, step in contestants.items():
                end = time.perf_counter() + given.seconds
                while time.perf_counter() < end:
                    begun = clock()
                    step()
                    times[name].append(clock() - begun)
        for name, some in times.items():
            memory = given.memory if f"memory {given.memory}" in name else 0
            work = multiplications(given.rows, given.steps, given.width, memory)
            seconds = statistics.median(some)
            rate = work / seconds
            share = rate / max(rates) / 1e9
            figures = {"ms": seconds * 1e3, "gflops": rate / 1e9, "of_matmul": share}
            found.append({"model": name, "precision": precision, **figures})
    if given.json:
        print(json.dumps(found))
        return
    print("| model | precision | ms a step | GFLOP/s | of the matmul rate |\n|---|---|---|---|---|")
    for row in found:
        figures = f"{row['ms']:.1f} | {row['gflops']:.0f} | {row['of_matmul']:.2f}"
        print(f"| {row['model']} | {row['precision']} | {figures} |")


if __name__ == "__main__":
    main()

"""The native recurrences side by side with torch.nn, interleaved in one process.

    python benchmarks/kernels.py [--threads 1] [--shapes grid|main|T,B,H ...] [--clock cpu] [--json]

Each ratio is torch.nn's time over ours (above 1: ours is faster), from the medians of interleaved runs. The rate
is ours, in GFLOP/s of the matmuls of the training step or of the forward pass. On a machine with other work to do,
`--threads 1 --clock cpu` counts only the time in which this process ran.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from elman.nn import GRU, LSTM, Elman

GRID = [(35, 20, 200), (35, 20, 650), (100, 32, 256), (128, 64, 512), (784, 32, 128), (50, 1, 128), (200, 128, 64)]
SHAPES = {"grid": [*GRID, (1, 1, 512)], "main": [(64, B, H) for B in (24, 32) for H in (256, 320, 384)]}
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}
LAYERS = {"elman": (Elman, nn.RNN, 1), "gru": (GRU, nn.GRU, 3), "lstm": (LSTM, nn.LSTM, 4)}


def inference(layer: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            layer(x)

    return run


def training(layer: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    gradient = torch.ones(*x.shape[:2], layer.hidden_size)

    def run() -> None:
        layer.zero_grad()
        layer(x.requires_grad_())[0].backward(gradient)

    return run


def interleaved(
    ours: Callable[[], None], theirs: Callable[[], None], seconds: float, clock: Callable[[], float]
) -> tuple[float, float]:
    """The median time of each, in seconds."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, record in zip((ours, theirs), times, strict=True):
            start = clock()
            function()
            record.append(clock() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def matmul_rate(clock: Callable[[], float], seconds: float = 1.0) -> float:
    """The best rate of a large matmul in GFLOP/s."""
    n = 1024
    a, b = torch.randn(n, n), torch.randn(n, n)
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        torch.mm(a, b)
        best = min(best, clock() - start)
    return 2 * n**3 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shapes", nargs="+", default=["grid"], help="grid, main, or T,B,H ...")
    parser.add_argument("--cells", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--backend", default="native")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = CLOCKS[options.clock]

    shapes = [s for word in options.shapes for s in SHAPES.get(word, []) or [tuple(map(int, word.split(",")))]]
    rate, rows = matmul_rate(clock), []
    if not options.json:
        print(f"{options.threads} thread(s); torch.mm reaches {rate:.0f} GFLOP/s")
        print(f"{'pass':10}{'cell':7}{'T,B,H':>14}{'ours ms':>10}{'torch.nn ms':>13}{'ratio':>7}{'GFLOP/s':>9}")
    for name, make in (("inference", inference), ("training", training)):
        for cell in options.cells:
            own, their, gates = LAYERS[cell]
            for T, B, H in shapes:
                torch.manual_seed(0)
                x = torch.randn(T, B, H)
                layer, other = own(H, H, backend=options.backend), their(H, H)
                other.load_state_dict(layer.state_dict())
                ours, theirs = interleaved(make(layer, x), make(other, x.clone()), options.seconds, clock)
                work = 2 * 2 * gates * H * H * T * B * (3 if name == "training" else 1)
                row = {"pass": name, "cell": cell, "shape": [T, B, H], "ours": ours, "torch": theirs}
                rows.append(row | {"ratio": theirs / ours, "gflops": work / ours / 1e9})
                if not options.json:
                    shape = f"{T},{B},{H}"
                    print(
                        f"{name:10}{cell:7}{shape:>14}{ours * 1e3:10.3f}{theirs * 1e3:13.3f}"
                        f"{theirs / ours:7.2f}{work / ours / 1e9:9.0f}",
                        flush=True,
                    )
    means = {
        f"{name} {cell}": statistics.geometric_mean(
            row["ratio"] for row in rows if (row["pass"], row["cell"]) == (name, cell)
        )
        for name in ("inference", "training")
        for cell in options.cells
    }
    if options.json:
        print(json.dumps({"threads": options.threads, "matmul_gflops": rate, "rows": rows, "means": means}))
    else:
        for name, mean in means.items():
            print(f"geometric mean, {name}: {mean:.2f}")


if __name__ == "__main__":
    main()

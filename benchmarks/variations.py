"""The time that variations of a recurrent layer cost: a training step of each against one of the plain layer.

    python benchmarks/variations.py [--threads 1] [--shapes T,B,H ...] [--cells lstm ...] [--clock cpu] [--json]

A number is the median time of a step, forward and backward, over that of the plain layer in the same rounds, in which
all layers take turns. Zoneout and recurrent dropout draw their masks anew for each step, in the time measured. The last
two are the plain layer on rows of random length, a quarter of them padding, and with a reset at 3 % of the steps.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

import torch

from elman.bench.contest import training
from elman.bench.timing import CLOCKS, Contestant, medians
from elman.nn import GRU, LSTM, Elman

LAYERS = {"elman": Elman, "gru": GRU, "lstm": LSTM}
OF_EVERY_CELL: dict[str, dict[str, Any]] = {
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "zoneout": {"zoneout": 0.1},
    "layer norm": {"layer_norm": True},
}
OF_THE_LSTM: dict[str, dict[str, Any]] = {
    "zoneout of both": {"zoneout": 0.1, "zoneout_cell": 0.3},
    "peepholes": {"peepholes": True},
}


def ratios(
    cell: str, T: int, B: int, H: int, backend: str, seconds: float, clock: str
) -> tuple[float, dict[str, float]]:
    """The seconds of a step of the plain layer, and the times of the other layers over that."""
    torch.manual_seed(0)
    make = partial(LAYERS[cell], H, H, backend=backend)
    x = torch.randn(T, B, H)
    of_the_lstm = OF_THE_LSTM | {"projection": {"proj_size": 3 * H // 4}}
    options = OF_EVERY_CELL | (of_the_lstm if cell == "lstm" else {})
    plain = make()
    lengths = torch.randint(T // 2, T + 1, (B,))
    steps = {"plain": training(plain, x, "float32")}
    steps |= {name: training(make(**option), x, "float32") for name, option in options.items()}
    steps["lengths"] = training(plain, x, "float32", lengths=lengths)
    steps["resets"] = training(plain, x, "float32", resets=torch.rand(B, T) < 0.03)
    times = medians({name: Contestant(run) for name, run in steps.items()}, seconds, CLOCKS[clock])
    base = times.pop("plain")
    return base, {name: time / base for name, time in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shapes", nargs="+", default=["35,20,200", "100,32,256", "128,64,512"], help="T,B,H ...")
    parser.add_argument("--cells", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--backend", default="native")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each cell and shape")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    rows = []
    for cell in options.cells:
        for shape in options.shapes:
            T, B, H = map(int, shape.split(","))
            seconds, found = ratios(cell, T, B, H, options.backend, options.seconds, options.clock)
            rows.append({"cell": cell, "shape": [T, B, H], "seconds": seconds, "ratios": found})
            if not options.json:
                print(f"{cell:6}{shape:>11}{seconds * 1e3:9.2f} ms", end="")
                print("".join(f"   {name} {ratio:.2f}" for name, ratio in found.items()), flush=True)
    if options.json:
        print(json.dumps({"threads": options.threads, "backend": options.backend, "rows": rows}))


if __name__ == "__main__":
    main()

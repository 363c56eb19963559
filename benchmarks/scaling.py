"""Tokens/s of one training by several processes beside one process, and what more processes would cost on paper.

    python benchmarks/scaling.py [--processes 2] [--steps 30] [--rounds 3] [--models lstm,transformer] [--json]

Every process has one thread and 32 lanes of 64 steps, so N processes read N times as much in a step (weak scaling). The
launcher starts one process and N processes in turns; rates are medians over the rounds of the median step. The shares
of a step are measured on rank 0: the loss and its backward pass without reduction, with reduction, and the whole step.
"Apart" are N processes at once that know nothing of each other: what they reach is the most that the machine's caches
and memory, which they share, let N processes of one training reach.

The table on paper is for ranks that are alike and a ring that reduces gradients of float32: a rank sends and receives
2 (R − 1) messages of an R-th of the model's size each, of which one takes 20 microseconds beside its bytes. Nothing is
hidden behind the backward pass there, which is the worst case; a number of ranks is efficient while 80 % of a step is
computation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from elman import distributed
from elman.data.lanes import Lanes
from elman.models import build
from elman.tasks.language_modelling.objective import NextToken
from elman.tasks.language_modelling.settings import TextTraining
from elman.train.schedule import Budget
from elman.train.training import Training
from loop import LANES, MODELS, STEPS

VOCABULARY, WARMING = 98, 5
NETWORKS = {"10 Gb/s": 10e9 / 8, "100 Gb/s": 100e9 / 8}  # bytes a second
LATENCY = 20e-6  # seconds of a message between two machines
EFFICIENT = 0.8


def worker(kind: str, steps: int) -> None:
    """Train as one of the ranks; rank 0 prints the seconds of a step and of its parts."""
    torch.set_num_threads(1)
    with distributed.joined() as ranks:
        lanes = LANES * ranks.size
        tokens = np.random.default_rng(1).integers(0, VOCABULARY, lanes * STEPS * 8 + 1).astype(np.uint8)
        model = build({"model": kind, "vocab_size": VOCABULARY, **MODELS[kind]})
        objective = NextToken(Lanes(tokens, lanes), tokens, None, STEPS, STEPS)  # type: ignore[arg-type]
        settings = TextTraining(lanes=lanes, k1=STEPS)
        training = Training(model, objective, settings, Budget(10**6, "steps"), ranks=ranks)

        def once(last: bool) -> None:
            with training.replica.reducing(last):
                loss = training._forward(0.5)
                (loss.mean * loss.targets).backward()

        works = {"step": lambda: training.step(0.5), "computation": lambda: once(False), "reduced": lambda: once(True)}
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(WARMING + steps):
            for name, work in works.items():  # in turns
                begun = time.perf_counter()
                work()
                taken[name].append(time.perf_counter() - begun)
                training.optimizer.zero_grad()
        if ranks.first:
            seconds = {name: statistics.median(times[WARMING:]) for name, times in taken.items()}
            print(json.dumps(seconds | {"parameters": sum(p.numel() for p in model.parameters())}))


def measure(kind: str, processes: int, steps: int, *, apart: bool = False) -> dict[str, Any]:
    """What rank 0 of so many processes printed; `apart`, the means of what each of them printed."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    together = processes > 1 and not apart
    command = [sys.executable, *(launcher if together else []), __file__, "--worker", kind, "--steps", str(steps)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes if apart else 1)
    ]
    printed = [json.loads(one.communicate()[0].splitlines()[-1]) for one in started]
    return {name: statistics.mean(found[name] for found in printed) for name in printed[0]}


def on_paper(computation: float, size: int) -> dict[str, Any]:
    """The reduction's seconds for many ranks, and the most ranks that are efficient."""
    table: dict[str, Any] = {}
    for name, rate in NETWORKS.items():

        def seconds(R: int, rate: float = rate) -> float:
            return 2 * (R - 1) * (size / R / rate + LATENCY)

        most = max(R for R in range(1, 10**5) if computation >= EFFICIENT * (computation + seconds(R)))
        table[name] = {"reduction_seconds": {R: seconds(R) for R in (8, 64, 512)}, "most_efficient_ranks": most}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="lstm,transformer")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.steps)
        return
    report = {}
    for kind in given.models.split(","):
        rounds = [
            (
                measure(kind, 1, given.steps),
                measure(kind, given.processes, given.steps),
                measure(kind, given.processes, given.steps, apart=True),
            )
            for _ in range(given.rounds)
        ]
        one, several, apart = (
            {name: statistics.median(r[i][name] for r in rounds) for name in rounds[0][i]} for i in range(3)
        )
        size = int(4 * one["parameters"])
        report[kind] = {
            "tokens_per_second": {"one": LANES * STEPS / one["step"],
                                  "several": given.processes * LANES * STEPS / several["step"]},
            "ratio": given.processes * one["step"] / several["step"],
            "apart": given.processes * one["step"] / apart["step"],
            "outside": 1 - several["reduced"] / several["step"],  # of a step, beside computation and reduction
            "reduction": 1 - several["computation"] / several["reduced"],
            "bytes": 2 * (given.processes - 1) / given.processes * size,
            "seconds": {"one": one, "several": several},
            "on_paper": on_paper(one["computation"], size),
        }  # fmt: skip
    if given.json:
        print(json.dumps(report))
        return
    for kind, found in report.items():
        rates, step = found["tokens_per_second"], 1000 * found["seconds"]["several"]["step"]
        print(f"{kind}: {rates['one']:,.0f} tokens/s by one process, {rates['several']:,.0f} by {given.processes}: "
              f"{found['ratio']:.2f} times; {found['apart']:.2f} times by as many that are apart")  # fmt: skip
        print(f"  a step of {step:.1f} ms: {found['outside']:.1%} beside computation and reduction; reduction of "
              f"{found['bytes']:,.0f} bytes: {found['reduction']:.1%} of the rest")  # fmt: skip
        for name, paper in found["on_paper"].items():
            times = ", ".join(f"{R} ranks {1000 * seconds:.1f} ms" for R, seconds in paper["reduction_seconds"].items())
            print(f"  on paper, {name}: {times}; efficient up to {paper['most_efficient_ranks']} ranks")


if __name__ == "__main__":
    main()

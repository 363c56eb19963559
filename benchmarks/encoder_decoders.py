"""Target tokens/s of training encoder-decoders, of one build or of two that take turns.

    python benchmarks/encoder_decoders.py [--against SRC] [--models NAME,...] [--threads 1] [--rounds 5] [--json]

A step is all that `elman train` does on a batch at the settings that it chooses for a corpus of short sentences: 4,096
tokens a batch, 3,625 different tokens, one vocabulary, label smoothing, Muon. The pairs are random numbers, as many and
as long as those of Multi30k. SRC is the folder `src` of another build; each build has a process of its own, and the
processes take turns, so that the ratios do not depend on what else the machine does. With one thread the clock is
the thread's own time, else the wall's. A model may have settings: `gru:attention=additive:input_feeding=true`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODELS = "gru,gru:attention=additive,gru:input_feeding=true,transformer"
VOCABULARY, PAIRS, BATCH = 3625, 29_000, 4096
RECURRENT = {"embedding_size": 256, "hidden_size": 256, "tied": True, "dropout": 0.2}
TRANSFORMER = {"hidden_size": 128, "encoder_layers": 4, "decoder_layers": 4, "num_heads": 4, "dropout": 0.15}


def training_of(name: str, precision: str) -> Any:
    """A training of a model on random pairs."""
    import numpy as np
    import torch

    from elman.data.batches import PairPart, Sequences, TokenBatches
    from elman.models import build_encoder_decoder
    from elman.tasks.translation.objective import TargetTokens
    from elman.tasks.translation.settings import PairTraining
    from elman.train.schedule import Budget
    from elman.train.training import Training

    torch.manual_seed(1)
    draw = np.random.default_rng(1)
    targets = np.clip(draw.normal(17.5, 5.5, PAIRS).round(), 4, 60).astype(int)
    sources = np.clip((targets * draw.normal(0.9, 0.12, PAIRS)).round(), 3, 60).astype(int)

    def sequences(lengths: Any) -> Sequences:
        parts = [np.append(draw.integers(2, VOCABULARY, length), 1) for length in lengths]
        return Sequences(np.concatenate(parts).astype(np.uint16), 1)

    part = PairPart(sequences(sources), sequences(targets))
    kind, *given = name.split(":")
    settings = (TRANSFORMER if kind == "transformer" else RECURRENT) | dict(each.split("=") for each in given)
    sizes = {"source_vocab_size": VOCABULARY, "vocab_size": VOCABULARY, "joint": True}
    if "input_feeding" in settings:
        settings["input_feeding"] = settings["input_feeding"] == "true"
    model = build_encoder_decoder({"model": kind, **sizes, **settings})
    train = PairTraining(optimizer="muon", muon_rate=0.02, learning_rate=3e-3, weight_decay=0.05, precision=precision)
    training = Training(model, TargetTokens(TokenBatches(part, BATCH), part, 0.1), train, Budget(10**6, "steps"))
    model.train()
    return training


def answer(threads: int) -> None:
    """Read lines `model precision steps`, and answer each with the seconds and the targets of such steps."""
    import torch

    from elman.environment import keep_freed

    keep_freed()  # as `elman train` does
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    trainings: dict[tuple[str, str], Any] = {}
    for line in sys.stdin:
        name, precision, steps = line.split()
        training = trainings.get((name, precision))
        if training is None:
            training = trainings[name, precision] = training_of(name, precision)
            for _ in range(2):
                training.step()
        begun = clock()
        targets = sum(training.step().targets for _ in range(int(steps)))
        print(clock() - begun, targets, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="SRC", type=Path)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--precisions", default="bfloat16,float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer(given.threads)
        return
    builds = {"this": os.environ.get("PYTHONPATH", "")} | ({"other": str(given.against)} if given.against else {})
    command = [sys.executable, __file__, "--answer", "--threads", str(given.threads)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    workers = {
        name: subprocess.Popen(command, env=os.environ | ({"PYTHONPATH": path} if path else {}), **pipes)
        for name, path in builds.items()
    }
    found = []
    for precision in given.precisions.split(","):
        for model in given.models.split(","):
            rates: dict[str, list[float]] = {name: [] for name in builds}
            for _ in range(given.rounds):
                for name, worker in workers.items():
                    print(model, precision, given.steps, file=worker.stdin)
                    seconds, targets = map(float, worker.stdout.readline().split())
                    rates[name].append(targets / seconds)
            row = {name: statistics.median(each) for name, each in rates.items()}
            if given.against:
                row["ratio"] = statistics.median(a / b for a, b in zip(rates["this"], rates["other"], strict=True))
            found.append({"model": model, "precision": precision, **row})
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    if given.json:
        print(json.dumps(found))
        return
    print("| model | precision | target tokens/s | of the other build | ratio |\n|---|---|---|---|---|")
    for row in found:
        other = f"{row['other']:,.0f} | {row['ratio']:.2f}" if given.against else " | "
        print(f"| {row['model']} | {row['precision']} | {row['this']:,.0f} | {other} |")


if __name__ == "__main__":
    main()

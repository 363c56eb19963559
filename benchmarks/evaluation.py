"""The time of the exact loss of a language model on a text, beside that of the approximate loss in 16 lanes.

    python benchmarks/evaluation.py TEXT [--tokens 1000000] [--steps 150] [--rounds 5] [--threads 2] [--json]

Each model is trained on TEXT for some steps, for the state of an untrained model fades at once; then it reads the first
tokens of TEXT exactly and in lanes, in turns. A ratio is the median over the rounds; the ratio of CPU times is a
check on a machine that has other work to do. The last model, an LSTM that forgets nothing, is the worst case.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.data.corpus import Corpus, prepare
from elman.data.lanes import Lanes
from elman.models import LanguageModel, build
from elman.tasks.language_modelling.losses import block_losses
from elman.tasks.language_modelling.objective import NextToken
from elman.tasks.language_modelling.settings import TextTraining
from elman.train.loop import fit
from elman.train.schedule import Budget
from elman.train.training import Training

RECURRENT = {"embedding_size": 64, "hidden_size": 256}
MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", **RECURRENT},
    "gru": {"model": "gru", **RECURRENT},
    "elman": {"model": "elman", **RECURRENT},
    "lstm, 2 layers": {"model": "lstm", **RECURRENT, "num_layers": 2},
    "transformer": {"model": "transformer", "hidden_size": 128, "num_heads": 2, "window": 128, "tied": True},
    "lstm that forgets nothing": {"model": "lstm", **RECURRENT},
}
LANES, STEPS = 24, 64  # of the training
APPROXIMATION = 16  # lanes


def trained(config: dict[str, Any], corpus: Corpus, steps: int, folder: Path) -> LanguageModel:
    """A model trained for so many steps."""
    torch.manual_seed(1)
    model = build({**config, "vocab_size": corpus.tokenizer.vocab_size})
    lanes = Lanes(corpus.train, LANES, eod=corpus.tokenizer.eod, window=STEPS)
    objective = NextToken(lanes, corpus.valid, corpus.tokenizer.eod, STEPS, STEPS)
    settings = TextTraining(lanes=LANES, k1=STEPS, learning_rate=5e-3, validate_every=steps)
    for _ in fit(Training(model, objective, settings, Budget(steps, "steps")), folder):
        pass
    return model.eval()


@torch.no_grad()
def forget_nothing(model: LanguageModel) -> LanguageModel:
    """Set the forget gates to 1."""
    for name, bias in model.named_parameters():
        if name.endswith("bias_ih_l0"):
            bias[len(bias) // 4 : len(bias) // 2] = 50.0
    return model


def measure(model: LanguageModel, tokens: np.ndarray, eod: int | None, rounds: int) -> dict[str, Any]:
    """Times and losses of both ways, which take turns."""
    ways = {"exact": partial(block_losses, model, tokens, eod)}
    ways["lanes"] = partial(ways["exact"], lanes=APPROXIMATION)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    losses = {}
    block_losses(model, tokens[: len(tokens) // 10], eod)
    for _ in range(rounds):
        for name, read in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            nats, counts = read()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            losses[name] = nats.sum() / counts.sum()
    pairs = list(zip(spent["exact"], spent["lanes"], strict=True))
    return {
        "exact_seconds": statistics.median(wall for wall, _ in spent["exact"]),
        "lanes_seconds": statistics.median(wall for wall, _ in spent["lanes"]),
        "ratio": statistics.median(exact[0] / lanes[0] for exact, lanes in pairs),
        "cpu_ratio": statistics.median(exact[1] / lanes[1] for exact, lanes in pairs),
        "exact_loss": losses["exact"],
        "lanes_loss": losses["lanes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    if not options.json:
        print("| model | exact, s | 16 lanes, s | ratio | of CPU time | exact loss | in lanes |")
        print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        corpus = prepare(options.text, Path(name) / "cache")
        tokens = np.asarray(corpus.train)[: options.tokens + 1]
        for number, kind in enumerate(options.models):
            model = trained(MODELS[kind], corpus, options.steps, Path(name) / str(number))
            model = forget_nothing(model) if kind.endswith("nothing") else model
            row = measure(model, tokens, corpus.tokenizer.eod, options.rounds)
            rows.append({"model": kind, **row})
            if not options.json:
                values = "{exact_seconds:.2f} | {lanes_seconds:.2f} | {ratio:.2f} | {cpu_ratio:.2f}".format(**row)
                print(f"| {kind} | {values} | {row['exact_loss']:.5f} | {row['lanes_loss']:.5f} |", flush=True)
    if options.json:
        print(json.dumps({"tokens": len(tokens), "threads": options.threads, "rows": rows}))


if __name__ == "__main__":
    main()

"""Tokens/s of elman's training loop against a bare loop of torch.nn's layers, side by side in one process.

    python benchmarks/loop.py [--seconds 3] [--rounds 5] [--json]

Both train the same model on the same random text: embedding, one recurrent layer, output layer; forward,
backward through 64 steps, clipping by norm, fused AdamW. Elman's loop also does all its usual work: it reads tokens
from a memory map, carries and detaches the state, follows a schedule, watches for losses and gradients that are not
finite and keeps a journal. The Transformer, which torch.nn does not have in this form, is elman's own model in a bare
loop. The two loops take turns, and the ratio is that of the median rates. In bfloat16 both run under autocast.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from elman import state as states
from elman.data.corpus import prepare
from elman.data.lanes import Lanes
from elman.models import build
from elman.tasks.language_modelling.objective import NextToken
from elman.tasks.language_modelling.settings import TextTraining
from elman.train.events import Step
from elman.train.loop import fit
from elman.train.schedule import Budget
from elman.train.training import Training

MODELS = {
    "lstm": {"embedding_size": 64, "hidden_size": 320},
    "gru": {"embedding_size": 64, "hidden_size": 320},
    "elman": {"embedding_size": 64, "hidden_size": 320},
    "transformer": {"hidden_size": 128, "num_layers": 4, "num_heads": 4, "window": 128, "tied": True},
}
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}
LANES, STEPS = 32, 64


class Bare(nn.Module):
    """The same model from torch.nn alone."""

    def __init__(self, kind: str, vocab_size: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.layer = LAYERS[kind](embedding_size, hidden_size, batch_first=True)
        self.decoder = nn.Linear(hidden_size, vocab_size)

    def forward(self, tokens, state):  # type: ignore[no-untyped-def]
        hidden, state = self.layer(self.embedding(tokens), state)
        return self.decoder(hidden), state


def bare_loop(model: nn.Module, text: torch.Tensor, precision: str) -> Iterator[int]:
    """The training loop that one writes by hand; yields the tokens of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    rows = text[: (len(text) - 1) // LANES * LANES].view(LANES, -1)
    after = text[1 : rows.numel() + 1].view(LANES, -1)
    state = None
    while True:
        for start in range(0, rows.shape[1] - STEPS, STEPS):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits, state = model(rows[:, start : start + STEPS], state)
            loss = F.cross_entropy(logits.float().flatten(0, 1), after[:, start : start + STEPS].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            state = states.detach(state)
            yield LANES * STEPS


def elman_loop(kind: str, folder: Path, precision: Any) -> Iterator[int]:
    """Elman's own loop; yields the tokens of each step."""
    corpus = prepare(folder / "text.txt", folder / "cache")
    model = build({"model": kind, "vocab_size": corpus.tokenizer.vocab_size, **MODELS[kind]})
    lanes = Lanes(corpus.train, LANES, eod=corpus.tokenizer.eod, window=STEPS)
    objective = NextToken(lanes, corpus.valid, corpus.tokenizer.eod, STEPS, STEPS)
    settings = TextTraining(lanes=LANES, k1=STEPS, learning_rate=1e-3, validate_every=10**9, precision=precision)
    for event in fit(Training(model, objective, settings, Budget(10**9, "steps")), folder / f"{kind}-{precision}"):
        if isinstance(event, Step):
            yield event.targets


def rate(steps: Iterator[int], seconds: float) -> float:
    """Tokens a second over so many seconds of a loop."""
    begun, tokens = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        tokens += next(steps)
    return tokens / spent


def measure(kind: str, precision: str, seconds: float, rounds: int, folder: Path) -> dict[str, object]:
    """The median rates of both loops, which take turns."""
    text = (folder / "text.txt").read_text()
    tokens = torch.from_numpy(np.frombuffer(text.encode(), np.uint8).astype(np.int64) - ord(" "))
    vocab_size = int(tokens.max()) + 2
    own = {"model": kind, "vocab_size": vocab_size, **MODELS[kind]}
    model = build(own) if kind == "transformer" else Bare(kind, vocab_size, **MODELS[kind])
    bare, ours = bare_loop(model, tokens, precision), elman_loop(kind, folder, precision)
    rate(bare, 0.5), rate(ours, 0.5)
    rates = [(rate(bare, seconds), rate(ours, seconds)) for _ in range(rounds)]
    torch_rate, elman_rate = (statistics.median(side) for side in zip(*rates, strict=True))
    return {
        "model": kind,
        "precision": precision,
        "torch": torch_rate,
        "elman": elman_rate,
        "ratio": elman_rate / torch_rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        letters = np.random.default_rng(1).integers(ord(" "), ord(" ") + 65, 1_000_000, dtype=np.uint8)
        (folder / "text.txt").write_bytes(letters.tobytes())
        rows = [
            measure(kind, precision, arguments.seconds, arguments.rounds, folder)
            for precision in ("float32", "bfloat16")
            for kind in MODELS
        ]
    if arguments.json:
        print(json.dumps(rows))
        return
    print("| model | precision | bare torch loop, tokens/s | elman, tokens/s | ratio |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['precision']} | {row['torch']:,.0f} | {row['elman']:,.0f} | {row['ratio']:.2f} |"
        )


if __name__ == "__main__":
    main()

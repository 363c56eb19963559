"""What is measured of a trained model: its losses block by block, how far its gradients reach, how fast it writes."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.compare.intervals import Blocks
from elman.data.lanes import resets_of
from elman.data.tokenfile import TokenFile, Tokens
from elman.decode.generation import generate
from elman.lens import gradient_flow
from elman.models import LanguageModel
from elman.tasks.language_modelling import losses
from elman.train import journal

MOST_BLOCKS = 512
CURVE_POINTS = 50
LAGS, PAST, ROWS = 128, 64, 16  # of the windows in which gradients are looked at
PROMPT, WRITTEN, REPEATS = 32, 128, 3


def block_losses(model: LanguageModel, tokens: TokenFile, eod: int | None) -> Blocks:
    """The losses that validation takes the mean of, in blocks of one window of the text or some in a row."""
    nats, counts = losses.block_losses(model, tokens, eod)
    edges = np.arange(0, len(nats), -(-len(nats) // MOST_BLOCKS))
    return Blocks(np.add.reduceat(nats, edges), np.add.reduceat(counts, edges))


def memory(model: LanguageModel, tokens: Tokens, eod: int | None) -> dict[str, Any]:
    """How the gradient of a loss by the inputs falls with the lag: what `lens.fit_decay` finds, and the median itself.

    Fewer lags are looked at where the text is short, none (an empty dict) where it is very short.
    """
    steps = min(PAST + LAGS, (len(tokens) - 1) // 2)
    past = steps * PAST // (PAST + LAGS)
    if steps - past < 2:
        return {}
    starts = np.unique(np.linspace(0, len(tokens) - 1 - steps, ROWS).astype(int))
    windows = torch.from_numpy(np.asarray(tokens)[starts[:, None] + np.arange(steps + 1)].astype(np.int64))
    windows = windows.to(next(model.parameters()).device)
    before, inputs = windows[:, :past], windows[:, past:-1]
    with torch.no_grad():
        _, state = model.read(before, resets=resets_of(before, eod))
    flow = gradient_flow(model, inputs, windows[:, -1], state, resets=resets_of(inputs, eod)).input
    return flow.decay.numbers | {"lags": int(flow.lags[-1]), "gradient": flow.quantile(0.5)}


def decoding_speed(model: LanguageModel) -> float:
    """Tokens a second, one text at a time, the most probable token each; the best of a few times."""
    best = 0.0
    for _ in range(REPEATS):
        writing = generate(model, [0] * PROMPT, _most_probable)
        next(writing)
        begun = time.perf_counter()
        for _ in islice(writing, WRITTEN):
            pass
        best = max(best, WRITTEN / (time.perf_counter() - begun))
    return best


def _most_probable(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def learning_curve(run: Path) -> list[list[float]]:
    """[step, loss] at every validation."""
    records = journal.read(run / "metrics.jsonl")
    return [[r["step"], r["validation"]["loss"]] for r in records if "validation" in r]


def training_curve(run: Path) -> list[list[float]]:
    """[tokens, loss]: means of the training loss over fiftieths of the training."""
    steps = [(r["targets"], r["loss"]) for r in journal.read(run / "metrics.jsonl") if "targets" in r]
    targets, losses = np.array([(n, np.nan if loss is None else loss) for n, loss in steps], np.float64).T
    read = targets.cumsum()
    parts = np.array_split(np.arange(len(losses)), min(CURVE_POINTS, len(losses)))
    return [[float(read[part[-1]]), round(float(losses[part].mean()), 6)] for part in parts]


def clock_curve(run: Path) -> list[list[float]]:
    """[step, tokens, seconds] at every validation, the time of validating left out of the seconds."""
    curve: dict[int, list[float]] = {}
    validating = 0.0
    for record in journal.read_timing(run / "timing.jsonl"):
        validating += record["validation_seconds"]
        curve[int(record["step"])] = [record["step"], record["targets"], record["seconds"] - validating]
    return list(curve.values())

"""Temporal order: which of two symbols came first, long ago?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, temporal_order
from elman.lab.drawing import curves, told
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet


def cross_entropy(setting: Setting, T: int, model: RecurrentNet, step: int) -> Tensor:
    """Of the last outputs, on a step's batch."""
    x, y = map(torch.from_numpy, temporal_order(32, T, setting.draw(step)))
    return F.cross_entropy(model(x)[:, -1], y)


def _run(setting: Setting, steps: int | None = None) -> Findings:
    lengths = (20, 100) if setting.quick else (20, 50, 100, 200)
    steps = steps or (500 if setting.quick else 3000)
    right: dict[str, list[float]] = {cell: [] for cell in CLASSICAL}
    for index, (cell, T) in enumerate((cell, T) for cell in CLASSICAL for T in lengths):
        part = setting.part(f"temporal order: {cell}", index, len(CLASSICAL) * len(lengths))
        right[cell].append(_accuracy(part, cell, T, steps))
    figure = curves(
        lengths, right, title="Sequences put into the right class of four", x="length", reading="A quarter is guessing."
    )
    words = told(lengths, right, "{:.1%} at length {}")
    met = all(value >= 0.99 for cell in ("gru", "lstm") for value in right[cell]) and right["elman"][-1] < 0.99
    return Findings(met, right["elman"][0] >= 0.99, words, [figure], {"lengths": lengths, "accuracy": right})


def _accuracy(setting: Setting, cell: str, T: int, steps: int) -> float:
    """On new sequences."""
    objective = Drawn(steps, partial(cross_entropy, setting, T))
    model, _ = learn(setting, partial(RecurrentNet, cell, ORDER_SYMBOLS, 50, 4, horizon=T), objective)
    x, y = map(torch.from_numpy, temporal_order(1000, T, setting.draw(TEST)))
    with torch.no_grad():
        return float((model(x)[:, -1].argmax(-1) == y).float().mean())


EXPERIMENT = Experiment(
    "temporal-order",
    "Gated cells learn the order of two symbols at every length tried; Elman's network, with clipping alone, does not.",
    "GRU and LSTM are right in 99 % at every length, Elman's network in fewer at the longest",
    "Elman's network is right in 99 % at the shortest length",
    "Hochreiter & Schmidhuber 1997, task 6a; Pascanu, Mikolov & Bengio 2013",
    _run,
)

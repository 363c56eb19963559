"""Temporal order: which of two symbols came first, long ago?"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, temporal_order
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import CELLS, COLOURS, Reader, fit_sequence
from elman.report import Line, line_chart


def _run(setting: Setting, steps: int | None = None) -> Findings:
    lengths = (20, 100) if setting.quick else (20, 50, 100, 200)
    steps = steps or (500 if setting.quick else 3000)
    right: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for index, (cell, T) in enumerate((cell, T) for cell in CELLS for T in lengths):
        torch.manual_seed(setting.seed)
        model = Reader(cell, ORDER_SYMBOLS, 50, 4, horizon=T)

        def loss(step: int, model: Reader = model, T: int = T) -> torch.Tensor:
            x, y = map(torch.from_numpy, temporal_order(32, T, setting.seed * 10**6 + step))
            return F.cross_entropy(model(x)[:, -1], y)

        def report(done: float, index: int = index, cell: str = cell) -> None:
            setting.progress(f"temporal order: {cell}", (index + done) / (len(CELLS) * len(lengths)))

        fit_sequence(model, loss, steps, progress=report)
        x, y = map(torch.from_numpy, temporal_order(1000, T, setting.seed * 10**6 + 999_999))
        with torch.no_grad():
            right[cell].append(float((model(x)[:, -1].argmax(-1) == y).float().mean()))
    figure = line_chart(
        [Line(cell, np.array(lengths), np.array(values), colour=COLOURS[cell]) for cell, values in right.items()],
        title="Sequences put into the right class of four",
        x="length",
        y="accuracy",
        y_span=(0.0, 1.0),
        wide=True,
        reading="A quarter is guessing.",
    )
    words = [
        f"{cell}: " + ", ".join(f"{value:.1%} at length {T}" for T, value in zip(lengths, values, strict=True))
        for cell, values in right.items()
    ]
    met = all(value >= 0.99 for cell in ("gru", "lstm") for value in right[cell]) and right["elman"][-1] < 0.99
    return Findings(met, right["elman"][0] >= 0.99, words, [figure], {"lengths": lengths, "accuracy": right})


EXPERIMENT = Experiment(
    "temporal-order",
    "Gated cells learn the order of two symbols at every length tried; Elman's network, with clipping alone, does not.",
    "GRU and LSTM are right in 99 % at every length, Elman's network in fewer at the longest",
    "Elman's network is right in 99 % at the shortest length",
    "Hochreiter & Schmidhuber 1997, task 6a; Pascanu, Mikolov & Bengio 2013",
    _run,
)

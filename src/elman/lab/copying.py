"""The copying problem: recurrent networks copy over short gaps only."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch.nn import functional as F

from elman.data.memory_tasks import SYMBOLS, copying
from elman.lab.drawing import curves, told
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet


def _run(setting: Setting, steps: int | None = None) -> Findings:
    gaps, length = ((1, 10, 200), 3) if setting.quick else ((2, 10, 40, 100), 10)
    steps = steps or (500 if setting.quick else 3000)
    shares: dict[str, list[float]] = {cell: [] for cell in CLASSICAL}
    for index, (cell, gap) in enumerate((cell, gap) for cell in CLASSICAL for gap in gaps):
        part = setting.part(f"copying: {cell}", index, len(CLASSICAL) * len(gaps))
        shares[cell].append(_share(part, cell, gap, length, steps))
    figure = curves(
        gaps,
        shares,
        title=f"Copying {length} symbols over a gap",
        x="gap, steps",
        y="loss, 1 is that without a memory",
        zero=True,
        wide=True,
        reading="Near 0 the symbols are copied, near 1 the model has learnt only when to answer, above not even that.",
    )
    met = all(values[-1] > 0.9 for values in shares.values())
    control = all(values[0] < 0.5 for values in shares.values())
    words = told(gaps, shares, "{:.2f} at gap {}")
    words.append("papers, T = 1000 (Bai 2018), as shares of .0204: LSTM 1.00, GRU .97, Elman .99")
    return Findings(met, control, words, [figure], {"gaps": gaps, "shares": shares})


def _share(setting: Setting, cell: str, gap: int, length: int, steps: int) -> float:
    """The loss on new sequences, as a share of the least loss without a memory."""

    def loss(model: RecurrentNet, step: int, batch: int = 32) -> torch.Tensor:
        x, y = map(torch.from_numpy, copying(batch, gap, setting.draw(step), length))
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    T = gap + 2 * length
    model, _ = learn(
        setting, partial(RecurrentNet, cell, SYMBOLS + 2, 64, SYMBOLS + 1, horizon=T), Drawn(steps, loss), 1e-2
    )
    with torch.no_grad():
        return loss(model, TEST, batch=500).item() / (length * math.log(SYMBOLS) / T)


EXPERIMENT = Experiment(
    "copying",
    "Recurrent networks copy over short gaps, and over long ones do no better than without a memory.",
    "every cell is above 0.9 of the memoryless loss at the longest gap",
    "every cell is below half of it at the shortest",
    "Arjovsky, Shah & Bengio 2016; Bai, Kolter & Koltun 2018",
    _run,
)

"""Tasks that need a memory of known length: adding two numbers, copying symbols, telling which of two came first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, SYMBOLS, adding, copying, temporal_order
from elman.lab.drawing import bars, curves, means, stretches, told
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet

TESTED = 1000  # new sequences
GUESSING = 1 / 6  # the error of always answering 1
EASY = 8  # steps over which Elman's network must learn to add, or its failing at more would show nothing


def squared_error(setting: Setting, T: int, batch: int, model: RecurrentNet, step: int) -> Tensor:
    """The mean of the last outputs' on a step's batch of the adding problem."""
    x, y = map(torch.from_numpy, adding(batch, T, setting.draw(step)))
    return F.mse_loss(model(x)[:, -1, 0], y)


def cross_entropy(setting: Setting, T: int, model: RecurrentNet, step: int) -> Tensor:
    """Of the last outputs, on a step's batch of sequences of two symbols in some order."""
    x, y = map(torch.from_numpy, temporal_order(32, T, setting.draw(step)))
    return F.cross_entropy(model(x)[:, -1], y)


def _of_each_cell(
    setting: Setting, task: str, lengths: Sequence[int], measure: Callable[[Setting, str, int], float]
) -> dict[str, list[float]]:
    """What is measured of each cell, trained at each length."""
    found: dict[str, list[float]] = {cell: [] for cell in CLASSICAL}
    for index, (cell, length) in enumerate(product(CLASSICAL, lengths)):
        part = setting.part(f"{task}: {cell}", index, len(CLASSICAL) * len(lengths))
        found[cell].append(measure(part, cell, length))
    return found


def _adding(setting: Setting, steps: int | None = None, length: int | None = None) -> Findings:
    T = length or (60 if setting.quick else 200)
    steps = steps or (1000 if setting.quick else 4000)
    errors, losses, starts = {}, {}, stretches(steps, 50)
    easy, _ = _added(setting, "elman", EASY, steps, 0)
    for index, cell in enumerate(CLASSICAL, start=1):
        errors[cell], each = _added(setting, cell, T, steps, index)
        losses[cell] = means(each, starts)
    figure = curves(
        starts,
        losses,
        title=f"The adding problem over {T} steps",
        x="training steps",
        y="mean squared error",
        log_y=True,
        wide=True,
        reading=f"Always answering 1 has the error {GUESSING:.4f}; a model below it remembers something.",
    )
    tests = bars(
        {f"{cell}, {T} steps": error for cell, error in errors.items()} | {f"elman, {EASY} steps": easy},
        title="On new sequences",
        x=f"mean squared error; guessing is {GUESSING:.3f}",
        reading="Elman's network learns the task over a few steps: what it cannot do is to remember for longer.",
    )
    met = errors["gru"] < 0.01 and errors["lstm"] < 0.01 and errors["elman"] > GUESSING / 2
    words = [f"{cell}: mean squared error {error:.3g} on {TESTED} new sequences" for cell, error in errors.items()]
    words.append(f"elman over {EASY} steps: {easy:.3g}")
    words.append("papers, T = 600 (Bai 2018): guessing .1767, Elman .177, LSTM .164, GRU 5.3e-5")
    return Findings(met, easy < GUESSING / 10, words, [figure, tests], {"steps": T, "errors": errors, "easy": easy})


def _added(setting: Setting, cell: str, T: int, steps: int, index: int) -> tuple[float, list[float]]:
    """The error on new sequences, and the losses of the training."""

    loss = partial(squared_error, setting, T)
    part = setting.part(f"adding: {cell} over {T} steps", index, len(CLASSICAL) + 1)
    make = partial(RecurrentNet, cell, 2, 64, 1, horizon=T)
    model, taken = learn(part, make, Drawn(steps, partial(loss, 64)), 5e-3)
    with torch.no_grad():
        return loss(TESTED, model, TEST).item(), [step.loss for step in taken]


def _copying(setting: Setting, steps: int | None = None) -> Findings:
    gaps, length = ((1, 10, 200), 3) if setting.quick else ((2, 10, 40, 100), 10)
    steps = steps or (500 if setting.quick else 3000)
    shares = _of_each_cell(setting, "copying", gaps, partial(_copied, steps, length))
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


def _copied(steps: int, length: int, setting: Setting, cell: str, gap: int) -> float:
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


def _temporal_order(setting: Setting, steps: int | None = None) -> Findings:
    lengths = (20, 100) if setting.quick else (20, 50, 100, 200)
    steps = steps or (500 if setting.quick else 3000)
    right = _of_each_cell(setting, "temporal order", lengths, partial(_ordered, steps))
    figure = curves(
        lengths, right, title="Sequences put into the right class of four", x="length", reading="A quarter is guessing."
    )
    words = told(lengths, right, "{:.1%} at length {}")
    met = all(value >= 0.99 for cell in ("gru", "lstm") for value in right[cell]) and right["elman"][-1] < 0.99
    return Findings(met, right["elman"][0] >= 0.99, words, [figure], {"lengths": lengths, "accuracy": right})


def _ordered(steps: int, setting: Setting, cell: str, T: int) -> float:
    """The accuracy on new sequences."""
    objective = Drawn(steps, partial(cross_entropy, setting, T))
    model, _ = learn(setting, partial(RecurrentNet, cell, ORDER_SYMBOLS, 50, 4, horizon=T), objective)
    x, y = map(torch.from_numpy, temporal_order(1000, T, setting.draw(TEST)))
    with torch.no_grad():
        return float((model(x)[:, -1].argmax(-1) == y).float().mean())


ADDING = Experiment(
    "adding",
    "LSTM and GRU learn to add two numbers far apart; Elman's network stays at guessing.",
    "LSTM and GRU below 0.01, Elman's network above half the error of guessing (0.083)",
    f"over {EASY} steps Elman's network learns it, too, to a tenth of that error (0.017)",
    "Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016; Bai, Kolter & Koltun 2018",
    _adding,
)
COPYING = Experiment(
    "copying",
    "Recurrent networks copy over short gaps, and over long ones do no better than without a memory.",
    "every cell is above 0.9 of the memoryless loss at the longest gap",
    "every cell is below half of it at the shortest",
    "Arjovsky, Shah & Bengio 2016; Bai, Kolter & Koltun 2018",
    _copying,
)
TEMPORAL_ORDER = Experiment(
    "temporal-order",
    "Gated cells learn the order of two symbols at every length tried; Elman's network, with clipping alone, does not.",
    "GRU and LSTM are right in 99 % at every length, Elman's network in fewer at the longest",
    "Elman's network is right in 99 % at the shortest length",
    "Hochreiter & Schmidhuber 1997, task 6a; Pascanu, Mikolov & Bengio 2013",
    _temporal_order,
)

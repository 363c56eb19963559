"""The adding problem: gates remember a number over many steps, Elman's network does not."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.memory_tasks import adding
from elman.lab.drawing import bars, curves, means, stretches
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet

TESTED = 1000  # new sequences
GUESSING = 1 / 6  # the error of always answering 1
EASY = 8  # steps over which Elman's network must learn the task, or its failing at more would show nothing


def squared_error(setting: Setting, T: int, batch: int, model: RecurrentNet, step: int) -> Tensor:
    """The mean of the last outputs' on a step's batch of the adding problem."""
    x, y = map(torch.from_numpy, adding(batch, T, setting.draw(step)))
    return F.mse_loss(model(x)[:, -1, 0], y)


def _run(setting: Setting, steps: int | None = None, length: int | None = None) -> Findings:
    T = length or (60 if setting.quick else 200)
    steps = steps or (1000 if setting.quick else 4000)
    errors, losses, starts = {}, {}, stretches(steps, 50)
    easy, _ = _trained(setting, "elman", EASY, steps, 0)
    for index, cell in enumerate(CLASSICAL, start=1):
        errors[cell], each = _trained(setting, cell, T, steps, index)
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


def _trained(setting: Setting, cell: str, T: int, steps: int, index: int) -> tuple[float, list[float]]:
    """The error on new sequences, and the losses of the training."""

    loss = partial(squared_error, setting, T)
    part = setting.part(f"adding: {cell} over {T} steps", index, len(CLASSICAL) + 1)
    make = partial(RecurrentNet, cell, 2, 64, 1, horizon=T)
    model, taken = learn(part, make, Drawn(steps, partial(loss, 64)), 5e-3)
    with torch.no_grad():
        return loss(TESTED, model, TEST).item(), [step.loss for step in taken]


EXPERIMENT = Experiment(
    "adding",
    "LSTM and GRU learn to add two numbers far apart; Elman's network stays at guessing.",
    "LSTM and GRU below 0.01, Elman's network above half the error of guessing (0.083)",
    f"over {EASY} steps Elman's network learns it, too, to a tenth of that error (0.017)",
    "Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016; Bai, Kolter & Koltun 2018",
    _run,
)

"""The adding problem: gates remember a number over many steps, Elman's network does not."""

from __future__ import annotations

import numpy as np
import torch

from elman.data.memory_tasks import adding
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import CELLS, COLOURS, Reader, fit_sequence, smooth
from elman.report import Line, line_chart

BATCH, TEST = 64, 1000
GUESSING = 1 / 6  # the error of always answering 1


def _run(setting: Setting, steps: int | None = None, length: int | None = None) -> Findings:
    T = length or (30 if setting.quick else 200)
    steps = steps or (1500 if setting.quick else 4000)
    errors, lines = {}, []
    for index, cell in enumerate(CELLS):
        torch.manual_seed(setting.seed)
        model = Reader(cell, 2, 64, 1)

        def loss(step: int, model: Reader = model) -> torch.Tensor:
            x, y = adding(BATCH, T, setting.seed * 10**6 + step)
            return torch.nn.functional.mse_loss(model(torch.from_numpy(x))[:, -1, 0], torch.from_numpy(y))

        def report(done: float, cell: str = cell, index: int = index) -> None:
            setting.progress(f"adding: {cell}", (index + done) / len(CELLS))

        losses, _ = fit_sequence(model, loss, steps, rate=5e-3, progress=report)
        x, y = adding(TEST, T, setting.seed * 10**6 + 999_999)
        with torch.no_grad():
            errors[cell] = float((model(torch.from_numpy(x))[:, -1, 0] - torch.from_numpy(y)).square().mean())
        smoothed = np.array(smooth(losses, steps // 50))
        lines.append(Line(cell, np.linspace(0, steps, len(smoothed)), smoothed, colour=COLOURS[cell]))
    figure = line_chart(
        lines,
        title=f"The adding problem over {T} steps",
        x="training steps",
        y="mean squared error",
        log_y=True,
        wide=True,
        reading=f"Always answering 1 has the error {GUESSING:.4f}; a model below it remembers something.",
    )
    held = errors["gru"] < 0.01 and errors["lstm"] < 0.01 and errors["elman"] > GUESSING / 2
    words = [f"{cell}: mean squared error {error:.3g} on {TEST} new sequences" for cell, error in errors.items()]
    words.append("papers, T = 600 (Bai 2018): guessing .1767, Elman .177, LSTM .164, GRU 5.3e-5")
    return Findings(held, words, [figure], {"steps": T, "errors": errors})


EXPERIMENT = Experiment(
    "adding",
    "LSTM and GRU learn to add two numbers far apart; Elman's network stays at guessing.",
    "LSTM and GRU below 0.01, Elman's network above half the error of guessing (0.083)",
    "Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016; Bai, Kolter & Koltun 2018",
    _run,
)

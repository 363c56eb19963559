"""Exploding gradients, and what clipping by norm saves."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, temporal_order
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import Reader, fit_sequence, smooth
from elman.report import Figure, Line, line_chart

SCALE = 1.6  # of the recurrent matrix at the beginning
RATE = 0.5  # of learning: a step along an exploded gradient goes far


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T, seeds = 20, 2 if setting.quick else 5
    steps = steps or (400 if setting.quick else 1000)
    ends: dict[str, list[float]] = {"clipped": [], "not clipped": []}
    largest: list[float] = []
    first: dict[str, tuple[list[float], list[float]]] = {}
    for number in range(seeds):
        for name, clip in (("clipped", 1.0), ("not clipped", None)):
            torch.manual_seed(setting.seed + number)
            model = Reader("elman", ORDER_SYMBOLS, 50, 4)
            model.layer.get_parameter("weight_hh_l0").data.mul_(SCALE)

            def loss(step: int, model: Reader = model, number: int = number) -> torch.Tensor:
                x, y = map(torch.from_numpy, temporal_order(32, T, (setting.seed + number) * 10**6 + step))
                return F.cross_entropy(model(x)[:, -1], y)

            def report(done: float, number: int = number, name: str = name) -> None:
                setting.progress(f"clipping: {name}", (number + done / 2 + (name != "clipped") / 2) / seeds)

            losses, norms = fit_sequence(
                model, loss, steps, rate=RATE, clip=clip, optimizer=torch.optim.SGD, progress=report
            )
            last = losses[-max(1, steps // 10) :]
            ends[name].append(float(np.mean(last)) if all(map(math.isfinite, last)) else math.inf)
            largest.append(max(norms))
            first.setdefault(name, (losses, norms))
    cosine = _cosine()
    means = {name: float(np.mean(values)) for name, values in ends.items()}
    half = math.log(4) / 2
    held = cosine > 1 - 1e-6 and all(a < half <= b for a, b in zip(ends["clipped"], ends["not clipped"], strict=True))
    words = [
        f"clipping by norm turned the gradient by nothing: cosine {cosine:.7f}",
        f"the largest gradient norm met was {max(largest):.3g}",
        f"loss at the end, mean of {seeds} seeds: {means['clipped']:.3f} clipped, {means['not clipped']:.3f} not; "
        f"guessing is {math.log(4):.3f}",
    ]
    return Findings(held, words, _figures(first, steps), {"ends": ends, "cosine": cosine, "largest": max(largest)})


def _figures(first: dict[str, tuple[list[float], list[float]]], steps: int) -> list[Figure]:
    window, figures = max(1, steps // 80), []
    for part, title in enumerate(("Loss", "Gradient norm before clipping")):
        lines = []
        for colour, (name, values) in enumerate(first.items(), start=1):
            y = np.array(smooth(values[part], window))
            lines.append(Line(name, np.arange(len(y)) * window, y, colour=colour))
        reading = "The first seed: what clipping changes, the size of single steps aside, is where training goes."
        figures.append(line_chart(lines, title=title, x="steps", y=title.lower(), log_y=part == 1, reading=reading))
    return figures


def _cosine() -> float:
    gradient = torch.randn(1000, dtype=torch.float64) * 100
    parameter = torch.nn.Parameter(torch.zeros(1000, dtype=torch.float64))
    parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    return float(F.cosine_similarity(parameter.grad, gradient, dim=0))


EXPERIMENT = Experiment(
    "exploding-and-clipping",
    "Clipping the gradient by its norm keeps its direction and saves a training whose gradients explode.",
    "the cosine is 1, and for every seed the loss ends below half of guessing if clipped, and above it if not",
    "Pascanu, Mikolov & Bengio 2013; Mikolov 2012",
    _run,
)

"""Exploding gradients, and what clipping by norm saves."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, temporal_order
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import Reader, fit_sequence
from elman.report import Figure, Line, bar_chart, line_chart

SCALE = 1.6  # of the recurrent matrix at the beginning
RATE = 0.5  # of learning: a step along an exploded gradient goes far
EXPLODED = 10.0  # a gradient norm that many times the threshold of clipping, which is 1


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T, seeds = 20, 2 if setting.quick else 5
    steps = steps or (400 if setting.quick else 1000)
    ends: dict[str, list[float]] = {"clipped": [], "not clipped": []}
    journeys: dict[str, list[tuple[list[float], list[float]]]] = {name: [] for name in ends}
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
            journeys[name].append((losses, norms))
    cosine = _cosine()
    peaks = {name: [_largest(norms) for _, norms in of] for name, of in journeys.items()}
    half = math.log(4) / 2
    met = cosine > 1 - 1e-6 and all(a < half <= b for a, b in zip(ends["clipped"], ends["not clipped"], strict=True))
    words = [
        f"clipping by norm turned the gradient by nothing: cosine {cosine:.7f}",
        "the largest gradient norm of a training: "
        + "; ".join(f"{name} {', '.join(f'{peak:.3g}' for peak in values)}" for name, values in peaks.items()),
        "loss at the end: "
        + "; ".join(f"{name} {', '.join(f'{end:.3g}' for end in values)}" for name, values in ends.items())
        + f"; guessing is {math.log(4):.3f}",
    ]
    control = min(peaks["not clipped"]) > EXPLODED
    return Findings(met, control, words, _figures(journeys, ends), {"ends": ends, "cosine": cosine, "peaks": peaks})


def _largest(norms: list[float]) -> float:
    return max((norm for norm in norms if math.isfinite(norm)), default=math.inf)


def _figures(journeys: dict[str, list[tuple[list[float], list[float]]]], ends: dict[str, list[float]]) -> list[Figure]:
    losses, norms = [], []
    for colour, (name, of) in enumerate(journeys.items(), start=1):
        each = np.array(of)  # (seeds, 2, steps)
        starts = np.arange(0, each.shape[2], max(1, each.shape[2] // 80))
        sums = np.add.reduceat(each[:, 0].mean(0), starts)
        losses.append(Line(name, starts, sums / np.diff([*starts, each.shape[2]]), colour=colour))
        norms.append(Line(name, starts, np.maximum.reduceat(each[:, 1].max(0), starts), colour=colour))
    names = [f"{name}, seed {number}" for name, values in ends.items() for number in range(1, len(values) + 1)]
    return [
        line_chart(losses, title="Loss", x="steps", y="nats", reading="The mean of all seeds, over a few steps each."),
        line_chart(
            norms,
            title="Gradient norm before clipping",
            x="steps",
            y="gradient norm",
            log_y=True,
            reading="The largest of all seeds within a few steps: a single peak can throw a training off its way.",
        ),
        bar_chart(
            names,
            np.array([value for values in ends.values() for value in values]),
            title="Loss at the end",
            x=f"nats; guessing is {math.log(4):.3f}",
            reading="The mean over the last tenth of the steps.",
        ),
    ]


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
    f"gradients do explode: in every training that is not clipped a norm is above {EXPLODED:g} times the threshold",
    "Pascanu, Mikolov & Bengio 2013; Mikolov 2012",
    _run,
)

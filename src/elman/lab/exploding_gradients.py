"""Exploding gradients, and what clipping by norm saves."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS
from elman.lab.drawing import bars, curves, means, stretches
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.memory_tasks import ORDER, solve
from elman.lab.recurrent_net import RecurrentNet
from elman.report import Figure
from elman.train.clipping import Clipper
from elman.train.events import Step

SCALE = 1.6  # of the recurrent matrix, at the beginning
RATE = 0.5  # a learning rate at which a step along an exploded gradient goes far
EXPLODED = 10.0  # a gradient norm that many times the threshold of clipping, which is 1
CLIPS = {"clipped": "norm", "not clipped": "none"}
GUESSING = math.log(4)

Trainings = dict[str, list[list[Step]]]  # clipped and not, one training for each seed


def _run(setting: Setting, steps: int | None = None) -> Findings:
    seeds = range(2 if setting.quick else 5)
    steps = steps or (800 if setting.quick else 1000)
    trainings: Trainings = {name: [] for name in CLIPS}
    for (number, name), part in setting.each("clipping", product(seeds, CLIPS)):
        part = replace(part, seed=setting.seed + number)
        _, taken = solve(part, ORDER, _net, 20, steps, rate=RATE, optimizer="sgd", clip=CLIPS[name])
        trainings[name].append(taken)
    cosine = _cosine()
    ends = {name: [_end(taken) for taken in of] for name, of in trainings.items()}
    peaks = {name: [_peak(taken) for taken in of] for name, of in trainings.items()}
    saved = [a < GUESSING / 2 <= b for a, b in zip(ends["clipped"], ends["not clipped"], strict=True)]
    words = [
        f"the cosine between a gradient before clipping by norm and after it is {cosine:.7f}",
        f"the largest gradient norm of a training: {_listed(peaks)}",
        f"loss at the end: {_listed(ends)}; guessing is {GUESSING:.3f}",
    ]
    met, control = cosine > 1 - 1e-6 and all(saved), min(peaks["not clipped"]) > EXPLODED
    return Findings(met, control, words, _figures(trainings, ends), {"ends": ends, "cosine": cosine, "peaks": peaks})


def _net() -> RecurrentNet:
    model = RecurrentNet("elman", ORDER_SYMBOLS, 50, 4)
    model.layer.get_parameter("weight_hh_l0").data.mul_(SCALE)
    return model


def _end(taken: list[Step]) -> float:
    """The mean loss of the last tenth; infinite where a step was skipped because its gradient was not finite."""
    last = taken[-max(1, len(taken) // 10) :]
    return math.inf if any(step.skipped for step in taken) else float(np.mean([step.loss for step in last]))


def _peak(taken: list[Step]) -> float:
    """The largest norm before clipping."""
    return max((step.gradient.norm_before for step in taken if step.gradient.finite), default=math.inf)


def _listed(found: dict[str, list[float]]) -> str:
    return "; ".join(f"{name} {', '.join(f'{value:.3g}' for value in values)}" for name, values in found.items())


def _figures(trainings: Trainings, ends: dict[str, list[float]]) -> list[Figure]:
    losses, norms = {}, {}
    for name, of in trainings.items():
        each = np.array([[(step.loss, step.gradient.norm_before) for step in taken] for taken in of])
        starts = stretches(each.shape[1], 80)
        losses[name] = means(each[..., 0].mean(0), starts)
        norms[name] = np.maximum.reduceat(each[..., 1].max(0), starts)
    each_end = {f"{name}, seed {n}": value for name, values in ends.items() for n, value in enumerate(values, start=1)}
    axes = {"x": "steps", "y": "gradient norm", "log_y": True}
    peak = "The largest of all seeds within a few steps: a single peak can throw a training off its way."
    nats = f"nats; guessing is {GUESSING:.3f}"
    return [
        curves(starts, losses, "The mean of all seeds, over a few steps each.", title="Loss", x="steps", y="nats"),
        curves(starts, norms, peak, title="Gradient norm before clipping", **axes),
        bars(each_end, "The mean over the last tenth of the steps.", title="Loss at the end", x=nats),
    ]


def _cosine() -> float:
    """The cosine between a gradient and the same gradient clipped by norm."""
    gradient = torch.randn(1000, dtype=torch.float64) * 100
    parameter = torch.nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient.clone()
    Clipper("norm", threshold=1.0)([parameter])
    return float(F.cosine_similarity(parameter.grad, gradient, dim=0))


EXPERIMENT = Experiment(
    "exploding-and-clipping",
    "Clipping the gradient by its norm keeps its direction and saves a training whose gradients explode.",
    "the cosine is 1, and for every seed the loss ends below half of guessing if clipped, and above it if not",
    f"gradients do explode: in every training that is not clipped a norm is above {EXPLODED:g} times the threshold",
    "Pascanu, Mikolov & Bengio 2013; Mikolov 2012",
    _run,
)

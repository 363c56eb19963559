"""Truncated backpropagation: what lies further back than the window is learnt only if a state carries it by luck."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.lab.drawing import curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import RecurrentNet
from elman.report import Figure, Mark, Points, point_chart
from elman.state import State
from elman.train import bptt
from elman.train.objective import Loss, Place

LANES = 16
GUESSING = math.log(2)

Window = tuple[int, int]  # k1 and k2


class Echo(Drawn):
    """Repeat random bits after `delay` steps, reading one stream in stretches, the state carried all along."""

    def __init__(self, seed: int, length: int, delay: int, window: Window) -> None:
        self.bits = torch.randint(0, 2, (LANES, length), generator=torch.Generator().manual_seed(seed))
        self.targets = F.pad(self.bits, (delay, 0))[:, :length]
        self.window, self.steps = window, bptt.count(length, window[0])

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The loss on the next stretch, given the state at its beginning."""

        def read(a: int, b: int, state: State | None) -> tuple[Tensor, State]:
            return cast(RecurrentNet, model).read(self.bits[:, a:b], state)

        part = bptt.stretch(place.batch, self.bits.shape[1], *self.window)
        outputs, kept = bptt.read(read, part, state)
        return Loss(F.cross_entropy(outputs.flatten(0, 1), self.targets[:, part.start : part.stop].flatten()), 1, kept)


def _run(setting: Setting, steps: int | None = None) -> Findings:
    delay = 6 if setting.quick else 10
    tokens = (steps or (500 if setting.quick else 3000)) * 16  # of a lane: all windows read the same stream
    windows: list[Window] = [*((k, k) for k in (2, 4, 8, 16, 32)), (2, 16), (4, 16)]
    losses, seconds = dict[Window, float](), dict[Window, float]()
    for window, part in setting.each("truncation, k1 and k2", windows):
        begun = time.perf_counter()
        echo = Echo(setting.seed, tokens, delay, window)
        _, taken = learn(part, partial(RecurrentNet, "gru", 2, 32, 2), echo, 1e-2)
        losses[window] = float(np.mean([step.loss for step in taken[-max(1, len(taken) // 10) :]]))
        seconds[window] = time.perf_counter() - begun
    short, long = min(losses[k, k] for k in (2, 4)), max(losses[k, k] for k in (16, 32))
    words = [f"k1 = {k1}, k2 = {k2}: loss {loss:.3f}, {seconds[k1, k2]:.1f} s" for (k1, k2), loss in losses.items()]
    words.append(
        f"the delay is {delay}: windows of 2 and 4 end at {short:.3f} at best, 16 and 32 at {long:.3f} at worst; "
        "on one stream a longer stride k1 also makes fewer updates, k1 < k2 makes many and costs time"
    )
    numbers = {"losses": {str(window): loss for window, loss in losses.items()}}
    figures = _figures(losses, seconds, delay)
    return Findings(long < 0.5 * short, long < 0.5 * GUESSING, words, figures, numbers)


def _figures(losses: dict[Window, float], seconds: dict[Window, float], delay: int) -> list[Figure]:
    groups = {
        "k1 = k2": [window for window in losses if window[0] == window[1]],
        "k1, k2": [window for window in losses if window[0] < window[1]],
    }
    equal = groups["k1 = k2"]
    chart = curves(
        [k for k, _ in equal],
        {"k1 = k2": [losses[window] for window in equal]},
        f"Guessing is {GUESSING:.3f}; the answer lies as many steps back as the mark says.",
        title="The loss against the window",
        x="window k, steps",
        y="nats",
        zero=True,
        marks=[Mark(float(delay), "the delay")],
    )
    points = [
        Points(
            name,
            np.array([seconds[window] for window in windows]),
            np.array([losses[window] for window in windows]),
            colour,
            [f"k1 = {k1}, k2 = {k2}" for k1, k2 in windows],
            labels=list(enumerate(", ".join(map(str, dict.fromkeys(window))) for window in windows)),
        )
        for colour, (name, windows) in enumerate(groups.items(), start=1)
    ]
    reading = "Down and to the left is better; the numbers beside the points are the windows."
    cost = point_chart(points, title="Loss and time", x="seconds for the same stream", y="nats", reading=reading)
    return [chart, cost]


EXPERIMENT = Experiment(
    "truncation",
    "Truncating the gradient raises the loss where what matters lies further back than the window, and not otherwise.",
    "windows of 16 and 32 end below half the loss of windows of 2 and 4, on the same stream",
    "windows of 16 and 32, in which the answer lies, end below half of guessing (0.347)",
    "Williams & Peng 1990; Tallec & Ollivier 2017; Aicher, Foti & Fox 2019",
    _run,
)

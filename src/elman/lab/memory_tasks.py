"""Tasks that need a memory of known length: adding two numbers, copying symbols, telling which of two came first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.memory_tasks import ORDER_SYMBOLS, SYMBOLS, adding, copying, temporal_order
from elman.lab.drawing import bars, curves, in_words, means, stretches
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet
from elman.train.events import Step
from elman.wording import percent

TESTED = 1000  # new sequences
GUESSING = 1 / 6  # the squared error of always answering 1
EASY = 8  # steps over which Elman's network must learn to add, or its failure over more steps would show nothing


Score = Callable[[Tensor, Tensor], Tensor]  # of outputs (B, T, O) and targets


class Problem(NamedTuple):
    """Sequences of any length, and how well a network answers them."""

    draw: Callable[[int, int, int], tuple[Any, Any]]  # B, T and a seed -> arrays: inputs (B, T, ...) and targets
    loss: Score
    score: Score  # on new sequences


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of the last outputs."""
    return F.mse_loss(outputs[:, -1, 0], targets)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross entropy of the last outputs, in nats."""
    return F.cross_entropy(outputs[:, -1], targets)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of sequences whose last outputs choose the right class."""
    return (outputs[:, -1].argmax(-1) == targets).float().mean()


SUM = Problem(adding, squared_error, squared_error)
ORDER = Problem(temporal_order, cross_entropy, accuracy)


def solve(
    setting: Setting, problem: Problem, make: Callable[[], nn.Module], T: int, steps: int, batch: int = 32, **how: Any
) -> tuple[float, list[Step]]:
    """The score of a network that has learnt a problem over T steps, and its training; `learn` takes `how`."""

    def measure(score: Score, model: nn.Module, step: int, size: int) -> Tensor:
        inputs, targets = map(torch.from_numpy, problem.draw(size, T, setting.batch_seed(step)))
        return score(model(inputs), targets)

    objective = Drawn(steps, lambda model, step: measure(problem.loss, model, step, batch))
    model, taken = learn(setting, make, objective, **how)
    with torch.no_grad():
        return measure(problem.score, model, TEST, TESTED).item(), taken


def _of_each_cell(
    setting: Setting, name: str, problem: Problem, lengths: Sequence[int], sizes: tuple[int, int, int], **how: Any
) -> dict[str, list[float]]:
    """The scores of each cell, trained at each length; `sizes` are those of inputs, state and outputs."""
    scores: dict[str, list[float]] = {cell: [] for cell in CLASSICAL}
    for (cell, T), part in setting.each(name, product(CLASSICAL, lengths)):
        scores[cell].append(solve(part, problem, partial(RecurrentNet, cell, *sizes, horizon=T), T, **how)[0])
    return scores


def _adding(setting: Setting, steps: int | None = None, length: int | None = None) -> Findings:
    T = length or (60 if setting.quick else 200)
    steps = steps or (1000 if setting.quick else 4000)
    found = {
        (cell, T): solve(part, SUM, partial(RecurrentNet, cell, 2, 64, 1, T), T, steps, batch=64, rate=5e-3)
        for (cell, T), part in setting.each("adding", [("elman", EASY), *product(CLASSICAL, [T])])
    }
    starts, easy = stretches(steps, 50), found["elman", EASY][0]
    errors = {cell: found[cell, T][0] for cell in CLASSICAL}
    losses = {cell: means([step.loss for step in found[cell, T][1]], starts) for cell in CLASSICAL}
    axes = {"x": "training steps", "y": "mean squared error", "log_y": True, "wide": True}
    reading = f"A model that always answers 1 has the error {GUESSING:.4f}; a model below that remembers something."
    figure = curves(starts, losses, reading, title=f"The adding problem over {T} steps", **axes)
    tested = {f"{cell}, {T} steps": error for cell, error in errors.items()} | {f"elman, {EASY} steps": easy}
    reading = "Elman's network learns the task over a few steps: it fails only at remembering for longer."
    tests = bars(tested, reading, title="On new sequences", x=f"mean squared error; guessing is {GUESSING:.3f}")
    met = errors["gru"] < 0.01 and errors["lstm"] < 0.01 and errors["elman"] > GUESSING / 2
    words = [f"{cell}: mean squared error {error:.3g} on {TESTED} new sequences" for cell, error in errors.items()]
    words.append(f"elman over {EASY} steps: {easy:.3g}")
    words.append("papers, T = 600 (Bai 2018): guessing .1767, Elman .177, LSTM .164, GRU 5.3e-5")
    return Findings(met, easy < GUESSING / 10, words, [figure, tests], {"steps": T, "errors": errors, "easy": easy})


def _copying(setting: Setting, steps: int | None = None) -> Findings:
    gaps, length = ((1, 10, 200), 3) if setting.quick else ((2, 10, 40, 100), 10)
    steps = steps or (500 if setting.quick else 3000)

    def draw(batch: int, T: int, seed: int) -> tuple[Any, Any]:
        return copying(batch, T - 2 * length, seed, length)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    sizes, lengths = (SYMBOLS + 2, 64, SYMBOLS + 1), [gap + 2 * length for gap in gaps]
    losses = _of_each_cell(setting, "copying", Problem(draw, loss, loss), lengths, sizes, steps=steps, rate=1e-2)
    least = length * math.log(SYMBOLS) / np.array(lengths)  # of a model without a memory
    shares = {cell: list(values / least) for cell, values in losses.items()}
    axes = {"x": "gap, steps", "y": "loss, 1 is that without a memory", "zero": True, "wide": True}
    reading = "Near 0 the model copies; near 1 the model has only learnt when to answer, above 1 not even that."
    figure = curves(gaps, shares, reading, title=f"Copying {length} symbols over a gap", **axes)
    met = all(values[-1] > 0.9 for values in shares.values())
    control = all(values[0] < 0.5 for values in shares.values())
    words = in_words(gaps, shares, lambda share, gap: f"{share:.2f} at gap {gap}")
    words.append("papers, T = 1000 (Bai 2018), as shares of .0204: LSTM 1.00, GRU .97, Elman .99")
    return Findings(met, control, words, [figure], {"gaps": gaps, "shares": shares})


def _temporal_order(setting: Setting, steps: int | None = None) -> Findings:
    lengths = (20, 100) if setting.quick else (20, 50, 100, 200)
    steps = steps or (500 if setting.quick else 3000)
    right = _of_each_cell(setting, "temporal order", ORDER, lengths, (ORDER_SYMBOLS, 50, 4), steps=steps)
    title = "Sequences put into the right class of four"
    figure = curves(lengths, right, "A quarter is guessing.", title=title, x="length")
    words = in_words(lengths, right, lambda share, length: f"{percent(share, 1)} at length {length}")
    met = all(value >= 0.99 for cell in ("gru", "lstm") for value in right[cell]) and right["elman"][-1] < 0.99
    return Findings(met, right["elman"][0] >= 0.99, words, [figure], {"lengths": lengths, "accuracy": right})


ADDING = Experiment(
    "adding",
    "LSTM and GRU learn to add two numbers far apart; Elman's network stays at guessing.",
    "LSTM and GRU end below 0.01, Elman's network above half the error of guessing (0.083)",
    f"over {EASY} steps Elman's network, too, learns the task, to a tenth of the error of guessing (0.017)",
    "Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016; Bai, Kolter & Koltun 2018",
    _adding,
)
COPYING = Experiment(
    "copying",
    "Recurrent networks copy over short gaps, and over long gaps do no better than without a memory.",
    "at the longest gap every cell is above 0.9 of the loss without a memory",
    "at the shortest gap every cell is below half of that loss",
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

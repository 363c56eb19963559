"""Elman's own experiments: exclusive or in time, and letters into words."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.memory_tasks import temporal_xor
from elman.lab.drawing import bars
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import RecurrentNet

WORDS = ("many", "years", "ago", "a", "boy", "and", "girl", "lived", "by", "the", "sea", "they", "played", "happily")
LETTERS = sorted({letter for word in WORDS for letter in word})
FREQUENCIES = np.array([sum(word.count(letter) for word in WORDS) for letter in LETTERS]) / sum(map(len, WORDS))
ENTROPY = float(-(FREQUENCIES * np.log(FREQUENCIES)).sum())  # of a letter of the stream, in nats
STEPS = 90  # of a sequence

Tokens = npt.NDArray[np.int64]
Losses = npt.NDArray[np.floating]


def _run(setting: Setting, steps: int | None = None) -> Findings:
    steps = steps or (400 if setting.quick else 3000)
    parts = dict(setting.each("Elman 1990", ["exclusive or", "letters"]))
    xor = _xor(parts["exclusive or"], steps)
    letters, mean = _letters(parts["letters"], steps)
    first, inside = letters[0], float(np.mean(letters[1:]))
    words = [
        f"exclusive or: {xor[0]:.3f} and {xor[1]:.3f} nats on the random bits, {xor[2]:.3f} on the third "
        f"(guessing is {math.log(2):.3f})",
        f"letters: {first:.2f} nats on a word's first letter, {inside:.2f} on the letters inside",
        f"all letters: {mean:.2f} nats; the frequencies of the letters alone give {ENTROPY:.2f}",
    ]
    bits = dict(zip(("first bit, random", "second bit, random", "third bit, their xor"), xor, strict=True))
    places = {f"letter {place}": loss for place, loss in enumerate(letters, start=1)}
    summaries = {"inside words, mean": inside, "all letters": mean, "frequencies alone": ENTROPY}
    only_third = "Only every third bit can be known, and only by remembering the two before it."
    rises = (
        "The error rises where a word begins and falls inside it: the error marks the borders of words in a stream "
        "that has no spaces."
    )
    figures = [
        bars(bits, only_third, title="Exclusive or in time", x="nats"),
        bars(places | summaries, rises, title="Letters into words", x="nats"),
    ]
    met = xor[2] < 0.5 * min(xor[:2]) and inside < 0.5 * first
    control = mean < ENTROPY and min(xor[:2]) > 0.95 * math.log(2)
    return Findings(met, control, words, figures, {"xor": xor, "letters": letters})


def _losses(
    setting: Setting, steps: int, draw: Callable[[int, int], Tokens], symbols: int, hidden: int, rate: float
) -> Losses:
    """The losses of every token but the first, in nats (B, T), of a network that has learnt, on new sequences.

    `draw(seed, batch)` draws sequences of tokens (B, T + 1).
    """

    def losses(model: RecurrentNet, step: int, batch: int) -> Tensor:
        tokens = torch.from_numpy(draw(setting.batch_seed(step), batch))
        return F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")

    objective = Drawn(steps, lambda model, step: losses(model, step, 16).mean())
    model, _ = learn(setting, partial(RecurrentNet, "elman", symbols, hidden, symbols), objective, rate)
    with torch.no_grad():
        return losses(model, TEST, 200).numpy()


def _xor(setting: Setting, steps: int) -> Losses:
    """The mean loss of the first, the second and the third bit of a triple."""

    def bits(seed: int, batch: int) -> Tokens:
        return np.stack([temporal_xor(STEPS + 1, seed * 1000 + row) for row in range(batch)])

    each = _losses(setting, steps, bits, 2, 16, 1e-2).mean(0)[2:]  # from the fourth bit on, which begins a triple
    return np.array([each[place::3].mean() for place in range(3)])


def _letters(setting: Setting, steps: int) -> tuple[Losses, float]:
    """The mean loss by a letter's place in its word, and of all letters."""

    def letters(seed: int, batch: int) -> tuple[Tokens, Tokens]:
        """Letters and their places, (B, T + 1) each."""
        chosen = np.random.default_rng(seed).integers(0, len(WORDS), (batch, STEPS))
        rows = [[(letter, place) for index in row for place, letter in enumerate(WORDS[index])] for row in chosen]
        codes = np.array([[(LETTERS.index(letter), place) for letter, place in row[: STEPS + 1]] for row in rows])
        return codes[..., 0], codes[..., 1]

    each = _losses(setting, steps, lambda *drawn: letters(*drawn)[0], len(LETTERS), 32, 5e-3)
    places = letters(setting.batch_seed(TEST), len(each))[1][:, 1:]
    return np.array([each[places == place].mean() for place in range(max(map(len, WORDS)))]), float(each.mean())


EXPERIMENT = Experiment(
    "elman-1990",
    "A network with a context layer finds structure in time: exclusive or, and words in a stream of letters.",
    "the xor bit's loss is below half the others'; the loss inside words is below half of that at their beginnings",
    "the letters' loss is below that of their frequencies alone (the network has learnt), and that of the random bits "
    "within 5 % of guessing or above guessing (the network does not see the bit that it is to predict)",
    "Elman 1990, Finding structure in time",
    _run,
)

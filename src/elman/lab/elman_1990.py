"""Elman's own experiments: exclusive or in time, and letters into words."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from elman.data.memory_tasks import temporal_xor
from elman.lab.drawing import bars
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import RecurrentNet

WORDS = ("many", "years", "ago", "a", "boy", "and", "girl", "lived", "by", "the", "sea", "they", "played", "happily")
LETTERS = sorted({letter for word in WORDS for letter in word})
STEPS = 90  # of a sequence


def _run(setting: Setting, steps: int | None = None) -> Findings:
    steps = steps or (400 if setting.quick else 3000)
    xor = _xor(setting.part("Elman 1990: exclusive or", 0, 2), steps)
    letters, mean = _letters(setting.part("Elman 1990: letters", 1, 2), steps)
    held_xor = xor[2] < 0.5 * min(xor[0], xor[1])
    begin, inside = letters[0], float(np.mean(letters[1:]))
    held_words = inside < 0.5 * begin
    words = [
        f"exclusive or: {xor[0]:.3f} and {xor[1]:.3f} nats on the random bits, {xor[2]:.3f} on the third "
        f"(guessing is {math.log(2):.3f})",
        f"letters: {begin:.2f} nats on a word's first letter, {inside:.2f} on those inside",
    ]
    entropy = _entropy()
    words.append(f"all letters: {mean:.2f} nats; knowing how frequent each is, and nothing else, has {entropy:.2f}")
    summaries = {"inside words, mean": inside, "all letters": mean, "frequencies alone": entropy}
    figures = [
        bars(
            dict(zip(("first bit, random", "second bit, random", "third bit, their xor"), xor, strict=True)),
            title="Exclusive or in time",
            x="nats",
            reading="Only every third bit can be known, and only by remembering the two before it.",
        ),
        bars(
            {f"letter {place}": loss for place, loss in enumerate(letters, start=1)} | summaries,
            title="Letters into words",
            x="nats",
            reading="The error rises where a word begins and falls inside it: it marks the borders of words that the "
            "stream, which has no spaces, does not.",
        ),
    ]
    control = mean < entropy and min(xor[:2]) > 0.95 * math.log(2)
    return Findings(held_xor and held_words, control, words, figures, {"xor": xor, "letters": letters})


def _losses(model: RecurrentNet, tokens: torch.Tensor) -> torch.Tensor:
    """Of every token but the first, given those before it, in nats: tokens (B, T + 1) -> (B, T)."""
    return F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")


def _xor(setting: Setting, steps: int) -> np.ndarray:
    def bits(step: int, batch: int) -> torch.Tensor:
        rows = [temporal_xor(STEPS + 1, setting.draw(step) * 1000 + row) for row in range(batch)]
        return torch.from_numpy(np.stack(rows))

    model, _ = learn(
        setting,
        partial(RecurrentNet, "elman", 2, 16, 2),
        Drawn(steps, lambda model, step: _losses(model, bits(step, 16)).mean()),
        1e-2,
    )
    with torch.no_grad():
        each = _losses(model, bits(TEST, 200)).mean(0).numpy()[2:]  # from the fourth bit on: a first bit
    return np.array([each[place::3].mean() for place in range(3)])


def _letters(setting: Setting, steps: int) -> tuple[np.ndarray, float]:
    """Mean nats by a letter's place in its word, and of all letters."""
    codes = {letter: index for index, letter in enumerate(LETTERS)}

    def draw(step: int, batch: int) -> tuple[torch.Tensor, np.ndarray]:
        random = np.random.default_rng(setting.draw(step))
        rows, places = [], []
        for _ in range(batch):
            chosen = [WORDS[index] for index in random.integers(0, len(WORDS), STEPS)]
            rows.append([codes[letter] for word in chosen for letter in word][: STEPS + 1])
            places.append([place for word in chosen for place in range(len(word))][: STEPS + 1])
        return torch.tensor(rows), np.array(places)

    model, _ = learn(
        setting,
        partial(RecurrentNet, "elman", len(LETTERS), 32, len(LETTERS)),
        Drawn(steps, lambda model, step: _losses(model, draw(step, 16)[0]).mean()),
        5e-3,
    )
    tokens, places = draw(TEST, 200)
    with torch.no_grad():
        each = _losses(model, tokens).numpy()
    return np.array([each[places[:, 1:] == place].mean() for place in range(max(map(len, WORDS)))]), float(each.mean())


def _entropy() -> float:
    """Of a letter of the stream, in nats."""
    counts = np.array([sum(word.count(letter) for word in WORDS) for letter in LETTERS])
    return float(-(counts / counts.sum() * np.log(counts / counts.sum())).sum())


EXPERIMENT = Experiment(
    "elman-1990",
    "A network with a context layer finds structure in time: exclusive or, and words in a stream of letters.",
    "the xor bit's loss is below half the others'; the loss inside words is below half of that at their beginnings",
    "the letters' loss is below that of their frequencies alone (the network has learnt), and that of the random bits "
    "within 5 % of guessing or above it (it does not see what it is to predict)",
    "Elman 1990, Finding structure in time",
    _run,
)

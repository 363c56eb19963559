"""Bach's chorales: Chung et al.'s table, with the next chord's notes to be predicted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.lab.drawing import bars, curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.recurrent_net import CLASSICAL, RecurrentNet
from elman.reading import read_json

LOWEST, NOTES = 21, 88  # of a piano, in MIDI numbers
SIZES = {"elman": 640, "gru": 360, "lstm": 300}  # units: about 500,000 parameters each, for Chung et al. matched theirs
# 229 chorales are soon known by heart: without dropout, a GRU of 60 units ended at 9.67 on the test set.
DROPOUTS = (0.3, 0.3, 0.5)
PAPER = {"elman": 9.10, "gru": 8.54, "lstm": 8.67}  # Chung 2014, tanh / GRU / LSTM

Pieces = tuple[Tensor, Tensor]  # rolls (N, T, 88) and lengths (N,)


def load(path: Path) -> dict[str, Pieces]:
    """The quarter-note JSON: train, valid and test, each lists of chords of MIDI numbers (−1: no note)."""
    stored = read_json(path, dict[str, list[list[list[int]]]])
    try:
        return {part: _rolls(stored[part]) for part in ("train", "valid", "test")}
    except (LookupError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}", expected="chorales: train, valid, test", got=str(error)[:80]) from None


def _rolls(pieces: list[list[list[int]]]) -> Pieces:
    lengths = torch.tensor([len(piece) for piece in pieces])
    rolls = torch.zeros(len(pieces), int(lengths.max()), NOTES)
    for number, piece in enumerate(pieces):
        for step, chord in enumerate(piece):
            for note in chord:
                if note >= 0:
                    rolls[number, step, note - LOWEST] = 1
    return rolls, lengths


def _mean(each: Tensor, lengths: Tensor) -> Tensor:
    """The mean over all chords of a loss of each note (N, T, 88), which is summed over the notes of a chord."""
    return each.sum(-1)[torch.arange(each.shape[1]) < lengths[:, None]].mean()


def _loss(model: nn.Module, part: Pieces, rows: Tensor | slice = slice(None)) -> Tensor:
    """Mean negative log-likelihood of a chord, in nats: each note is on or off, given all chords before."""
    rolls, lengths = part[0][rows], part[1][rows]
    rolls = rolls[:, : int(lengths.max())]
    before = F.pad(rolls, (0, 0, 1, 0))[:, :-1]  # the first chord is predicted too
    return _mean(F.binary_cross_entropy_with_logits(model(before), rolls, reduction="none"), lengths)


def _frequencies(parts: dict[str, Pieces]) -> float:
    """The test loss of a model without any memory: how often each note sounds in the training set."""
    (train, counts), (test, lengths) = parts["train"], parts["test"]
    odds = (train.sum((0, 1)) + 0.5) / (counts.sum() + 1)
    return _mean(F.binary_cross_entropy(odds.expand_as(test), test, reduction="none"), lengths).item()


def _run(setting: Setting, steps: int | None = None) -> Findings:
    assert setting.data is not None
    parts = load(setting.data)
    steps = steps or (800 if setting.quick else 3000)
    every = max(1, steps // 20)
    found = {cell: _trained(part, cell, parts, steps, every) for cell, part in setting.each("jsb", CLASSICAL)}
    tests, validated = {cell: test for cell, (test, _) in found.items()}, {cell: c for cell, (_, c) in found.items()}
    frequent = _frequencies(parts)
    here = {f"{cell}, here": loss for cell, loss in tests.items()} | {"frequencies alone": frequent}
    there = {f"{cell}, Chung 2014": loss for cell, loss in PAPER.items()}
    axes = {"x": "steps", "y": "nats a chord"}
    figures = [
        curves(range(every, steps + 1, every), validated, "The best weights are tested.", title="Validation", **axes),
        bars(here | there, "Lower is better.", title="Test, beside the paper", x="nats a chord"),
    ]
    words = [f"{cell}: {tests[cell]:.2f} nats a chord on the test set; Chung 2014: {PAPER[cell]:.2f}" for cell in tests]
    words.append(f"the frequencies of the notes alone: {frequent:.2f}")
    words.append("Bai 2018: 8.91 tanh, 8.43 GRU, 8.45 LSTM, 8.10 TCN")
    met, control = max(tests["gru"], tests["lstm"]) < tests["elman"], max(tests.values()) < frequent
    return Findings(met, control, words, figures, {"test": tests, "paper": PAPER, "frequencies": frequent})


def _trained(
    setting: Setting, cell: str, parts: dict[str, Pieces], steps: int, every: int
) -> tuple[float, list[float]]:
    """The loss on the test set, and the validation losses after every so many steps."""
    random, curve = torch.Generator().manual_seed(setting.seed), list[float]()

    def loss(model: nn.Module, step: int) -> Tensor:
        return _loss(model, parts["train"], torch.randint(0, len(parts["train"][1]), (16,), generator=random))

    def valid(model: nn.Module) -> float:
        curve.append(_loss(model, parts["valid"]).item())
        return curve[-1]

    make = partial(RecurrentNet, cell, NOTES, SIZES[cell], NOTES, dropouts=DROPOUTS)
    model, _ = learn(setting, make, Drawn(steps, loss, valid), 5e-3, validate_every=every)
    with torch.no_grad():
        return _loss(model.eval(), parts["test"]).item(), curve


EXPERIMENT = Experiment(
    "jsb",
    "On polyphonic music gated cells beat the tanh cell of as many parameters.",
    "GRU and LSTM have a lower test loss than Elman's network",
    "all three have a lower test loss than the notes' frequencies alone",
    "Chung, Gulcehre, Cho & Bengio 2014, table 2",
    _run,
    "jsb-chorales-quarter.json",
)

"""MNIST-1D: digits as series of 40 numbers, where the order matters."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.lab.drawing import bars
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.nn import GRU
from elman.wording import percent

PAPER = {"logistic": 0.32, "MLP": 0.68, "GRU": 0.91, "CNN": 0.94, "GRU, shuffled": 0.57}
GUESSING = 0.1  # ten classes

Rows = tuple[Tensor, Tensor]  # series (N, T) and labels (N,)


class DigitClassifier(nn.Module):
    """A bidirectional GRU, its outputs' mean and its last: x (B, T) -> logits (B, 10)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layer = GRU(1, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(4 * hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, from a fresh state."""
        outputs, final = self.layer(x[..., None])[:2]
        return self.out(torch.cat((outputs.mean(1), final.transpose(0, 1).flatten(1)), 1))


def load(path: Path) -> tuple[Rows, Rows]:
    """The training set and the test set."""
    try:
        with np.load(path) as file:
            x, y, x_test, y_test = (torch.from_numpy(file[name]) for name in ("x", "y", "x_test", "y_test"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}", expected="an .npz with x, y, x_test, y_test", got=str(error)[:80]) from None
    return (x.float(), y.long()), (x_test.float(), y_test.long())


def _run(setting: Setting, steps: int | None = None) -> Findings:
    assert setting.data is not None
    train, test = load(setting.data)
    steps, T = steps or (800 if setting.quick else 5000), train[0].shape[1]
    shuffled = torch.randperm(T, generator=torch.Generator().manual_seed(setting.seed))
    orders = {"GRU": torch.arange(T), "GRU, shuffled": shuffled}
    right = {name: _accuracy(part, train, test, orders[name], steps) for name, part in setting.each("mnist1d", orders)}
    shares = {f"{name}, here": share for name, share in right.items()}
    shares |= {f"{name}, paper": share for name, share in PAPER.items()}
    reading = "A model that uses the order does worse when all series are shuffled in the same way."
    figure = bars(shares, reading, title="Accuracy on the test set", x="share of right answers", limit=1.0)
    words = [f"{name}: {percent(share, 1)}; paper: {percent(PAPER[name])}" for name, share in right.items()]
    met = right["GRU"] >= 0.91 and right["GRU"] > right["GRU, shuffled"] + 0.1
    return Findings(met, right["GRU, shuffled"] > 2 * GUESSING, words, [figure], right)


def _accuracy(setting: Setting, train: Rows, test: Rows, order: Tensor, steps: int) -> float:
    """The accuracy on the test set of a model that reads every series in this order."""

    def loss(model: DigitClassifier, step: int) -> Tensor:
        rows = torch.randint(0, len(train[1]), (100,))
        return F.cross_entropy(model(train[0][rows][:, order]), train[1][rows])

    model, _ = learn(setting, lambda: DigitClassifier(64), Drawn(steps, loss), 5e-3)
    with torch.no_grad():
        return float((model(test[0][:, order]).argmax(-1) == test[1]).float().mean())


EXPERIMENT = Experiment(
    "mnist1d",
    "A recurrent network reads series whose order carries the meaning, and does worse when they are shuffled.",
    "the GRU is right in 91 % of the test set, and in a tenth more than on shuffled series",
    "on shuffled series the GRU learns, too: it is right in 20 %, where guessing is 10 %",
    "Greydanus & Kobak 2024, Scaling down deep learning with MNIST-1D",
    _run,
    "mnist1d.npz",
)

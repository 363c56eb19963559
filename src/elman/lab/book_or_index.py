"""The book or the index: to find one of many facts, a state must have kept them all, attention looks it up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import COLOURS, Reader, fit_sequence
from elman.nn.transformer import TransformerLayer
from elman.report import Line, line_chart

KEYS, VALUES, H = 32, 8, 64
EASY = 0.9  # of two facts, that each must have right, or its failing with more would show nothing
GROWS = (0.4, 0.8)  # of the training: from when to when the facts become more


class Index(nn.Module):
    """Embedded facts and the question, one layer of attention: (B, T, D) -> (B, T, O)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, H)
        self.layer = TransformerLayer(H, 4, 2 * H, dropout=0.0, qk_norm=False)
        self.norm, self.out = nn.LayerNorm(H), nn.Linear(H, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """All at once."""
        empty = x.new_zeros(len(x), 4, 0, H // 4)
        return self.out(self.norm(self.layer(self.read(x), empty, empty, rotation=None, mask=None)[0]))


def facts(batch: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` facts, each a key with its value, then a key to be answered: (B, count + 1, D) and values (B,)."""
    random = np.random.default_rng(seed)
    keys = np.argsort(random.random((batch, KEYS)), axis=1)[:, :count]
    values = random.integers(0, VALUES, (batch, count))
    asked, rows = random.integers(0, count, batch), np.arange(batch)
    x = np.zeros((batch, count + 1, KEYS + VALUES), np.float32)
    places = np.arange(count)
    x[rows[:, None], places, keys] = 1
    x[rows[:, None], places, KEYS + values] = 1
    x[rows, count, keys[rows, asked]] = 1
    return torch.from_numpy(x), torch.from_numpy(values[rows, asked])


def drawn(counts: Sequence[int], done: float, random: np.random.Generator) -> int:
    """How many facts a batch has: the fewest to begin with, later as many as any, the fewer more often.

    A recurrent network that is shown many facts from the beginning never learns what a fact is: its loss stays at
    guessing among the values it has read.
    """
    reached = 1 + round(np.interp(done, GROWS, (0, len(counts) - 1)))
    return counts[int(reached * random.random() ** 1.5)]


def _run(setting: Setting, steps: int | None = None) -> Findings:
    counts = (2, 4, 8, 16, 24) if setting.quick else (2, 4, 8, 16, 32)
    recurrent, attending = (steps, steps) if steps else (3000, 600) if setting.quick else (12_000, 3000)
    plans = {"gru": (recurrent, 2e-2, 128), "lstm": (recurrent, 2e-2, 128), "transformer": (attending, 5e-3, 64)}
    right: dict[str, list[float]] = {}
    for index, (name, (many, rate, batch)) in enumerate(plans.items()):
        torch.manual_seed(setting.seed)
        random = np.random.default_rng(setting.seed)
        size = KEYS + VALUES
        model = Index(size, VALUES) if name == "transformer" else Reader(name, size, H, VALUES)

        def loss(
            step: int,
            model: nn.Module = model,
            many: int = many,
            batch: int = batch,
            random: np.random.Generator = random,
        ) -> Tensor:
            count = drawn(counts, step / many, random)
            x, y = facts(batch, count, setting.seed * 10**6 + step)
            return F.cross_entropy(model(x)[:, -1], y)

        def report(done: float, index: int = index, name: str = name) -> None:
            setting.progress(f"book or index: {name}", (index + done) / len(plans))

        fit_sequence(model, loss, many, rate=rate, progress=report)
        right[name] = [_accuracy(model, count, setting.seed * 10**6 + 999_999) for count in counts]
    figure = line_chart(
        [Line(name, np.array(counts), np.array(values), colour=COLOURS[name]) for name, values in right.items()],
        title="Questions answered rightly",
        x="facts read before the question",
        y="accuracy",
        y_span=(0.0, 1.0),
        wide=True,
        reading=f"All have {H} units; guessing is {1 / VALUES:.3f}. A recurrent state reads the whole book and must "
        "keep every fact, attention keeps the book and looks one up.",
    )
    words = [
        f"{name}: " + ", ".join(f"{v:.1%} of {n} facts" for n, v in zip(counts, values, strict=True))
        for name, values in right.items()
    ]
    most = {name: values[-1] for name, values in right.items()}
    met = most["transformer"] > 0.95 and max(most["gru"], most["lstm"]) < most["transformer"] - 0.1
    return Findings(
        met, min(values[0] for values in right.values()) >= EASY, words, [figure], {"facts": counts, "accuracy": right}
    )


@torch.no_grad()
def _accuracy(model: nn.Module, count: int, seed: int) -> float:
    x, y = facts(1000, count, seed)
    return float((model(x)[:, -1].argmax(-1) == y).float().mean())


EXPERIMENT = Experiment(
    "book-or-index",
    "To answer a question about many facts, attending to them beats having read them into a state.",
    "with the most facts attention is right in 95 %, and each recurrent cell in a tenth less",
    f"with two facts all three are right in {EASY:.0%}",
    "Bahdanau, Cho & Bengio 2015; Graves et al. 2014; Arora et al. 2024 on recall",
    _run,
)

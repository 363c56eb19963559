"""What attention gives: a way round the bottleneck of one vector, and an index of facts that no state need keep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.lab.drawing import curves, in_words
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.memory_tasks import TESTED, accuracy, cross_entropy
from elman.lab.recurrent_net import RecurrentNet
from elman.models import RecurrentEncoderDecoder
from elman.nn.transformer import TransformerLayer
from elman.wording import percent

ATTENTION = {"without attention": "none", "with attention": "general"}
V = 13  # symbols 1 ... 12; 0 begins the answer, and is padding
KEYS, VALUES, H = 32, 8, 64
EASY = 0.9  # the accuracy that each model must have on two facts, or its failure on more would show nothing
GROWS = (0.4, 0.8)  # the part of the training in which the number of facts grows


def sentences(batch: int, shortest: int, longest: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random sentences of symbols (B, S), padded, and their lengths (B,)."""
    random = np.random.default_rng(seed)
    lengths = random.integers(shortest, longest + 1, batch)
    symbols = random.integers(1, V, (batch, longest))
    symbols[np.arange(longest) >= lengths[:, None]] = 0
    return torch.from_numpy(symbols), torch.from_numpy(lengths)


def predict(model: RecurrentEncoderDecoder, source: Tensor, lengths: Tensor) -> Tensor:
    """Logits (B, S, V) of the sentence itself as the answer, each symbol given the right ones before it."""
    return model(F.pad(source, (1, 0))[:, :-1], model.encode(source, lengths))[0]


def _bottleneck(setting: Setting, steps: int | None = None) -> Findings:
    longest = 20 if setting.quick else 40
    steps = steps or (600 if setting.quick else 4000)
    lengths = range(2, longest + 1, 3)

    def loss(model: RecurrentEncoderDecoder, step: int) -> Tensor:
        source, sizes = sentences(64, 2, longest, setting.batch_seed(step))
        return F.cross_entropy(predict(model, source, sizes).flatten(0, 1), source.flatten(), ignore_index=0)

    @torch.no_grad()
    def share_right(model: RecurrentEncoderDecoder, length: int) -> float:
        source, sizes = sentences(200, length, length, setting.batch_seed(TEST - 999 + length))
        return float((predict(model, source, sizes).argmax(-1) == source).float().mean())

    right: dict[str, list[float]] = {}
    for (name, kind), part in setting.each("bottleneck", ATTENTION.items()):
        make = partial(
            RecurrentEncoderDecoder, "gru", V, V, hidden_size=48, bidirectional=False, bridge="copy", attention=kind
        )
        model, _ = learn(part, make, Drawn(steps, loss), 5e-3)
        right[name] = [share_right(model, length) for length in lengths]
    reading = "Both have the same encoder; without attention the decoder knows only the encoder's last state."
    figure = curves(lengths, right, reading, title="Symbols repeated rightly", x="sentence length")
    falls = {name: values[0] - values[-1] for name, values in right.items()}
    met = falls["without attention"] > falls["with attention"] + 0.1
    control = all(values[0] >= 0.95 for values in right.values())
    words = [
        f"{name}: {percent(values[0], 1)} at length {lengths[0]}, {percent(values[-1], 1)} at length {lengths[-1]}"
        for name, values in right.items()
    ]
    return Findings(met, control, words, [figure], {"lengths": list(lengths), "accuracy": right})


class AttentionNet(nn.Module):
    """Embedded facts and the question, one layer of attention: (B, T, D) -> (B, T, O)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, H)
        self.layer = TransformerLayer(H, 4, 2 * H, dropout=0.0, qk_norm=False)
        self.norm, self.out = nn.LayerNorm(H), nn.Linear(H, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at every step."""
        return self.out(self.norm(self.layer(self.read(x))[0]))


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
    """The number of facts of a batch: at first the least of `counts`, later any of them, small ones more often.

    A recurrent network that is shown many facts from the beginning never learns what a fact is: its loss stays at
    guessing among the values that it has read.
    """
    reached = 1 + round(np.interp(done, GROWS, (0, len(counts) - 1)))
    return counts[int(reached * random.random() ** 1.5)]


def _book_or_index(setting: Setting, steps: int | None = None) -> Findings:
    counts = (2, 4, 8, 16, 24) if setting.quick else (2, 4, 8, 16, 32)
    recurrent, attending = (steps, steps) if steps else (3000, 600) if setting.quick else (12_000, 3000)
    trainings = {"gru": (recurrent, 2e-2, 128), "lstm": (recurrent, 2e-2, 128), "transformer": (attending, 5e-3, 64)}
    right = {
        name: _accuracies(part, name, counts, *trainings[name])
        for name, part in setting.each("book or index", trainings)
    }
    reading = (
        f"All have {H} units; guessing is {1 / VALUES:.3f}. A recurrent network reads the whole book and must keep "
        "every fact in its state; attention keeps the book and looks a fact up."
    )
    figure = curves(counts, right, reading, title="Questions answered rightly", x="facts read before the question")
    words = in_words(counts, right, lambda share, count: f"{percent(share, 1)} of {count} facts")
    most = {name: values[-1] for name, values in right.items()}
    met = most["transformer"] > 0.95 and max(most["gru"], most["lstm"]) < most["transformer"] - 0.1
    control = min(values[0] for values in right.values()) >= EASY
    return Findings(met, control, words, [figure], {"facts": counts, "accuracy": right})


def _accuracies(setting: Setting, name: str, counts: Sequence[int], steps: int, rate: float, batch: int) -> list[float]:
    """The accuracy on new questions, for every number of facts."""
    random, size = np.random.default_rng(setting.seed), KEYS + VALUES

    def make() -> nn.Module:
        return AttentionNet(size, VALUES) if name == "transformer" else RecurrentNet(name, size, H, VALUES)

    def loss(model: nn.Module, step: int) -> Tensor:
        x, y = facts(batch, drawn(counts, step / steps, random), setting.batch_seed(step))
        return cross_entropy(model(x), y)

    model, _ = learn(setting, make, Drawn(steps, loss), rate)
    tests = [facts(TESTED, count, setting.batch_seed(TEST)) for count in counts]
    with torch.no_grad():
        return [accuracy(model(x), y).item() for x, y in tests]


BOTTLENECK = Experiment(
    "bottleneck",
    "Without attention, quality falls with the length of a sentence; with attention, it hardly falls.",
    "from the shortest to the longest, accuracy falls by at least a tenth more without attention than with it",
    "both models are right in 95 % at the shortest length",
    "Cho et al. 2014; Bahdanau, Cho & Bengio 2015, figure 2",
    _bottleneck,
)
BOOK_OR_INDEX = Experiment(
    "book-or-index",
    "To answer a question about many facts, attending to them beats having read them into a state.",
    "with the most facts attention is right in 95 %, and each recurrent cell in a tenth less",
    f"with two facts all three models are right in {percent(EASY)}",
    "Bahdanau, Cho & Bengio 2015; Graves et al. 2014; Arora et al. 2024 on recall",
    _book_or_index,
)

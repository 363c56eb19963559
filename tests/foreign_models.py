"""Models of torch.nn as people write them, one for each task, with data for each: what `elman import` is tried on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "see"]


class Reader(nn.Module):
    """Embedding or values, a recurrent layer, a linear layer; of every step, or of the last states."""

    def __init__(self, embedding: int | None, layer: nn.RNNBase, outputs: int, whole: bool) -> None:
        super().__init__()
        D = layer.hidden_size * (1 + layer.bidirectional)
        self.embedding = None if embedding is None else nn.Embedding(embedding, layer.input_size)
        self.rnn, self.head, self.whole = layer, nn.Linear(D, outputs), whole

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = x if self.embedding is None else self.embedding(x)
        if lengths is not None:
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, state = self.rnn(x)
        if lengths is not None:
            outputs = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0]
        h = state[0] if isinstance(state, tuple) else state
        last = torch.cat((h[-2], h[-1]), 1) if self.rnn.bidirectional else h[-1]
        return self.head(last if self.whole else outputs)


@dataclass(frozen=True)
class Foreign:
    """A model of a task, with what a person knows of it beside its file."""

    task: str
    make: Callable[[], Reader]
    inputs: Callable[[], Tensor]  # (B, T) or (B, T, D), T = 7
    tokens: list[str] | None  # a vocabulary
    labels: list[str] | None
    write: Callable[[Path], Path]  # data
    steps: dict[str, str]  # settings of a training
    asked: str = ""  # a line that `elman predict` answers


def _text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text("the cat sat on a mat and " * 200, encoding="utf-8")
    return path


def _tagged(folder: Path) -> Path:
    drawn = random.Random(2)
    rows = []
    for _ in range(80):
        words = drawn.choices(WORDS, k=6)
        rows.append("".join(f"{word}\t{'B-X' if word in ('cat', 'dog') else 'O'}\n" for word in words))
    path = folder / "tags.conll"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def _labelled(folder: Path) -> Path:
    drawn = random.Random(3)
    path = folder / "labels.tsv"
    lines = []
    for _ in range(90):
        words = drawn.choices(WORDS, k=5)
        lines.append(f"{' '.join(words)}\t{'pet' if {'cat', 'dog'} & set(words) else 'none'}\n")
    path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8")
    return path


def _series(folder: Path) -> Path:
    path = folder / "series.csv"
    values = [round(float(v), 4) for v in torch.sin(torch.arange(300) / 3.0)]
    path.write_text("unique_id,ds,y\n" + "".join(f"a,{n},{v}\n" for n, v in enumerate(values)), encoding="utf-8")
    return path


def _tokens() -> Tensor:
    return torch.randint(0, 13, (3, 7), generator=torch.Generator().manual_seed(5))


VOCABULARY = ["<pad>", "<unk>", *WORDS]  # 13 tokens
FOREIGN = {
    one.task: one
    for one in (
        Foreign(
            "language-modelling", lambda: Reader(13, nn.LSTM(6, 10, 2, batch_first=True), 13, False), _tokens,
            VOCABULARY, None, _text, {"lanes": "4", "k1": "16", "learning_rate": "0.05"},
        ),
        Foreign(
            "tagging", lambda: Reader(13, nn.LSTM(6, 10, batch_first=True, bidirectional=True), 3, False), _tokens,
            VOCABULARY, ["O", "B-X", "I-X"], _tagged, {"learning_rate": "0.05"}, "the cat sat",
        ),
        Foreign(
            "classification", lambda: Reader(13, nn.GRU(6, 10, batch_first=True), 2, True), _tokens,
            VOCABULARY, ["none", "pet"], _labelled, {"learning_rate": "0.05"}, "the cat sat",
        ),
        Foreign(
            "forecasting", lambda: Reader(None, nn.RNN(1, 10, batch_first=True), 4, True),
            lambda: torch.randn(3, 7, 1, generator=torch.Generator().manual_seed(5)),
            None, None, _series, {"learning_rate": "0.05"},
        ),
    )
}  # fmt: skip

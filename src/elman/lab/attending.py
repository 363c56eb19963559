"""A small encoder and decoder, with and without attention, that repeats what it has read."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.nn import GRU
from elman.nn.alignment import Alignment, padding_mask

SYMBOLS = 12  # 1 ... 12; 0 begins the answer, and is padding


class Repeater(nn.Module):
    """Reads a sentence into one vector, and from it (with attention: from all its states too) writes it again."""

    def __init__(self, hidden: int, *, attention: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS + 1, hidden)
        self.encoder = GRU(hidden, hidden, batch_first=True)
        self.decoder = GRU(hidden, hidden, batch_first=True)
        self.alignment = Alignment("general", hidden, hidden) if attention else None
        self.out = nn.Linear(2 * hidden if attention else hidden, SYMBOLS + 1)

    def forward(self, source: Tensor, lengths: Tensor, previous: Tensor) -> Tensor:
        """source (B, S), lengths (B,), the symbols before each (B, T) -> logits (B, T, V)."""
        memory, state = self.encoder(self.embedding(source), lengths=lengths)[:2]
        hidden = self.decoder(self.embedding(previous), state)[0]
        if self.alignment is not None:
            mask = padding_mask(lengths, source.shape[1])
            context, _ = self.alignment(hidden, self.alignment.project(memory), memory, mask)
            hidden = torch.cat((hidden, context), -1)
        return self.out(hidden)


def sentences(batch: int, shortest: int, longest: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random symbols (B, S), padded, and how many of them (B,)."""
    random = np.random.default_rng(seed)
    lengths = random.integers(shortest, longest + 1, batch)
    symbols = random.integers(1, SYMBOLS + 1, (batch, longest))
    symbols[np.arange(longest) >= lengths[:, None]] = 0
    return torch.from_numpy(symbols), torch.from_numpy(lengths)


def loss(model: Repeater, source: Tensor, lengths: Tensor) -> Tensor:
    """Mean cross entropy of the sentence itself as the answer."""
    logits = model(source, lengths, F.pad(source, (1, 0))[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), source.flatten(), ignore_index=0)


@torch.no_grad()
def accuracy(model: Repeater, source: Tensor, lengths: Tensor) -> float:
    """Of symbols, each given the right ones before it."""
    found = model(source, lengths, F.pad(source, (1, 0))[:, :-1]).argmax(-1)
    return float((found == source)[source > 0].float().mean())

"""Vectors of words: from a table of words, and from the characters that each word is spelled with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.models.initialization import initialize_recurrent
from elman.nn.layers import LSTM
from elman.nn.sequences import embed

PADDING = 1  # the character behind a word's last one


class WordReader(nn.Module):
    """x_t = [E[word_t]; h(c_1 … c_n); h(c_n … c_1)]: a word's own vector, and what two LSTMs make of its characters.

    The last states of both directions (Ling et al. 2015, "Finding function in form", arXiv:1508.02096) tell words apart
    that the table does not have, which all are its word 0. Each spelling is read once, however often it occurs.
    Without a `character_size` the characters are not read.
    """

    def __init__(
        self, word_vocab_size: int, character_vocab_size: int, embedding_size: int, character_size: int
    ) -> None:
        super().__init__()
        self.output_size = embedding_size + character_size
        self.words = nn.Embedding(word_vocab_size, embedding_size)
        self.character_size = character_size
        if character_size:
            self.characters = nn.Embedding(character_vocab_size, max(1, character_size // 2))
            self.spelling = LSTM(max(1, character_size // 2), character_size // 2, bidirectional=True)
            initialize_recurrent(self.spelling, 1.0)

    def forward(self, words: Tensor, spelling: Tensor, characters: Tensor) -> Tensor:
        """Words (B, T), spelled as the rows `spelling` (B, T) of characters (U, C) -> vectors (B, T, D)."""
        x = embed(self.words, words)
        if not self.character_size:
            return x
        lengths = (characters != PADDING).sum(1)
        _, (last, _) = self.spelling(embed(self.characters, characters.t()), lengths=lengths)  # (2, U, ·)
        return torch.cat((x, F.embedding(spelling, last.transpose(0, 1).flatten(1)).to(x.dtype)), dim=-1)

"""Small encoder-decoders to search with: a table whose every probability is known, and a network with attention."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elman.models.encoder_decoder import EncoderDecoder
from elman.nn import GRU
from elman.state import State


class Table(EncoderDecoder):
    """Logits drawn at random for every source and prefix, by hashing both: a function without any structure.

    With `levels`, the logits are that many whole numbers, so that ties abound.
    """

    kind = "table"

    def __init__(self, vocab_size: int, *, seed: int = 0, levels: int | None = None) -> None:
        super().__init__()
        self.vocab_size = self.source_vocab_size = vocab_size
        self.seed, self.levels = seed, levels

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> State:
        B, S = source.shape
        lengths = torch.full((B,), S) if lengths is None else lengths
        real = torch.arange(S) < lengths[:, None]
        key = torch.full((B,), 7 + self.seed)
        for s in range(S):
            key = torch.where(real[:, s], _mix(key, source[:, s]), key)
        return Memory(key, torch.zeros(B, 1), real)

    def read(self, tokens: Tensor, state: State, *, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        key, _, real = state
        assert isinstance(key, Tensor)
        hidden = []
        for t in range(tokens.shape[1]):
            key = _mix(key, tokens[:, t])
            hidden.append(key)
        return torch.stack(hidden, 1).unsqueeze(-1), Memory(key, state[1] + tokens.shape[1], real)

    def output(self, hidden: Tensor) -> Tensor:
        x = _mix(hidden, torch.arange(self.vocab_size)) % 10_007
        if self.levels is not None:
            return (x % self.levels).double()
        return x.double() / 3000

    def read_aligned(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        real = state[2]
        hidden, after = self.read(tokens, state)
        x = _mix(hidden, torch.arange(real.shape[1])) % 10_007  # (B, T, S)
        return hidden, (x.double() / 2000).masked_fill(~real.unsqueeze(1), -torch.inf).softmax(-1), after

    def stacked_maps(self) -> dict[Tensor, int]:
        return {}


class Memory(NamedTuple):
    key: Tensor
    steps: Tensor
    real: Tensor


def _mix(key: Tensor, token: Tensor) -> Tensor:
    x = (key * 6_364_136_223 + token * 1_442_695_041 + 12_345) % 2_147_483_647
    return (x ^ (x >> 7)) * 48_271 % 2_147_483_647


class Attentive(EncoderDecoder):
    """A GRU that reads the source, another that writes the target, and dot-product attention between them."""

    kind = "attentive"

    def __init__(
        self, source_vocab_size: int, vocab_size: int, *, hidden_size: int = 8, attention: bool = True
    ) -> None:
        super().__init__()
        self.source_vocab_size, self.vocab_size = source_vocab_size, vocab_size
        self.hidden_size, self.attention = hidden_size, attention
        H = hidden_size
        self.source_embedding, self.target_embedding = nn.Embedding(source_vocab_size, H), nn.Embedding(vocab_size, H)
        self.encoder, self.decoder = GRU(H, H), GRU(H, H)
        self.join, self.logits = nn.Linear(2 * H, H), nn.Linear(H, vocab_size)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> State:
        B, S = source.shape
        lengths = torch.full((B,), S) if lengths is None else lengths
        outputs, h = self.encoder(self.source_embedding(source.t()), lengths=lengths)
        return Encoded(h[0], outputs.transpose(0, 1), torch.arange(S) < lengths[:, None])

    def read(self, tokens: Tensor, state: Any, *, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        hidden, _, after = self._read(tokens, state, lengths)
        return hidden, after

    def read_aligned(self, tokens: Tensor, state: Any) -> tuple[Tensor, Tensor | None, State]:
        return self._read(tokens, state, None)

    def _read(self, tokens: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, State]:
        outputs, h = self.decoder(self.target_embedding(tokens.t()), state.h[None], lengths=lengths)
        outputs = outputs.transpose(0, 1)  # (B, T, H)
        weights = self._weights(outputs, state) if self.attention else None
        context = torch.zeros_like(outputs) if weights is None else weights @ state.source
        return torch.tanh(self.join(torch.cat((outputs, context), -1))), weights, state._replace(h=h[0])

    def output(self, hidden: Tensor) -> Tensor:
        return self.logits(hidden)

    def _weights(self, outputs: Tensor, state: Any) -> Tensor:
        energies = outputs @ state.source.transpose(1, 2)  # (B, T, S)
        return energies.masked_fill(~state.real.unsqueeze(1), -torch.inf).softmax(-1)

    def stacked_maps(self) -> dict[Tensor, int]:
        return {}


class Encoded(NamedTuple):
    h: Tensor  # (B, H)
    source: Tensor  # (B, S, H)
    real: Tensor  # (B, S)

"""A Transformer decoder as a language model, its key/value cache being its memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from elman.models.configuration import TransformerSettings
from elman.models.constructor import checked, configure, spelled_by
from elman.models.language_model import LanguageModel
from elman.nn.attention import causal_mask
from elman.nn.dropout import Dropout
from elman.nn.positions import rotary, sinusoidal, step_positions
from elman.nn.sequences import Flags, Integers, as_lengths, as_resets, as_tokens, embed
from elman.nn.transformer import TransformerLayer
from elman.state import Side, State


class TransformerState(NamedTuple):
    """What a Transformer remembers: each layer's keys and values, and where each row stands.

    The cache is right-aligned: the newest entry is the last, and only a row's last min(position, C) entries
    are its own.
    """

    keys: tuple[Tensor, ...]  # a layer: (B, N, C, H/N)
    values: tuple[Tensor, ...]  # a layer: (B, N, C, H/N)
    position: Tensor  # (B,) int64, the steps read since the row's last reset

    @property
    def padding(self) -> dict[str, Side]:
        """Where `elman.state` pads a shorter cache."""
        return {"keys": "left", "values": "left"}


class TransformerLM(LanguageModel):
    """A pre-norm, causal Transformer decoder.

        x_0 = E[token]  (+ sinusoidal position)
        x_l = layer_l(x_{l−1})                                     l = 1 … num_layers
        logits = W norm(x_L) + b                                   W = E if `tied`

    With `window` W, a step attends to itself and the W−1 steps before it, and the memory is bounded by W−1
    entries a layer (what a step knows reaches back further, through the layers: num_layers · (W−1) steps).
    Without it the memory grows by an entry a step. Training carries the memory from one window of truncated
    BPTT to the next, detached: Dai et al. 2019, "Transformer-XL".

    Vaswani et al. 2017, "Attention is all you need"; see `Attention`, `TransformerLayer` and
    `elman.nn.positions` for the parts. Raises `UserError` where sizes do not fit each other.
    """

    step_by_step = False

    settings: TransformerSettings

    @spelled_by(TransformerSettings)
    def __init__(self, vocab_size: int, **settings: Any) -> None:
        super().__init__()
        self.vocab_size = checked(vocab_size, int, "vocab_size")
        own = configure(self, "transformer", TransformerSettings, settings)

        H, inner = own.hidden_size, cast(int, own.feedforward_size)
        self.embedding = nn.Embedding(self.vocab_size, H)
        self.embedding_dropout = Dropout(own.dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(H, own.num_heads, inner, dropout=own.dropout, qk_norm=own.qk_norm)
            for _ in range(own.num_layers)
        )
        self.norm = nn.LayerNorm(H)
        self.decoder = nn.Linear(H, self.vocab_size)
        if own.tied:
            self.decoder.weight = self.embedding.weight
        # What `decoder` reads is normalised, so its logits begin with unit variance. The embeddings are as small
        # even where they are not tied to it, lest they drown what the layers add to them.
        for matrix in (self.embedding.weight, self.decoder.weight):
            nn.init.normal_(matrix, std=H**-0.5)
        nn.init.zeros_(self.decoder.bias)

    @property
    def reach(self) -> int | None:
        """num_layers · (window − 1): each layer looks at the window before. None: unbounded, or positions tell."""
        if self.window is None or self.positions != "rotary":
            return None
        return self.num_layers * (self.window - 1)

    def initial_state(self, batch_size: int) -> TransformerState:
        """An empty cache, and position 0."""
        weight = self.embedding.weight
        empty = weight.new_zeros(batch_size, self.num_heads, 0, self.hidden_size // self.num_heads)
        entries = (empty,) * self.num_layers
        return TransformerState(entries, entries, weight.new_zeros(batch_size, dtype=torch.int64))

    def read(
        self,
        tokens: Integers,
        state: State | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
    ) -> tuple[Tensor, TransformerState]:
        """tokens (B, T) -> normalised hidden states (B, T, H), and the memory after them."""
        tokens = as_tokens(tokens, self)
        B, T = tokens.shape
        lengths = None if lengths is None else as_lengths(lengths, B, T, tokens.device)
        resets = None if resets is None else as_resets(resets, B, T, tokens.device)
        memory = self.initial_state(B) if state is None else cast(TransformerState, state)
        cached = memory.keys[0].shape[2]
        positions = step_positions(memory.position, T, resets)  # (B, T)
        plainly_causal = cached == 0 and resets is None and (self.window is None or self.window >= T)
        mask = None if plainly_causal else causal_mask(positions, cached, self.window)

        x = embed(self.embedding, tokens)  # (B, T, H)
        rotation = None
        if self.positions == "sinusoidal":
            x = x + sinusoidal(positions, self.hidden_size).to(x.dtype)
        else:
            rotation = rotary(positions, self.hidden_size // self.num_heads, x.dtype)
        x = self.embedding_dropout(x)

        size = cached + T if self.window is None else min(cached + T, self.window - 1)
        padding = None if lengths is None else T - lengths
        kept_keys, kept_values = [], []
        for layer, keys, values in zip(self.layers, memory.keys, memory.values, strict=True):
            x, keys, values = layer(x, keys, values, rotation=rotation, mask=mask)
            kept_keys.append(latest(keys, size, padding))
            kept_values.append(latest(values, size, padding))

        after = torch.cat((memory.position[:, None], positions + 1), dim=1)  # (B, T+1): after so many steps
        position = after[:, -1] if lengths is None else after.gather(1, lengths[:, None])[:, 0]
        return self.norm(x), TransformerState(tuple(kept_keys), tuple(kept_values), position)

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer; queries, keys and values come from three in one."""
        layers = cast(Iterable[TransformerLayer], self.layers)
        return {p: 1 for layer in layers for p in layer.parameters() if p.dim() == 2} | {
            layer.attention.qkv.weight: 3 for layer in layers
        }


def latest(entries: Tensor, size: int, padding: Tensor | None) -> Tensor:
    """The last `size` of the entries (B, N, S, D) that come before a row's `padding` (B,) last ones."""
    S = entries.shape[2]
    if padding is None:
        return entries[:, :, S - size :]
    index = torch.arange(S - size, S, device=entries.device) - padding[:, None]  # (B, size)
    # Below 0 there is nothing to remember: whatever stands there is beyond the row's position.
    index = index.clamp(min=0)[:, None, :, None].expand(-1, entries.shape[1], -1, entries.shape[3])
    return entries.gather(2, index)

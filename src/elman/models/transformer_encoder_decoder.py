"""The Transformer of its first description: an encoder, and a decoder that attends to its outputs."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.kernels.attention.backends import with_mask
from elman.kernels.attention.sight import Sight, step_positions
from elman.models.configuration import TransformerTranslatorSettings
from elman.models.constructor import configure, spelled_by
from elman.models.encoder_decoder import EncoderDecoder
from elman.models.steps import Steps
from elman.models.transformer import (
    DecodingParts,
    make_layers,
    make_room,
    maps_of,
    once_if_equal,
    read_transformer_layers,
)
from elman.nn.attention import SourceMemory
from elman.nn.dropout import Dropout
from elman.nn.positions import sinusoidal
from elman.nn.sequences import Integers, Lengths, as_batch, embed
from elman.nn.transformer import TransformerLayer
from elman.state import State


class TransformerMemory(NamedTuple):
    """The state of a Transformer decoder: its own keys and values, and those of the source.

    Its own lie in slots, as in `TransformerState`: the row's entries are the first `position` ones.
    """

    keys: tuple[Tensor, ...]  # a layer: (B, N, C, H/N)
    values: tuple[Tensor, ...]
    position: Tensor  # (B,) int64, target tokens read
    source_keys: tuple[Tensor, ...]  # a layer: (B, N, S, H/N), projected once
    source_values: tuple[Tensor, ...]
    lengths: Tensor  # (B,) of the sources

    @property
    def stepwise(self) -> tuple[str, ...]:
        """What `elman.state` pads of a shorter memory and a shorter source."""
        return "keys", "values", "source_keys", "source_values"

    @property
    def shared(self) -> tuple[str, ...]:
        """What depends on the source alone, for `elman.state`."""
        return "source_keys", "source_values", "lengths"


class TransformerEncoderDecoder(EncoderDecoder):
    """Attention only: Vaswani et al. 2017, "Attention is all you need".

        m   = encoder(√H E_s[source] + position)
        x_0 = √H E_t[token] + position
        x_l = layer_l(x_{l−1}, m)          causal attention, attention to m, feedforward; l = 1 … decoder_layers
        logits = W norm(x_L) + b           W = E_t if `tied`; with `joint`, E_s = E_t too (three-way)

    `norm` is `pre` or `post` (see `TransformerLayer`), and `positions` are sinusoidal or learned; with learned ones, no
    sequence may be longer than `max_positions`. Raises `UserError` where sizes do not fit each other.

    >>> model = TransformerEncoderDecoder(9, 7, hidden_size=8, num_heads=2, encoder_layers=1, decoder_layers=1)
    >>> logits, state = model([[0, 1]], model.encode([[3, 4, 5, 0]]))
    >>> logits.shape, state.source_keys[0].shape
    (torch.Size([1, 2, 7]), torch.Size([1, 2, 4, 4]))
    """

    settings: TransformerTranslatorSettings

    @spelled_by(TransformerTranslatorSettings)
    def __init__(self, source_vocab_size: int, vocab_size: int, *, joint: bool = False, **settings: Any) -> None:
        super().__init__()
        self._take_vocabularies(source_vocab_size, vocab_size, joint)
        own = configure(self, "transformer", TransformerTranslatorSettings, settings)

        H = own.hidden_size
        self.source_embedding = nn.Embedding(self.source_vocab_size, H)
        self.target_embedding = self.source_embedding if joint else nn.Embedding(self.vocab_size, H)
        self.embedding_dropout = Dropout(own.dropout)
        if own.positions == "learned":
            self.position_embedding = nn.Embedding(own.max_positions, H)
            nn.init.normal_(self.position_embedding.weight, std=1.0)
        self.encoder = make_layers(own, own.encoder_layers, norm=own.norm)
        self.decoder = make_layers(own, own.decoder_layers, norm=own.norm, cross=True)
        # The outputs of post-norm layers are normalised already.
        self.encoder_norm = nn.LayerNorm(H) if own.norm == "pre" else nn.Identity()
        self.decoder_norm = nn.LayerNorm(H) if own.norm == "pre" else nn.Identity()
        self.output_layer = nn.Linear(H, self.vocab_size)
        if own.tied:
            self.output_layer.weight = self.target_embedding.weight
        matrices = (self.source_embedding.weight, self.target_embedding.weight, self.output_layer.weight)
        for matrix in dict.fromkeys(matrices):  # the order of a set would differ from process to process
            nn.init.normal_(matrix, std=H**-0.5)
        nn.init.zeros_(self.output_layer.bias)

    @property
    def longest(self) -> int | None:
        """The number of learned positions, which is the most tokens of a source or a target."""
        return self.max_positions if self.positions == "learned" else None

    def encode(self, source: Integers, lengths: Lengths = None) -> TransformerMemory:
        """source (B, S) -> the decoder's state before the first target token."""
        padded = lengths is not None
        source, lengths = self._take_source(source, lengths)
        B, S = source.shape
        x = self._embed(self.source_embedding, source, torch.arange(S, device=source.device))
        sight = with_mask(Sight(causal=False, lengths=lengths if padded else None), S, 0, x.dtype)
        for layer in self.encoder:
            x, _ = layer(x, sight=sight)
        x = self.encoder_norm(x)
        projected = [cast(TransformerLayer, layer).project(x) for layer in self.decoder]
        keys, values = zip(*projected, strict=True)
        nothing = (x.new_zeros(B, self.num_heads, 0, self.hidden_size // self.num_heads),) * self.decoder_layers
        position = torch.zeros(B, dtype=torch.int64, device=source.device)
        return TransformerMemory(nothing, nothing, position, keys, values, lengths)

    def read(self, tokens: Integers, state: State, *, lengths: Lengths = None) -> tuple[Tensor, TransformerMemory]:
        """Target tokens (B, T) -> normalised hidden states (B, T, H) and the state after them."""
        return self._decode(tokens, cast(TransformerMemory, state), lengths)

    def advance(self, tokens: Integers, state: State) -> tuple[Tensor, TransformerMemory]:
        """As `read`, in the memory of `state` itself where the backend can."""
        tokens, _, _ = as_batch(self, tokens, None)
        memory, in_place = make_room(cast(TransformerMemory, state), tokens.shape[1])
        return self._decode(tokens, memory, None, in_place=in_place)

    def enter(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, None]:
        """Target tokens (B, T) at positions (B, T) -> inputs of the decoder's first layer (B, T, H)."""
        return self._embed(self.target_embedding, tokens, once_if_equal(positions)), None

    @property
    def decoding(self) -> DecodingParts:
        """The decoder's layers, and the norm and the matrix after them."""
        return DecodingParts(self.decoder, self.decoder_norm, self.output_layer)

    def steps(self, state: State) -> Steps:
        """As of every model, by one call of the core a token where that is possible."""
        from elman.models.transformer_steps import steps_of

        return steps_of(self, state)

    def read_aligned(self, tokens: Integers, state: State) -> tuple[Tensor, Tensor, TransformerMemory]:
        """The hidden states of `read`, the attention (B, T, S) to the source (mean of all heads), and the state."""
        attentions: list[Tensor] = []
        hidden, after = self._decode(tokens, cast(TransformerMemory, state), None, attentions)
        return hidden, torch.stack(attentions).mean(dim=(0, 2)), after

    def cross_attentions(self, tokens: Integers, state: State) -> list[Tensor]:
        """The attention of each layer and head to the source: (B, N, T, S) a layer."""
        attentions: list[Tensor] = []
        self._decode(tokens, cast(TransformerMemory, state), None, attentions)
        return attentions

    def _decode(
        self,
        tokens: Integers,
        memory: TransformerMemory,
        lengths: Lengths,
        attentions: list[Tensor] | None = None,
        *,
        in_place: bool = False,
    ) -> tuple[Tensor, TransformerMemory]:
        tokens, lengths, _ = as_batch(self, tokens, lengths)
        T, slots = tokens.shape[1], memory.keys[0].shape[2]
        x = self.enter(tokens, step_positions(memory.position, T))[0]  # (B, T, H)
        S = memory.source_keys[0].shape[2]
        of_source = with_mask(Sight(causal=False, lengths=memory.lengths), T, 0, x.dtype, S)
        projected = zip(memory.source_keys, memory.source_values, strict=True)
        x, keys, values = read_transformer_layers(
            self.decoder,
            x,
            memory.keys,
            memory.values,
            with_mask(Sight(position=memory.position, lengths=lengths), T, slots, x.dtype),
            sources=[SourceMemory(*source, of_source) for source in projected],
            attentions=attentions,
            in_place=in_place,
        )
        position = memory.position + (T if lengths is None else lengths)
        return self.decoder_norm(x), memory._replace(keys=keys, values=values, position=position)

    def _embed(self, embedding: nn.Module, tokens: Tensor, positions: Tensor) -> Tensor:
        """tokens (B, T) at positions (T,) or (B, T) -> embeddings plus positions (B, T, H), of about unit variance."""
        x = embed(embedding, tokens) * self.hidden_size**0.5
        if self.positions == "learned":
            if positions.numel() and int(positions.max()) >= self.max_positions:
                longest = int(positions.max()) + 1
                raise UserError("a sequence is too long", expected=f"at most {self.max_positions} tokens", got=longest)
            place = self.position_embedding(positions)
        else:
            place = sinusoidal(positions, self.hidden_size).to(x.dtype)
        return self.embedding_dropout(x + place)

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer."""
        return maps_of((*self.encoder, *self.decoder))

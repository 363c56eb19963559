"""A Transformer decoder as a language model, whose memory is its key/value cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.attention.backends import choose, with_mask
from elman.kernels.attention.seam import Memory, Rotation
from elman.kernels.attention.sight import Sight, from_right_aligned, slots_needed, step_positions
from elman.models.configuration import (
    TransformerEncoderSettings,
    TransformerSettings,
    TransformerTranslatorSettings,
)
from elman.models.constructor import checked, configure, spelled_by
from elman.models.language_model import LanguageModel
from elman.models.steps import Steps
from elman.nn.attention import SourceMemory
from elman.nn.dropout import Dropout
from elman.nn.positions import rotary, sinusoidal
from elman.nn.sequences import Integers, Lengths, Resets, as_batch, embed
from elman.nn.transformer import TransformerLayer
from elman.state import State


class TransformerState(NamedTuple):
    """The keys and values of each layer, and the position of each row.

    The entry of the row's step at position p lies in slot p, or in slot p mod (window − 1): see
    `elman.kernels.attention.sight`. Of C slots, min(position, C) are in use.
    """

    keys: tuple[Tensor, ...]  # a layer: (B, N, C, H/N)
    values: tuple[Tensor, ...]  # a layer: (B, N, C, H/N)
    position: Tensor  # (B,) int64, the steps read since the row's last reset

    @property
    def stepwise(self) -> tuple[str, ...]:
        """What `elman.state` pads of a shorter memory."""
        return "keys", "values"

    def from_earlier_form(self) -> TransformerState:
        """The state of an earlier build, whose newest entries were the last ones, as a state of this one."""
        keys, values = (tuple(from_right_aligned(x, self.position) for x in part) for part in self[:2])
        return TransformerState(keys, values, self.position)


class DecodingParts(NamedTuple):
    """What a Transformer's steps pass through after the embedding."""

    layers: nn.ModuleList
    norm: nn.Module
    output: nn.Linear


class TransformerLM(LanguageModel):
    """A pre-norm, causal Transformer decoder.

        x_0 = E[token]  (+ sinusoidal position)
        x_l = layer_l(x_{l−1})                                     l = 1 … num_layers
        logits = W norm(x_L) + b                                   W = E if `tied`

    With `window` W, a step attends to itself and the W−1 steps before it, and the state has at most W−1 entries a layer
    (through the layers, a step knows of num_layers · (W−1) earlier steps). Without a window the state grows by an entry
    a step. Training carries the detached state from one window of truncated BPTT to the next: Dai et al. 2019,
    "Transformer-XL".

    Vaswani et al. 2017, "Attention is all you need"; see `Attention`, `TransformerLayer` and `elman.nn.positions` for
    the parts. Raises `UserError` where sizes do not fit each other.

    >>> model = TransformerLM(27, hidden_size=8, num_layers=2, num_heads=2, window=4)
    >>> logits, state = model([[0, 1, 2, 3, 4, 5]])
    >>> logits.shape, state.position, state.keys[0].shape  # the last 3 steps alone are kept
    (torch.Size([1, 6, 27]), tensor([6]), torch.Size([1, 2, 3, 4]))
    """

    settings: TransformerSettings
    step_by_step = False

    @spelled_by(TransformerSettings)
    def __init__(self, vocab_size: int, **settings: Any) -> None:
        super().__init__()
        self.vocab_size = checked(vocab_size, int, "vocab_size")
        own = configure(self, "transformer", TransformerSettings, settings)

        H = own.hidden_size
        self.embedding = nn.Embedding(self.vocab_size, H)
        self.embedding_dropout = Dropout(own.dropout)
        self.layers = make_layers(own, own.num_layers)
        self.norm = nn.LayerNorm(H)
        self.decoder = nn.Linear(H, self.vocab_size)
        if own.tied:
            self.decoder.weight = self.embedding.weight
        # The inputs of `decoder` are normalised, so its logits begin with unit variance. Embeddings that are not tied
        # to it are as small, lest they drown the outputs of the layers.
        for matrix in (self.embedding.weight, self.decoder.weight):
            nn.init.normal_(matrix, std=H**-0.5)
        nn.init.zeros_(self.decoder.bias)

    @property
    def reach(self) -> int | None:
        """num_layers · (window − 1): each layer looks back by a window. None: there is no window."""
        if self.window is None or self.positions != "rotary":  # sinusoidal positions count from the beginning
            return None
        return self.num_layers * (self.window - 1)

    def initial_state(self, batch_size: int) -> TransformerState:
        """An empty cache, and position 0."""
        weight = self.embedding.weight
        empty = weight.new_zeros(batch_size, self.num_heads, 0, self.hidden_size // self.num_heads)
        entries = (empty,) * self.num_layers
        return TransformerState(entries, entries, weight.new_zeros(batch_size, dtype=torch.int64))

    def read(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, TransformerState]:
        """tokens (B, T) -> normalised hidden states (B, T, H), and the state after them."""
        tokens, lengths, resets = as_batch(self, tokens, lengths, resets)
        before = self.initial_state(len(tokens)) if state is None else cast(TransformerState, state)
        return self._read(tokens, before, lengths, resets, in_place=False)

    def advance(self, tokens: Integers, state: State) -> tuple[Tensor, TransformerState]:
        """As `read`, in the memory of `state` itself where the backend can; see `LanguageModel.advance`."""
        tokens, _, _ = as_batch(self, tokens, None)
        before, in_place = make_room(cast(TransformerState, state), tokens.shape[1], self.window)
        return self._read(tokens, before, in_place=in_place)

    def _read(
        self,
        tokens: Tensor,
        before: TransformerState,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        *,
        in_place: bool,
    ) -> tuple[Tensor, TransformerState]:
        T, slots = tokens.shape[1], before.keys[0].shape[2]
        positions = step_positions(before.position, T, resets)  # (B, T)
        x, rotation = self.enter(tokens, positions)
        sight = with_mask(Sight(True, self.window, before.position, lengths, resets), T, slots, x.dtype)
        x, keys, values = read_transformer_layers(
            self.layers, x, before.keys, before.values, sight, rotation=rotation, in_place=in_place
        )
        after = torch.cat((before.position[:, None], positions + 1), dim=1)  # (B, T+1): after so many steps
        position = after[:, -1] if lengths is None else after.gather(1, lengths[:, None])[:, 0]
        return self.norm(x), TransformerState(keys, values, position)

    def enter(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, Rotation | None]:
        """Tokens (B, T) at positions (B, T) -> inputs of the first layer (B, T, H), and how heads are turned."""
        x, places = embed(self.embedding, tokens), once_if_equal(positions)
        if self.positions == "sinusoidal":
            return self.embedding_dropout(x + sinusoidal(places, self.hidden_size).to(x.dtype)), None
        return self.embedding_dropout(x), rotary(places, self.hidden_size // self.num_heads, x.dtype)

    @property
    def decoding(self) -> DecodingParts:
        """The layers, and the norm and the matrix after them."""
        return DecodingParts(self.layers, self.norm, self.decoder)

    def steps(self, state: State) -> Steps:
        """As of every model, by one call of the core a token where that is possible."""
        from elman.models.transformer_steps import steps_of

        return steps_of(self, state)

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer."""
        return maps_of(self.layers)


def make_layers(
    settings: TransformerSettings | TransformerTranslatorSettings | TransformerEncoderSettings,
    count: int,
    **options: Any,
) -> nn.ModuleList:
    """Layers as the settings say; `options` are those that only some layers of a `TransformerLayer` have."""
    s, inner = settings, cast(int, settings.feedforward_size)
    given = {name: getattr(s, name) for name in ("dropout", "qk_norm", "recompute")}
    return nn.ModuleList(TransformerLayer(s.hidden_size, s.num_heads, inner, **given, **options) for _ in range(count))


def read_transformer_layers(
    layers: nn.ModuleList,
    x: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    sight: Sight,
    *,
    rotation: Rotation | None = None,
    sources: Iterable[SourceMemory | None] | None = None,
    attentions: list[Tensor] | None = None,
    in_place: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Read inputs x (B, T, H) by one layer after the other: the last one's outputs, each one's keys and values after.

    The other arguments are those of a `TransformerLayer`, with a source for each layer.
    """
    after: list[Memory] = []
    memories = zip(keys, values, strict=True)
    for layer, memory, source in zip(layers, memories, sources or [None] * len(layers), strict=True):
        x, kept = layer(x, memory, sight, rotation=rotation, source=source, attentions=attentions, in_place=in_place)
        after.append(kept)
    kept_keys, kept_values = zip(*after, strict=True)
    return x, kept_keys, kept_values


def once_if_equal(positions: Tensor) -> Tensor:
    """The first row (1, T) of positions (B, T) that are the same in every row; else all. A GPU is not waited for."""
    if len(positions) < 2 or positions.device.type != "cpu" or torch.compiler.is_compiling():
        return positions
    return positions[:1] if bool((positions == positions[:1]).all()) else positions


def make_room(state: Any, steps: int, window: int | None = None) -> tuple[Any, bool]:
    """A Transformer's state with slots for so many steps more, and True; or the state, and False: nothing is in place.

    Where slots are missing there will be twice as many as before, so that few steps copy the memory.
    """
    slots, dtype = state.keys[0].shape[2], state.keys[0].dtype
    if torch.is_grad_enabled() or choose(state.position.device, dtype) != "native":
        return state, False
    needed = slots_needed(state.position, steps, window)
    if needed > slots:
        more = max(needed, 2 * slots, 64)
        more = more if window is None else min(more, window - 1)
        keys, values = (tuple(F.pad(x, (0, 0, 0, more - slots)) for x in part) for part in (state.keys, state.values))
        state = state._replace(keys=keys, values=values)
    return state, True


def maps_of(layers: Iterable[nn.Module]) -> dict[Tensor, int]:
    """The matrices of Transformer layers, and how many maps each holds: queries, keys and values lie together."""
    maps: dict[Tensor, int] = {}
    for layer in cast(Iterable[TransformerLayer], layers):
        maps |= {p: 1 for p in layer.parameters() if p.dim() == 2}
        maps[layer.attention.qkv.weight] = 3
        if hasattr(layer, "cross_attention"):
            maps[layer.cross_attention.key_value.weight] = 2
    return maps

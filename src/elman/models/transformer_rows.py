"""A Transformer language model's rows in the compiled core: its weights arranged, and the form of a row's memory."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.kernels.native.transformer import ArrangedTransformer, LinearWeights, TransformerWeights, why_not_arranged
from elman.models.transformer import TransformerLM, TransformerState
from elman.models.transformer_steps import is_plain
from elman.nn.positions import rotary, sinusoidal
from elman.nn.transformer import TransformerLayer

EPSILON = 1e-5  # what every norm adds to the variance
LEAST_SLOTS = 64


def why_not_rows(model: nn.Module) -> str | None:
    """The reason why the core cannot keep the rows of a model, or None."""
    if type(model) is not TransformerLM:
        return "the core keeps the rows of Transformer language models alone"
    weight = model.embedding.weight
    if weight.device.type != "cpu":
        return "it runs on a CPU alone"
    if not is_plain(model) or type(model.decoder) is not nn.Linear:
        return "it knows plain layers alone, and calls no hooks"
    if any(type(p) is not nn.Parameter or p.dtype != weight.dtype for p in model.parameters()):
        return "its parameters are of one dtype"
    if any(norm.eps != EPSILON for norm in model.modules() if isinstance(norm, nn.LayerNorm)):
        return "its norms are the usual ones"
    return why_not_arranged(weight.dtype)


def arranged(model: TransformerLM) -> ArrangedTransformer:
    """The weights of a model for which `why_not_rows` has no reason."""
    layers = []
    for layer in cast(list[TransformerLayer], list(model.layers)):
        attention, (first, _, last) = layer.attention, cast(Any, tuple(layer.feedforward))
        linears = (
            _linear(attention.qkv, layer.attention_norm),
            _linear(attention.out),
            _linear(first, layer.feedforward_norm),
            _linear(last),
        )
        layers.append(TransformerWeights(*linears, *attention.gains))
    output = _linear(model.decoder, model.norm)
    heads, window = model.num_heads, model.window
    return ArrangedTransformer(layers, model.embedding.weight, output, heads=heads, window=window, epsilon=EPSILON)


def _linear(linear: nn.Linear, norm: nn.LayerNorm | None = None) -> LinearWeights:
    parts = (None, None) if norm is None else (norm.weight, norm.bias)
    return LinearWeights(linear.weight, linear.bias, *parts)


class RowForm:
    """How a tensor (layers, 2, N, C, D) holds a row's rings of keys and values, and what positions do to its tokens."""

    def __init__(self, model: TransformerLM) -> None:
        self._layers, self._heads, self._window = model.num_layers, model.num_heads, model.window
        self._size, self._is_rotary = model.hidden_size, model.positions == "rotary"
        self.dtype = model.embedding.weight.dtype

    def used(self, position: int) -> int:
        """The slots that hold something, or that `position` steps need."""
        return position if self._window is None else min(position, self._window - 1)

    def with_room(self, memory: Tensor | None, before: int, after: int) -> Tensor:
        """Memory with slots for a position; that of an earlier one is copied if it has too few, to twice as many."""
        needed = self.used(after)
        if memory is not None and memory.shape[3] >= needed:
            return memory
        C = self.used(max(LEAST_SLOTS, 1 << (needed - 1).bit_length())) if needed else 0
        shape = (self._layers, 2, self._heads, C, self._size // self._heads)
        larger = torch.empty(shape, dtype=self.dtype)
        if memory is not None:
            larger[..., : self.used(before), :] = memory[..., : self.used(before), :]
        return larger

    def put(self, memory: Tensor, state: TransformerState) -> None:
        """Copy the entries of a row's state."""
        used = self.used(int(state.position))
        for layer, parts in zip(memory, zip(*state[:2], strict=True), strict=True):
            for ring, part in zip(layer, parts, strict=True):
                ring[:, :used] = part.detach()[0, :, :used]

    def state(self, memory: Tensor, position: int) -> TransformerState:
        """A row's state, a copy."""
        used = memory[..., : self.used(position), :]
        keys, values = (tuple(used[layer, kind][None].clone() for layer in range(len(used))) for kind in (0, 1))
        return TransformerState(keys, values, torch.tensor([position]))

    def of_positions(self, positions: Tensor) -> dict[str, Tensor]:
        """What a call needs to know of the positions (n,) of tokens: lines of n for fields of `TransformerCall`."""
        if self._is_rotary:
            cosines, sines = rotary(positions, self._size // self._heads, self.dtype)
            return {"cosines": cosines, "sines": sines}
        return {"added": sinusoidal(positions, self._size).to(self.dtype)}

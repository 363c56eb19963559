"""A Transformer's steps as one call of the compiled core: a token takes less time than calling each of its layers.

The calls of all layers are recorded with the places of their numbers, and recorded anew where a place has changed: more
slots, other rows, other weights. What they compute is what `advance` computes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.kernels.attention.backends import choose
from elman.kernels.dense.reference import Affine
from elman.kernels.native import attention_passes, dense
from elman.kernels.native.attention_passes import Attend, Given
from elman.kernels.native.dense import Dense
from elman.kernels.native.library import has_avx512
from elman.kernels.native.program import Program
from elman.models.steps import Steps
from elman.models.transformer import make_room
from elman.nn.transformer import TransformerLayer
from elman.state import State, leaves

PLAIN = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.Identity, nn.GELU, nn.Sequential, nn.ModuleList)


def steps_of(model: Any, state: State) -> Steps:
    """The fastest steps of a Transformer from such a state."""
    return RecordedSteps(model, state) if is_recordable(model) else Steps(model, state)


def is_recordable(model: nn.Module) -> bool:
    """Whether the core can run the model's layers as they are: on this CPU, without dropout, hooks or autocast."""
    weight = next(model.parameters())
    return (
        has_avx512()
        and weight.dtype in (torch.float32, torch.float64)
        and choose(weight.device, weight.dtype) == "native"
        and not (model.training or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        and getattr(model, "norm", None) != "post"
        and is_plain(model)
    )


def is_plain(model: nn.Module) -> bool:
    """Whether every part of a model is what it seems, and nobody looks into it."""
    return all(
        (type(part) in PLAIN or type(part).__module__.startswith("elman."))
        and not (part._forward_hooks or part._forward_pre_hooks)
        for part in model.modules()
    )


class RecordedSteps(Steps):
    """Steps whose layers are one call of the core."""

    def __init__(self, model: Any, state: State) -> None:
        super().__init__(model, state)
        self._weights = [*model.parameters()]
        self._places: list[Any] = []

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:  # noqa: D102
        state, _ = make_room(cast(Any, self.state), 1, getattr(self.model, "window", None))
        kept = leaves(state._replace(position=()))
        places = [len(tokens), *(part.data_ptr() for part in self._weights), *((x.data_ptr(), x.shape) for x in kept)]
        if places != self._places:
            self._record(state, len(tokens))
            self._places = places
        position = self._position.copy_(state.position)
        x, rotation = self.model.enter(tokens[:, None], position[:, None])
        self._x.copy_(x[:, 0])
        if self._rotation is not None:
            for place, part in zip(self._rotation, rotation, strict=True):
                place.copy_(part)
        logits = self._x.new_empty(len(tokens), self.model.vocab_size)
        self._last.y = logits.data_ptr()
        self._program.run()
        self.state = state._replace(position=state.position + 1)
        return logits

    def _record(self, state: Any, B: int) -> None:
        """Note the calls of all layers for B rows, with tensors for what is between the calls."""
        model, decoder = self.model, self.model.decoding
        layers = cast(list[TransformerLayer], list(decoder.layers))
        H, N = model.hidden_size, model.num_heads
        D, F = H // N, cast(nn.Linear, layers[0].feedforward[0]).out_features
        new = layers[0].attention.qkv.weight.new_empty
        self._x, qkv, query, mixed, inner = new(B, H), new(B, 1, 3 * N, D), new(B, H), new(B, 1, N, D), new(B, F)
        self._position = state.position.clone()
        turns = getattr(model, "positions", "") == "rotary"
        self._rotation = (new(B, 1, D // 2), new(B, 1, D // 2)) if turns else None
        cos, sin = self._rotation or (None, None)
        own = Given(cos, sin, None, self._position, None, None, N, True, getattr(model, "window", None), 1e-5)
        calls: list[Dense | Attend] = []
        for i, layer in enumerate(layers):
            attention, (first, _, last) = layer.attention, cast(Any, tuple(layer.feedforward))
            keys, values = state.keys[i], state.values[i]
            calls.append(product(self._x, attention.qkv, qkv, layer.attention_norm))
            gains = attention.gains
            places = {"y": mixed, "keys_after": keys, "values_after": values}
            calls.append(attention_passes.structure(own, (qkv, None, None, keys, values, *gains), places))
            calls.append(product(mixed, attention.out, self._x, residual=self._x))
            if hasattr(layer, "cross_attention"):
                calls += self._cross(layer, state, i, query, mixed)
            calls.append(product(self._x, first, inner, layer.feedforward_norm, gelu=True))
            calls.append(product(inner, last, self._x, residual=self._x))
        self._last = product(self._x, decoder.output, self._x, decoder.norm)
        self._program = Program(self._x.dtype, [*calls, self._last], [qkv, query, mixed, inner, *leaves(state)])

    def _cross(self, layer: Any, state: Any, i: int, q: Tensor, mixed: Tensor) -> list[Dense | Attend]:
        """The calls of attention to the source, whose rows serve W neighbours each."""
        attention, keys, values = layer.cross_attention, state.source_keys[i], state.source_values[i]
        (rows, N, _, D), B = keys.shape, len(self._x)
        given = Given(None, None, None, None, state.lengths, None, N, False, None, 1e-5)
        heads = q.view(rows, B // rows, N, D), keys.transpose(1, 2), values.transpose(1, 2)
        gain = attention.gains[0]
        return [
            product(self._x, attention.query, q, layer.cross_norm),
            attention_passes.structure(given, (*heads, None, None, gain, None), {"y": mixed}),
            product(mixed, attention.out, self._x, residual=self._x),
        ]


def product(
    x: Tensor,
    linear: nn.Linear,
    y: Tensor,
    norm: nn.LayerNorm | None = None,
    residual: Tensor | None = None,
    *,
    gelu: bool = False,
) -> Dense:
    """y = residual + gelu(norm(x) W^T + b), each part of it if there is one."""
    gain, shift = (None, None) if norm is None else (norm.weight, norm.bias)
    given, read = (x, None) if norm is not None else (None, x)
    options = Affine(1e-5 if norm is None else norm.eps, gelu)
    places = (given, gain, shift, linear.weight, linear.bias, residual, None, y, read)
    return dense.structure(options, x, linear.weight, residual is not None, *places)

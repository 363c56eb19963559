"""Attention and the layers of a Transformer, with memory and with a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import nn

from elman.export.onnx.graph import Value
from elman.export.onnx.positions import turned
from elman.export.onnx.sight import KeySight
from elman.export.onnx.steps import reshape, transpose
from elman.nn.attention import Attention, CrossAttention
from elman.nn.transformer import TransformerLayer

Rotation = tuple[Value, Value]
Entries = tuple[Value, Value]
"""Keys and values (B, N, S, D)."""


class SourceEntries(NamedTuple):
    """The keys and values of an encoder's outputs for one layer, and which of them are seen."""

    entries: Entries
    bias: Value | None  # (B, 1, 1, S)


class LayersRead(NamedTuple):
    """What the layers made of their inputs."""

    x: Value  # (B, T, H)
    keys: list[Value]  # the memory after, a layer: (B, N, C, D)
    values: list[Value]
    weights: list[Value]  # of the attention to a source, a layer: (B, N, T, S)


def read_layers(
    layers: nn.ModuleList,
    x: Value,
    sight: KeySight,
    *,
    keys: Sequence[Value] = (),
    values: Sequence[Value] = (),
    rotation: Rotation | None = None,
    sources: Sequence[SourceEntries] = (),
) -> LayersRead:
    """Inputs x (B, T, H) read by one layer after the other; each has its memory and its source, if there are such."""
    read = LayersRead(x, [], [], [])
    for at, layer in enumerate(layers):
        memory = (keys[at], values[at]) if keys else None
        read = _read(layer, read, sight, memory, rotation, sources[at] if sources else None)
    return read


def _read(
    layer: Any,
    read: LayersRead,
    sight: KeySight,
    memory: Entries | None,
    rotation: Rotation | None,
    source: SourceEntries | None,
) -> LayersRead:
    """One layer, each branch of it on a residual; see `nn.transformer.TransformerLayer`."""
    assert isinstance(layer, TransformerLayer)
    pre, x, weights = layer.norm == "pre", read.x, read.weights

    def branch(x: Value, norm: nn.LayerNorm, function: Any) -> Value:
        return x + function(normed(x, norm)) if pre else normed(x + function(x), norm)

    kept: list[Value] = []
    x = branch(x, layer.attention_norm, lambda y: _self_attention(layer.attention, y, sight, memory, rotation, kept))
    if source is not None:
        x = branch(x, layer.cross_norm, lambda y: _cross_attention(layer.cross_attention, y, source, weights))
    first, _, last = layer.feedforward
    x = branch(
        x,
        layer.feedforward_norm,
        lambda y: y.linear(first.weight, first.bias).gelu().linear(last.weight, last.bias),
    )
    return LayersRead(x, read.keys + kept[:1], read.values + kept[1:], weights)


def normed(x: Value, norm: nn.Module) -> Value:
    """A layer norm, or nothing where there is none."""
    return x if isinstance(norm, nn.Identity) else x.layer_norm(None, norm.weight, norm.bias, norm.eps)


def _self_attention(
    attention: Attention,
    x: Value,
    sight: KeySight,
    memory: Entries | None,
    rotation: Rotation | None,
    kept: list[Value],
) -> Value:
    """x (B, T, H) -> (B, T, H); the memory after, keys and values, goes to `kept`."""
    N, D = attention.num_heads, attention.head_size
    together = reshape(x.linear(attention.qkv.weight, attention.qkv.bias), 0, 0, 3 * N, D)
    q, k, v = together.chunk(3, 2)  # (B, T, N, D)
    q, k = normed(q, attention.query_norm), normed(k, attention.key_norm)
    if rotation is not None:
        q, k = turned(q, rotation), turned(k, rotation)
    entries = transpose(k, 0, 2, 1, 3), transpose(v, 0, 2, 1, 3)
    if memory is not None and sight.remember is not None:
        kept += [sight.remember(old, new) for old, new in zip(memory, entries, strict=True)]
        joined = [x.graph.add("Concat", old, new, axis=2) for old, new in zip(memory, entries, strict=True)]
        entries = joined[0], joined[1]
    y, _ = _attended(q, entries, sight.bias, D)
    return y.linear(attention.out.weight, attention.out.bias)


def _cross_attention(attention: CrossAttention, x: Value, source: SourceEntries, weights: list[Value]) -> Value:
    """x (B, T, H) -> (B, T, H); the weights (B, N, T, S) go to a list."""
    N, D = attention.num_heads, attention.head_size
    q = reshape(x.linear(attention.query.weight, attention.query.bias), 0, 0, N, D)
    y, found = _attended(normed(q, attention.query_norm), source.entries, source.bias, D)
    weights.append(found)
    return y.linear(attention.out.weight, attention.out.bias)


def project(attention: CrossAttention, x: Value) -> Entries:
    """The outputs x (B, S, H) of an encoder -> keys and values (B, N, S, D)."""
    N, D = attention.num_heads, attention.head_size
    both = reshape(x.linear(attention.key_value.weight, attention.key_value.bias), 0, 0, 2 * N, D)
    k, v = both.chunk(2, 2)
    return transpose(normed(k, attention.key_norm), 0, 2, 1, 3), transpose(v, 0, 2, 1, 3)


def _attended(q: Value, entries: Entries, bias: Value | None, size: int) -> tuple[Value, Value]:
    """Queries (B, T, N, D) of entries (B, N, S, D): the heads together (B, T, N · D), and the weights (B, N, T, S)."""
    keys, values = entries
    scores = transpose(q, 0, 2, 1, 3) @ transpose(keys, 0, 1, 3, 2) / float(size**0.5)
    weights = (scores if bias is None else scores + bias).softmax(-1)
    return reshape(transpose(weights @ values, 0, 2, 1, 3), 0, 0, -1), weights

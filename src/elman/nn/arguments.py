"""What a recurrent layer refuses: the exceptions, and nearly the words, of torch.nn (sequences aside: `sequences`)."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from elman.errors import UserError


def sizes_of_layers(hidden_size: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """H of every layer. Raise `ValueError` unless there are `num_layers` of them, or that is 1 as it is by default.

    Raises:
        TypeError: the number is none.

    >>> sizes_of_layers(5, 2), sizes_of_layers([5, 7], 1)
    ((5, 5), (5, 7))
    """
    if not isinstance(num_layers, int):
        raise TypeError(f"num_layers should be of type int, got: {type(num_layers).__name__}")
    if not isinstance(hidden_size, Sequence) or isinstance(hidden_size, str | bytes):
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        return (cast(int, hidden_size),) * num_layers  # what it is comes next
    if not hidden_size or num_layers not in (1, len(hidden_size)):
        layers = "one layer or more" if num_layers == 1 else f"{num_layers} layers"
        raise ValueError(f"hidden_size: expected a size for each of {layers}, got {list(hidden_size)}")
    return tuple(hidden_size)


def check_sizes(input_size: int, hidden_sizes: Sequence[int], proj_size: int) -> None:
    """Raise `TypeError` or `ValueError` unless such a layer can be."""
    named = [("input_size", input_size), *(("hidden_size", size) for size in hidden_sizes)]
    for name, size in named:
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
    for name, size in named:
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= min(hidden_sizes):
        raise ValueError("proj_size has to be smaller than hidden_size")


def check_flags(**values: bool) -> None:
    """Raise `TypeError` unless each is a boolean."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def check_dropout(name: str, p: float) -> None:
    """Raise `ValueError` unless p is a number from 0 to 1."""
    if not isinstance(p, numbers.Real) or isinstance(p, bool) or not 0 <= p <= 1:
        meaning = "representing the probability of an element being zeroed"
        raise ValueError(f"{name} should be a number in range [0, 1] {meaning}")


def check_recompute(recompute: bool | int) -> None:
    """Raise `TypeError` unless it is a boolean or an integer, `ValueError` unless that is a number of steps."""
    if not isinstance(recompute, int):
        raise TypeError(f"recompute should be of type bool or int, got: {type(recompute).__name__}")
    if not isinstance(recompute, bool) and recompute <= 0:
        raise ValueError("recompute should be True, False or a number of steps greater than zero")


def check_features(x: Tensor, input_size: int, dtype: torch.dtype) -> None:
    """Raise `ValueError` for a wrong dtype (under autocast none is), `RuntimeError` for a wrong last size."""
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
        )
    if x.size(-1) != input_size:
        raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")


def check_hidden(hx: tuple[Tensor, ...], expected: Mapping[str, tuple[int, int, int]]) -> None:
    """Raise `RuntimeError` unless each part of a batched initial state has its shape (L, B, ·)."""
    for part, (name, shape) in zip(hx, expected.items(), strict=True):
        if part.shape != shape:
            raise RuntimeError(f"Expected {name} size {shape}, got {list(part.shape)}")


def check_alike(x: Tensor, state: tuple[Tensor, ...], names: Sequence[str], weights: Iterable[Tensor | None]) -> None:
    """Raise `ValueError` unless the initial state is of the input's dtype and all are on its device."""
    for name, part in zip(names, state, strict=True):
        if part.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"{name}: expected {x.dtype} as the input is, got {part.dtype}; convert it")
    parts: list[tuple[str, Tensor | None]] = [*zip(names, state, strict=True)]
    parts += [("weights", weight) for weight in weights]
    for name, other in parts:
        if other is not None and other.device != x.device:
            raise ValueError(f"{name}: expected on {x.device} as the input is, got {other.device}; move one of them")


def check_dim(x: Tensor, hx: tuple[Tensor, ...] | None, layer: str) -> None:
    """Raise `ValueError` unless x is a sequence or a batch, `RuntimeError` unless the state is of the same kind."""
    if x.dim() not in (2, 3):
        raise ValueError(f"{layer}: Expected input to be 2D or 3D, got {x.dim()}D tensor instead")
    if hx is not None and any(part.dim() != x.dim() for part in hx):
        given = f"{'batched' if x.dim() == 3 else 'unbatched'} {x.dim()}-D input"
        names = "hx and cx" if len(hx) == 2 else "hx"
        got = ", ".join(f"{part.dim()}-D" for part in hx)
        raise RuntimeError(f"For {given}, {names} should also be {x.dim()}-D but got {got}")


def check_packed(packed: PackedSequence, lengths: object) -> None:
    """Raise `RuntimeError` unless each step is a vector, `UserError` if lengths are given twice."""
    if packed.data.dim() != 2:
        raise RuntimeError(f"input must have 2 dimensions, got {packed.data.dim()}")
    if lengths is not None:
        raise UserError("lengths: a PackedSequence has its own", remedy="leave lengths=None")

"""Tokens, lengths and resets as tensors, from tensors, arrays or lists; a tensor that fits is returned as it is."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.wording import counted

Integers: TypeAlias = Tensor | Sequence[Any] | npt.NDArray[np.integer[Any]]
"""Tokens or lengths: a tensor or array of integers of any size, or lists of them."""
Flags: TypeAlias = Tensor | Sequence[Any] | npt.NDArray[np.bool_]
"""Resets: a boolean tensor or array, or lists of booleans."""
Lengths: TypeAlias = Integers | None
"""Lengths of rows; None: every row has all steps."""
Resets: TypeAlias = Flags | None
"""Steps before which a row's memory is made fresh; None: no step."""


def as_tokens(tokens: Integers, model: nn.Module, name: str = "tokens", *, dims: int = 2) -> Tensor:
    """int64 tokens (B, T), or of another number of `dims`; arrays and lists go to the model's device.

    Raise `UserError` for another shape or dtype; `embed` raises it for tokens beyond the vocabulary.
    """
    if not isinstance(tokens, Tensor):
        tokens = as_tensor(name, tokens, torch.int64, next(model.parameters()).device)
    if tokens.dim() != dims:
        remedy = "tokens[None] is a batch of one row" if dims == 2 and tokens.dim() == 1 else ""
        shape = "(B, T)" if dims == 2 else counted(dims, "dimension")
        raise UserError(name, expected=f"integers of shape {shape}", got=f"shape {tuple(tokens.shape)}", remedy=remedy)
    if tokens.dtype == torch.int64:
        return tokens
    if not is_integral(tokens):
        raise UserError(name, expected="integers", got=tokens.dtype)
    return tokens.to(torch.int64)


def as_batch(
    model: nn.Module, tokens: Integers, lengths: Lengths = None, resets: Resets = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Tokens (B, T), lengths (B,) and resets (B, T) as tensors on the device of the tokens; None stays None."""
    tokens = as_tokens(tokens, model)
    B, T = tokens.shape
    if lengths is not None:
        lengths = as_lengths(lengths, B, T, tokens.device)
    if resets is not None:
        resets = as_resets(resets, B, T, tokens.device)
    return tokens, lengths, resets


def embed(embedding: nn.Module, tokens: Tensor) -> Tensor:
    """`embedding(tokens)`; on a CPU, raise `UserError` for a token that the embedding does not have."""
    try:
        return embedding(tokens)
    except IndexError as error:
        last = embedding.get_parameter("weight").shape[0] - 1
        got = f"{int(tokens.min())} to {int(tokens.max())}"
        raise UserError("tokens", expected=f"from 0 to {last} (the vocabulary)", got=got) from error


def as_lengths(lengths: Integers, B: int, T: int, device: torch.device, *, least: int = 0) -> Tensor:
    """int64 lengths on a device; raise `UserError` unless there is an integer from `least` to T for each of B rows.

    The values are checked only on a CPU, where the check waits for no device, and not while torch compiles.
    """
    lengths = as_tensor("lengths", lengths, torch.int64)
    if not is_integral(lengths) or lengths.shape != (B,):
        got = f"{lengths.dtype} of shape {tuple(lengths.shape)}"
        raise UserError("lengths", expected=f"integers of shape {(B,)}", got=got)
    lengths = lengths.to(torch.int64)
    seen = B > 0 and lengths.device.type == "cpu" and not torch.compiler.is_compiling()
    if seen and (lengths.min() < least or lengths.max() > T):
        raise UserError("lengths", expected=f"from {least} to {T} (the input's steps)", got=lengths.tolist())
    return lengths.to(device)


def as_resets(resets: Flags, B: int, T: int, device: torch.device, *, name: str = "resets") -> Tensor:
    """Resets on a device; raise `UserError` unless they are a boolean mask (B, T)."""
    resets = as_tensor(name, resets, torch.bool)
    if resets.dtype != torch.bool or resets.shape != (B, T):
        got = f"{resets.dtype} of shape {tuple(resets.shape)}"
        remedy = "(B, T) in this order, whatever batch_first is; (T,) for unbatched input"
        raise UserError(name, expected=f"a boolean mask of shape {(B, T)}", got=got, remedy=remedy)
    return resets.to(device)


def as_tensor(name: str, values: Any, empty: torch.dtype, device: torch.device | None = None) -> Tensor:
    """A tensor as it is, or a tensor of numbers, lists and arrays; empty lists get the dtype `empty`."""
    if isinstance(values, Tensor):
        return values
    try:
        if isinstance(values, list | tuple) and any(isinstance(part, np.ndarray) for part in values):
            values = np.stack(values)  # torch would read arrays in a list number by number, and warn
        tensor = torch.tensor(values, device=device)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        got = f"{type(values).__name__} {reprlib.repr(values)}"
        expected = "a tensor, an array or lists of equal lengths, of numbers of at most 64 bits or booleans"
        raise UserError(name, expected=expected, got=got) from error
    return tensor if tensor.numel() else tensor.to(empty)


def is_integral(values: Tensor) -> bool:
    """Whether the dtype is one of integers; booleans are not integers."""
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)

"""The scores of additive attention by the compiled core, forward and backward."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elman.kernels.native.library import entry, fields_of, is_traced, parallel_for, run, why_not_here
from elman.kernels.recomputation import derivatives


class AlignmentCall(ctypes.Structure):
    """`struct Alignment` of alignment.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "B T S H"),
        ("threads", ctypes.c_int32),
        *fields_of(ctypes.c_void_p, "parallel_for lengths queries keys energy scores"),
        *fields_of(ctypes.c_void_p, "dscores dqueries dkeys denergy"),
    )


def serves(queries: Tensor) -> bool:
    """Whether the core can score such queries on a CPU."""
    exact = torch.promote_types(queries.dtype, torch.float32)
    return not is_traced(queries) and why_not_here() is None and entry("align", exact) is not None


class AdditiveScores(torch.autograd.Function):
    """`elman.kernels.additive.additive_scores` as one node; derivatives of higher order are those of the reference."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, reference: Callable[..., Tensor], lengths: Tensor | None, *inputs: Tensor
    ) -> Tensor:
        queries, keys, energy = inputs
        B, T, H = queries.shape
        S = keys.shape[1]
        if (keys.shape, energy.shape) != ((B, S, H), (H,)) or (lengths is not None and lengths.shape != (B,)):
            raise ValueError(f"keys {(B, S, H)} and energy {(H,)} expected, got {keys.shape} and {energy.shape}")
        if lengths is not None:
            lengths = lengths.to(torch.int64).clamp(0, S).contiguous()  # the core computes addresses from lengths
        ctx.reference = reference
        ctx.save_for_backward(lengths, *inputs)
        scores = queries.new_empty(B, T, S)
        _call("align", lengths, *inputs, scores)
        return scores

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        lengths, *inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            aliases = [part.view_as(part) if part.requires_grad else part for part in inputs]
            scores = ctx.reference(*aliases, lengths)
            return None, None, *derivatives([scores], [gradient], aliases, create_graph=True)
        queries, keys, energy = inputs
        found = queries.new_empty(queries.shape), keys.new_empty(keys.shape), energy.new_empty(len(keys), len(energy))
        _call("align_backward", lengths, *inputs, None, gradient, *found)
        return None, None, *found[:2], found[2].sum(0)


def _call(name: str, lengths: Tensor | None, queries: Tensor, keys: Tensor, *others: Tensor | None) -> None:
    B, T, H = queries.shape
    parts = [None if part is None else part.contiguous() for part in (lengths, queries, keys, *others)]
    addresses = (None if part is None else part.data_ptr() for part in parts)
    call = AlignmentCall(B, T, keys.shape[1], H, torch.get_num_threads(), parallel_for(), *addresses)
    run(name, queries.dtype, call)

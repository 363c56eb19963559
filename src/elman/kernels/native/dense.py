"""The linear layer of the core with what stands before and after it, as one node of autograd's graph (see dense.h).

In bfloat16 (under autocast) the products read bfloat16 and add in float32. What backward needs of the size of the
products' inputs and outputs is kept in bfloat16: what W was multiplied by, and the slope of GELU.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from elman.kernels.dense.reference import Affine, Kept, in_number
from elman.kernels.native.library import fields_of, parallel_for, run
from elman.kernels.recomputation import derivatives


class Dense(ctypes.Structure):
    """`struct Dense` of dense.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "M K N"),
        *fields_of(ctypes.c_int32, "threads gelu added least"),
        *fields_of(ctypes.c_double, "scale eps"),
        *fields_of(ctypes.c_void_p, "parallel_for x gain shift weight bias residual"),
        *fields_of(ctypes.c_void_p, "bits y input slope mean rate"),
        *fields_of(ctypes.c_void_p, "dy dx dweight dbias dgain dshift packed"),
    )


def structure(options: Affine, x: Tensor, weight: Tensor, added: bool, *parts: Tensor | None) -> Dense:
    """The arguments of a pass; `parts` are the pointers of `Dense`, in order, after the first."""
    N, K = weight.shape
    kept = options.kept
    return Dense(
        x.numel() // K,
        K,
        N,
        torch.get_num_threads(),
        options.gelu,
        added,
        0 if kept is None else kept.least,
        1.0 if kept is None else kept.scale,
        options.eps,
        parallel_for(),
        *[None if part is None else part.data_ptr() for part in parts],
    )


def forward(
    options: Affine,
    low: torch.dtype,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gain: Tensor | None,
    shift: Tensor | None,
    residual: Tensor | None,
    *,
    keep: bool,
) -> tuple[Tensor, ...]:
    """y of `reference.affine`, and with `keep` for backward: the product's input, GELU's slope, and mean and rate.

    x (..., K) is in the dtype of the weight or, without a gain, in `low`; all is contiguous, and fits. y (..., N) is in
    `low`, or in the dtype of the residual.
    """
    number, K = weight.dtype, x.shape[-1]
    shape = (*x.shape[:-1], len(weight))
    y = torch.empty(shape, dtype=low if residual is None else number)
    given = None if gain is None and x.dtype == low else x  # else the product reads x itself
    read, slope, mean, rate = x if given is None else None, None, None, None
    if keep:
        read = torch.empty(x.shape, dtype=low) if read is None else read
        slope = torch.empty(shape, dtype=low) if options.gelu else None
        mean, rate = (None, None) if gain is None else torch.empty(2, x.numel() // K, dtype=number)
    bits = None if options.kept is None else options.kept.bits
    places = (given, gain, shift, weight, bias, residual, bits, y, read, slope, mean, rate)
    run("dense_forward", low, structure(options, x, weight, residual is not None, *places))
    return y, read, slope, mean, rate  # type: ignore[return-value]


def backward(
    options: Affine,
    low: torch.dtype,
    wanted: tuple[bool, ...],
    x: Tensor,
    weight: Tensor,
    gain: Tensor | None,
    kept: tuple[Tensor | None, ...],
    dy: Tensor,
    *,
    added: bool,
) -> tuple[Tensor | None, ...]:
    """The derivatives by x, weight, bias, gain and shift, those `wanted` at least, from those by y.

    `kept` is what `forward` left beside y.
    """
    dy = dy.contiguous()
    bits = None if options.kept is None else options.kept.bits
    of_norm = gain is not None and any(wanted[3:])
    dx = torch.empty_like(x) if wanted[0] or of_norm else None
    dweight = dbias = dgain = dshift = None
    if wanted[1] or wanted[2]:
        dweight, dbias = torch.empty_like(weight), weight.new_empty(len(weight))
    if of_norm:
        dgain, dshift = torch.empty_like(gain), torch.empty_like(gain)  # type: ignore[arg-type]
    given = None if gain is None and x.dtype == low else x  # as in `forward`
    places = (given, gain, None, weight, None, None, bits, None, *kept, dy, dx, dweight, dbias, dgain, dshift)
    run("dense_backward", low, structure(options, x, weight, added, *places))
    return dx, dweight, dbias, dgain, dshift


class Product(torch.autograd.Function):
    """`forward` and `backward` as one node: x, weight, bias, gain, shift, residual -> y."""

    @staticmethod
    def forward(ctx: Any, options: Affine, low: torch.dtype, *inputs: Tensor | None) -> Tensor:  # noqa: D102
        y, *found = forward(options, low, *inputs, keep=True)  # type: ignore[arg-type]
        ctx.low, ctx.added, kept = low, inputs[5] is not None, options.kept
        ctx.options, ctx.scale = options._replace(kept=None), None if kept is None else kept[1:]
        # The numbers of the residual matter to no derivative.
        ctx.save_for_backward(*inputs[:5], *found, None if kept is None else kept.bits)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        (dy,), options, wanted = gradients, ctx.options, ctx.needs_input_grad[2:]
        *saved, bits = ctx.saved_tensors
        if bits is not None:
            options = options._replace(kept=Kept(bits, *ctx.scale))
        if torch.is_grad_enabled():
            found = _of_reference(options, ctx.low, saved[:5], dy, added=ctx.added)
        else:
            x, weight, _, gain, _, *kept = saved
            found = backward(options, ctx.low, wanted, x, weight, gain, tuple(kept), dy, added=ctx.added)
        return (
            None,
            None,
            *(part if needed else None for part, needed in zip(found, wanted, strict=False)),
            dy if ctx.added else None,
        )


def _of_reference(
    options: Affine, low: torch.dtype, saved: list[Any], dy: Tensor, *, added: bool
) -> tuple[Tensor | None, ...]:
    """The same derivatives as a graph that can itself be differentiated, of any order: the reference is run anew."""
    # Aliases, for the outer graph already has the derivatives of one input by another.
    inputs = [None if part is None else part.view_as(part) for part in saved]
    number = saved[1].dtype
    y = in_number(options, *inputs, number=number, found=number if added else low)
    return tuple(derivatives((y,), (dy,), inputs, create_graph=True))

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
from elman.kernels.native.library import entry, parallel_for
from elman.kernels.recomputation import derivatives


class Dense(ctypes.Structure):
    """`struct Dense` of dense.h, where the fields are explained."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("M", "K", "N")),
        *((name, ctypes.c_int32) for name in ("threads", "gelu", "added", "least")),
        *((name, ctypes.c_double) for name in ("scale", "eps")),
        *((name, ctypes.c_void_p) for name in ("parallel_for", "x", "gain", "shift", "weight", "bias", "residual")),
        *((name, ctypes.c_void_p) for name in ("bits", "y", "input", "slope", "mean", "rate")),
        *((name, ctypes.c_void_p) for name in ("dy", "dsums", "dx", "dweight", "dbias", "dgain", "dshift")),
    )


def _call(direction: str, low: torch.dtype, options: Affine, weight: Tensor, added: bool, fields: dict[str, Any]) -> None:
    """Run `elman_dense_forward_float` and its like over the fields of `Dense`, whose tensors are contiguous."""
    N, K = weight.shape
    kept = options.kept or Kept(None, 0, 1.0)  # type: ignore[arg-type]
    M = fields.pop("M")
    given = Dense(M, K, N, torch.get_num_threads(), options.gelu, added, kept.least, kept.scale, options.eps, parallel_for())
    for name, part in (*fields.items(), ("weight", weight), ("bits", kept.bits)):
        if part is not None:
            assert part.is_contiguous(), f"{name} is not contiguous"
            setattr(given, name, part.data_ptr())
    function = entry(f"dense_{direction}", low)
    assert function is not None, "the choice comes first"
    if function(ctypes.byref(given)) != 0:
        raise MemoryError(f"no memory for the scratch of a native {direction} pass")


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

    x (M, K) in the dtype of the weight or, without a gain, in `low`; all is contiguous. y is in `low`, or in the dtype
    of the residual.
    """
    M, (N, K) = len(x), weight.shape
    number = weight.dtype
    y = x.new_empty(M, N, dtype=low if residual is None else number)
    fields: dict[str, Any] = {"M": M, "bias": bias, "gain": gain, "shift": shift, "residual": residual, "y": y}
    read, slope, mean, rate = x, None, None, None
    if gain is None and x.dtype == low:
        fields["input"] = x
    else:
        fields["x"] = x
        if keep:
            fields["input"] = read = x.new_empty(M, K, dtype=low)
    if keep and options.gelu:
        fields["slope"] = slope = x.new_empty(M, N, dtype=low)
    if keep and gain is not None:
        fields["mean"], fields["rate"] = mean, rate = x.new_empty(2, M, dtype=number)
    _call("forward", low, options, weight, residual is not None, fields)
    return y, read, slope, mean, rate  # type: ignore[return-value]


def backward(
    options: Affine,
    low: torch.dtype,
    wanted: tuple[bool, ...],
    x: Tensor,
    weight: Tensor,
    gain: Tensor | None,
    read: Tensor,
    slope: Tensor | None,
    mean: Tensor | None,
    rate: Tensor | None,
    dy: Tensor,
    *,
    added: bool,
) -> tuple[Tensor | None, ...]:
    """The derivatives by x, weight, bias, gain and shift, those `wanted` at least, from those by y."""
    M, (N, K), number = len(x), weight.shape, weight.dtype
    dy = dy.contiguous()
    changed = options.gelu or options.kept is not None or dy.dtype != low
    dx = dweight = dbias = dgain = dshift = None
    by_norm = gain is not None and any(wanted[3:])
    if wanted[0] or by_norm:
        dx = torch.empty_like(x)
    if wanted[1] or wanted[2]:
        dweight, dbias = torch.empty_like(weight), weight.new_empty(N)
    if by_norm:
        dgain, dshift = weight.new_empty(2, K)
    fields = {"M": M, "gain": gain, "slope": slope, "mean": mean, "rate": rate, "dy": dy, "dx": dx}
    fields |= {"dweight": dweight, "dbias": dbias, "dgain": dgain, "dshift": dshift, "input": read}
    fields |= {"x": None if read is x else x, "dsums": x.new_empty(M, N, dtype=low) if changed else None}
    _call("backward", low, options, weight, added, fields)
    return dx, dweight, dbias, dgain, dshift


class Product(torch.autograd.Function):
    """`forward` and `backward` as one node: x, weight, bias, gain, shift, residual -> y."""

    @staticmethod
    def forward(ctx: Any, options: Affine, low: torch.dtype, *inputs: Tensor | None) -> Tensor:  # noqa: D102
        x, weight, bias, gain, shift, residual = inputs
        y, *kept = forward(options, low, x, weight, bias, gain, shift, residual, keep=True)  # type: ignore[arg-type]
        ctx.options, ctx.low, ctx.added = options._replace(kept=None), low, residual is not None
        if options.kept is not None:
            ctx.least, ctx.scale = options.kept[1:]
        # The residual's numbers matter to no derivative.
        ctx.save_for_backward(*inputs[:5], *kept, None if options.kept is None else options.kept.bits)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        (dy,), options, wanted = gradients, ctx.options, ctx.needs_input_grad[2:]
        *inputs, read, slope, mean, rate, bits = ctx.saved_tensors
        x, weight, _, gain, _ = inputs
        if bits is not None:
            options = options._replace(kept=Kept(bits, ctx.least, ctx.scale))
        if torch.is_grad_enabled():
            found = _of_reference(options, ctx.low, wanted[:5], inputs, dy, added=ctx.added)
        else:
            found = backward(
                options, ctx.low, wanted, x, weight, gain, read, slope, mean, rate, dy, added=ctx.added
            )
        found = tuple(part if needed else None for part, needed in zip(found, wanted, strict=False))
        return None, None, *found, dy if ctx.added else None


def _of_reference(
    options: Affine, low: torch.dtype, wanted: tuple[bool, ...], saved: list[Any], dy: Tensor, *, added: bool
) -> tuple[Tensor | None, ...]:
    """The same derivatives as a graph that can itself be differentiated, of any order: the reference is run anew."""
    # Aliases, for the outer graph already has the derivatives of one input by another.
    inputs = [None if part is None else part.view_as(part) for part in saved]
    number = saved[1].dtype
    y = in_number(options, *inputs, number=number, found=number if added else low)
    return tuple(derivatives((y,), (dy,), inputs, create_graph=True))

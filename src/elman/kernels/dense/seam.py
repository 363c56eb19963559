"""The two operators, and the choice between the compiled core and torch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.dense.reference import Affine, Kept
from elman.kernels.native import dense as native
from elman.kernels.native.library import entry, has_avx512, is_traced, why_not_here

NUMBERS = (torch.float32, torch.float64)


def normed_linear(
    x: Tensor, norm: nn.LayerNorm | None, linear: nn.Linear, activation: Literal["gelu"] | None = None
) -> Tensor:
    """y = act(norm(x) W^T + b): x (..., K) -> y (..., N), with the parameters of the modules.

    `norm=None`: x itself. The activation is the exact GELU, u Phi(u), or none. Under autocast y has its dtype, and the
    numbers that the product reads are rounded to it; all else is computed in float32.
    """
    if is_native(x, norm, linear):
        given = (None, None, 1e-5) if norm is None else (norm.weight, norm.bias, norm.eps)
        return _native(Affine(given[2], activation == "gelu"), x, linear, given[0], given[1], None)
    y = linear(x if norm is None else norm(x))
    return F.gelu(y) if activation == "gelu" else y


def added_linear(x: Tensor, a: Tensor, linear: nn.Linear, kept: Kept | None = None) -> Tensor:
    """y = x + kept * (a W^T + b): x (..., N), a (..., K) -> y (..., N), with the parameters of the module.

    `kept` is what dropout keeps (`elman.nn.dropout.Dropout.add` draws it); None: everything. Under autocast as in
    `normed_linear`, but y has the dtype of x.
    """
    if is_native(a, None, linear) and x.dtype == linear.weight.dtype and x.shape == (*a.shape[:-1], len(linear.weight)):
        return _native(Affine(kept=kept), a, linear, None, None, x)
    y = linear(a)
    return x + (y if kept is None else y * kept.mask(y))


def is_native(x: Tensor, norm: nn.LayerNorm | None, linear: nn.Linear) -> bool:
    """Whether the core serves a call: it has one kind of module, and of numbers, and pays with AVX-512."""
    if not has_avx512() or is_traced(x) or not x.is_cpu or why_not_here() is not None:
        return False
    if not is_plain(linear, nn.Linear) or not (norm is None or is_plain(norm, nn.LayerNorm)):
        return False
    weight = linear.weight
    mixed = torch.is_autocast_enabled("cpu")
    if mixed and torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return False
    kinds = (weight.dtype, torch.bfloat16) if mixed and norm is None else (weight.dtype,)
    if weight.dtype not in NUMBERS or x.dtype not in kinds or not weight.is_cpu:
        return False
    return x.shape[-1:] == weight.shape[1:] and (norm is None or (norm.normalized_shape == weight.shape[1:] and norm.weight is not None and norm.weight.dtype == weight.dtype))


def is_plain(module: nn.Module, kind: type) -> bool:
    """Whether a module is what it seems: nothing is parametrized, wrapped, or called before or after it."""
    return type(module) is kind and not module._forward_hooks and not module._forward_pre_hooks


def _native(
    options: Affine, x: Tensor, linear: nn.Linear, gain: Tensor | None, shift: Tensor | None, residual: Tensor | None
) -> Tensor:
    weight, bias = linear.weight, linear.bias
    shape = (*x.shape[:-1], len(weight))
    low = torch.bfloat16 if torch.is_autocast_enabled("cpu") and weight.dtype == torch.float32 else weight.dtype
    flat = x.reshape(-1, x.shape[-1]).contiguous()
    rest = None if residual is None else residual.reshape(-1, len(weight)).contiguous()
    inputs = (flat, weight.contiguous(), bias, gain, shift, rest)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs):
        return native.Product.apply(options, low, *inputs).view(shape)
    return native.forward(options, low, *inputs, keep=False)[0].view(shape)

"""The two operators, and the choice between the compiled core and torch."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.dense.reference import Affine, Kept
from elman.kernels.native import dense as native
from elman.kernels.native.library import has_avx512, is_traced, why_not_here

PLAIN, GELU = Affine(), Affine(gelu=True)

# Without gradients and in one precision there is little to join to so few rows: torch's product and sum took 0.55 to
# 0.8 of the time of the core's at a width of 128, and up to 1.1 at 384.
FEW_ROWS = 32
KINDS = (Tensor, nn.Parameter)  # what else there is may hold no numbers, or others


def normed_linear(
    x: Tensor, norm: nn.LayerNorm | None, linear: nn.Linear, activation: Literal["gelu"] | None = None
) -> Tensor:
    """y = act(norm(x) W^T + b): x (..., K) -> y (..., N), with the parameters of the modules.

    `norm=None`: x itself. The activation is the exact GELU, u Phi(u), or none. Under autocast y has its dtype, and the
    numbers that the product reads are rounded to it; all else is computed in float32.
    """
    serves = inputs_of_core(x, norm, linear, None)
    if serves is None:
        y = linear(x if norm is None else norm(x))
        return F.gelu(y) if activation == "gelu" else y
    options = GELU if activation == "gelu" else PLAIN
    if norm is not None and norm.eps != options.eps:
        options = options._replace(eps=norm.eps)
    return _native(options, *serves)


def added_linear(x: Tensor, a: Tensor, linear: nn.Linear, kept: Kept | None = None) -> Tensor:
    """y = x + kept * (a W^T + b): x (..., N), a (..., K) -> y (..., N), with the parameters of the module.

    `kept` is what dropout keeps (`elman.nn.dropout.Dropout.add` draws it); None: everything. Under autocast as in
    `normed_linear`, but y has the dtype of x.
    """
    few = not torch.is_grad_enabled() and a.numel() <= FEW_ROWS * a.shape[-1] and a.dtype == x.dtype
    serves = None if few and not torch.is_autocast_enabled("cpu") else inputs_of_core(a, None, linear, x)
    if serves is None or (kept is not None and not _fits(kept.bits, x)):
        y = linear(a)
        return x + (y if kept is None else y * kept.mask(y))
    return _native(PLAIN if kept is None else Affine(kept=kept), *serves)


class InputsOfCore(NamedTuple):
    """What the core's product reads, in one precision, contiguous, on a CPU, and of shapes that fit."""

    low: torch.dtype  # of the numbers that are multiplied
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    gain: Tensor | None = None
    shift: Tensor | None = None
    residual: Tensor | None = None


def inputs_of_core(
    x: Tensor, norm: nn.LayerNorm | None, linear: nn.Linear, residual: Tensor | None
) -> InputsOfCore | None:
    """The inputs of the core's product; None where torch serves the call, or refuses it.

    The core serves on a CPU with AVX-512, where nothing traces or transforms the call, modules that are what they seem
    (neither parametrized nor with hooks), in float32 or float64, under autocast to bfloat16 too. It is handed addresses
    and could not tell whether a shape fits.
    """
    if (
        is_traced(x)  # first, for a compiler looks into all else
        or not (has_avx512() and x.is_cpu)
        or why_not_here() is not None
        or not _is_plain(linear, nn.Linear)
    ):
        return None
    own = linear._parameters  # at once: `linear.weight` asks three dictionaries
    weight, bias, gain, shift = cast(Tensor, own["weight"]), own["bias"], None, None
    (N, K), wide = weight.shape, weight.dtype
    low = wide
    if torch.is_autocast_enabled("cpu") and wide == torch.float32:
        low = torch.get_autocast_dtype("cpu")
    if norm is not None:
        if not _is_plain(norm, nn.LayerNorm):
            return None
        gain, shift = norm._parameters["weight"], norm._parameters["bias"]
        if gain is None:
            return None
    if not (low == wide in (torch.float32, torch.float64) or low == torch.bfloat16 != wide == torch.float32):
        return None
    shape = x.shape
    if K == 0 or shape[-1:] != (K,) or not (x.dtype == wide or (x.dtype == low and norm is None)):
        return None
    if residual is not None and residual.shape != (*shape[:-1], N):
        return None
    for part, size in ((bias, N), (gain, K), (shift, K), (weight, None), (residual, None)):
        if part is None:
            continue
        if (
            part.dtype != wide
            or not part.is_cpu
            or type(part) not in KINDS
            or (size is not None and part.shape != (size,))
        ):
            return None
    rest = (
        part if part is None or part.is_contiguous() else part.contiguous() for part in (bias, gain, shift, residual)
    )
    return InputsOfCore(low, x.contiguous(), weight.contiguous(), *rest)


def _fits(bits: Tensor, x: Tensor) -> bool:
    return bits.dtype == torch.int16 and bits.numel() == x.numel() and bits.is_contiguous() and type(bits) is Tensor


def _is_plain(module: nn.Module, kind: type) -> bool:
    return type(module) is kind and not (module._forward_hooks or module._forward_pre_hooks)


def _native(options: Affine, low: torch.dtype, *inputs: Tensor | None) -> Tensor:
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs):
        y: Tensor = native.Product.apply(options, low, *inputs)
        return y
    return native.forward(options, low, *inputs, keep=False)[0]  # type: ignore[arg-type]

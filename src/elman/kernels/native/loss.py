"""The loss of an output layer by the compiled core: two readings of each logit, and one writing of its gradient."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from elman.kernels.native.library import entry, fields_of, is_traced, parallel_for, run


class LossCall(ctypes.Structure):
    """`struct Loss` of loss.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "N V"),
        *fields_of(ctypes.c_int32, "threads learn"),
        ("parallel_for", ctypes.c_void_p),
        ("smoothing", ctypes.c_double),
        *fields_of(ctypes.c_void_p, "targets bias logits dbias sums others"),
    )


def serves(logits: Tensor) -> bool:
    """Whether the core can take the loss of such logits."""
    return logits.is_cpu and not is_traced(logits) and entry("loss", logits.dtype) is not None


def take_loss(
    logits: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, learn: bool, dbias: Tensor | None
) -> Tensor:
    """`elman.kernels.loss.take_loss`, which has checked the targets; the losses are in float64."""
    N, V = logits.shape
    exact = torch.promote_types(logits.dtype, torch.float32)
    targets, bias = targets.contiguous(), None if bias is None else bias.to(exact).contiguous()
    assert logits.is_contiguous()
    assert targets.shape == (N,)
    assert all(part is None or part.shape == (V,) for part in (bias, dbias))
    assert dbias is None or dbias.dtype == exact
    assert dbias is None or dbias.is_contiguous()
    sums, others = torch.ones(N, dtype=torch.double), torch.zeros(N, dtype=torch.double)
    addresses = (None if part is None else part.data_ptr() for part in (targets, bias, logits, dbias, sums, others))
    call = LossCall(N, V, torch.get_num_threads(), int(learn), parallel_for(), smoothing, *addresses)
    run("loss", logits.dtype, call)
    return sums.log_().add_(others)

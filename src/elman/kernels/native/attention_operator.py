"""Native attention as an operator of torch, for `torch.compile` and `torch.export`: one node for a call of any T.

A kernel that is called directly takes the shorter way of `attention_passes.py`, which computes the same. An operator
cannot return None: empty tensors stand for absent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from elman.kernels.attention.sight import Sight
from elman.kernels.native import attention_passes as passes
from elman.kernels.native.attention_passes import TENSORS, Given

INPUTS = 7  # that are differentiated


@torch.library.custom_op("elman::attend", mutates_args=(), device_types="cpu")
def attend(
    q: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    memory_keys: Tensor | None,
    memory_values: Tensor | None,
    gain_q: Tensor | None,
    gain_k: Tensor | None,
    cosines: Tensor | None,
    sines: Tensor | None,
    kept: Tensor | None,
    position: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    heads: int,
    causal: bool,
    window: int | None,
    eps: float,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """y and the memory's keys and values after; with `keep`, what backward needs beside them."""
    given = Given(cosines, sines, kept, position, lengths, resets, heads, causal, window, eps)
    inputs = (q, k, v, memory_keys, memory_values, gain_q, gain_k)
    found = passes.forward(given, inputs, keep=keep)
    return cast(Any, tuple(q.new_empty(0) if part is None else part for part in found))


@attend.register_fake
def _shapes(q: Tensor, k: Any, v: Any, memory_keys: Tensor | None, *others: Any) -> tuple[Tensor, ...]:
    *_, heads, causal, window, _, keep = others
    B, T, _, D = q.shape
    after = [q.new_empty(0), q.new_empty(0)]
    if memory_keys is not None:
        _, G, C, _ = memory_keys.shape
        slots = Sight(causal, window).slots_after(C, T)
        after = [memory_keys.new_empty(B, G, slots, D) for _ in after]
    small = torch.promote_types(q.dtype, torch.float32)
    kept = [q.new_empty((B, heads, T), dtype=small) if keep else q.new_empty(0) for _ in range(2)]
    return q.new_empty(B, T, heads, D), *after, *kept


@torch.library.custom_op("elman::attend_backward", mutates_args=(), device_types="cpu")
def attend_backward(
    saved: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
    of_memory: bool,
    heads: int,
    causal: bool,
    window: int | None,
    eps: float,
) -> list[Tensor]:
    """The derivatives by the inputs that are there, in their order; those by memory if it is `of_memory`.

    `saved` by `_keep_for_backward`; `gradients` by y and by the memory after.
    """
    inputs, rest, kept = saved[:INPUTS], saved[INPUTS : INPUTS + TENSORS], saved[INPUTS + TENSORS :]
    given = Given(*cast(Any, (*rest, heads, causal, window, eps)))
    wanted = [True] * 3 + [of_memory] * 2 + [True] * 2
    found = passes.backward(given, wanted, inputs, kept, gradients)
    return [part for part, needed in zip(found, wanted, strict=True) if needed and part is not None]


@attend_backward.register_fake
def _backward_shapes(saved: Sequence[Tensor | None], gradients: Any, of_memory: bool, *_: Any) -> list[Tensor]:
    sought = [*saved[:3], *(saved[3:5] if of_memory else ()), *saved[5:INPUTS]]
    return [torch.empty_like(part, memory_format=torch.contiguous_format) for part in sought if part is not None]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, (*ctx.settings, ctx.kept) = inputs[: INPUTS + TENSORS], inputs[INPUTS + TENSORS :]
    ctx.present = [part is not None for part in tensors[:INPUTS]]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, output[0], *output[3:])


def _derive(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    if not ctx.kept:
        raise RuntimeError("native attention was traced without gradients and has none: trace with gradients")
    of_memory = any(ctx.needs_input_grad[3:5])
    gradients = (gradients[0], *(part if ctx.present[3] else None for part in gradients[1:3]))
    found = iter(attend_backward(ctx.saved_tensors, gradients, of_memory, *ctx.settings))
    of_inputs = [
        next(found) if present and (of_memory or n not in (3, 4)) else None for n, present in enumerate(ctx.present)
    ]
    return *of_inputs, *[None] * (TENSORS + len(ctx.settings) + 1)


attend.register_autograd(_derive, setup_context=_keep_for_backward)

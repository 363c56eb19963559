"""The backend "native" of attention: compiled for the CPU, forward and backward, with memory read where it lies."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.kernels.attention.seam import Attended, AttentionCall
from elman.kernels.native import attention_operator
from elman.kernels.native import attention_passes as passes
from elman.kernels.native.library import NAMES, is_traced, library, why_not_here


def why_not(device: torch.device, dtype: torch.dtype) -> str | None:
    """The reason why the native kernel cannot serve queries of such a kind, or None."""
    if device.type != "cpu":
        return "it runs on a CPU alone"
    if library() is None:
        return "it was not built (it needs a C++ compiler when elman is installed)"
    if dtype not in NAMES:
        return f"it knows float32, float64 and bfloat16, not {str(dtype).removeprefix('torch.')}"
    return why_not_here()


def attend(call: AttentionCall) -> Attended:
    """Attention of a call, in the type of its queries.

    Raises:
        ValueError: shapes or types do not fit each other. The core is handed addresses and could not tell.
    """
    q, k, v, memory, sight, rotation, gains, eps, kept, in_place, together = call
    k, v = k.to(q.dtype), v.to(q.dtype)  # those of a source may have been kept in float32
    small = torch.promote_types(q.dtype, torch.float32)
    _check(call)
    cosines, sines = (None, None) if rotation is None else (_ready(part, small) for part in rotation)
    given = passes.Given(
        cosines,
        sines,
        _ready(kept, small),
        _ready(sight.position, torch.int64),
        _ready(sight.lengths, torch.int64),
        _ready(sight.resets, torch.bool),
        q.shape[2],
        sight.causal,
        sight.window,
        eps,
    )
    keys_before, values_before = memory or (None, None)
    rest = [_ready(part, small) for part in (keys_before, values_before, *gains)]
    keep = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (q, k, v, *rest))
    whole = together if keep else None  # without derivatives, the slices are as good
    inputs = [*(_rows(part) for part in (q, k, v)), *rest] if whole is None else [_rows(whole), None, None, *rest]
    if is_traced(q):
        y, *after = attention_operator.attend(*cast(Any, inputs), *given, keep)[:3]
    elif keep:
        y, *after = passes.AttentionNode.apply(given, *inputs)
    else:
        y, *after = passes.forward(given, inputs, keep=False, in_place=in_place)[:3]
    if memory is None:
        return Attended(y, None)
    return Attended(y, cast(Any, tuple(part.to(before.dtype) for part, before in zip(after, memory, strict=True))))


def _ready(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if x is None or (x.dtype == dtype and x.is_contiguous()):
        return x  # at once, for a server's single step
    return x.to(dtype).contiguous()


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _check(call: AttentionCall) -> None:
    (B, T, N, D), (_, S, G, _) = call.queries.shape, call.keys.shape
    C = 0 if call.memory is None else call.memory[0].shape[2]
    sight = call.sight
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("keys", call.keys, (B, S, G, D)),
        ("values", call.values, (B, S, G, D)),
        *(
            (f"memory's {name}", part, (B, G, C, D))
            for name, part in zip(("keys", "values"), call.memory or (), strict=False)
        ),
        *((f"gain of {name}", part, (D,)) for name, part in zip(("queries", "keys"), call.gains, strict=True)),
        ("position", sight.position, (B,)),
        ("lengths", sight.lengths, (B,)),
        ("resets", sight.resets, (B, T)),
        ("kept", call.kept, (B, N, T, C + S)),
    ]
    if call.rotation is not None:
        rows = len(call.rotation[0])
        expected += [
            (f"rotation's {name}", part, (B if rows > 1 else 1, T, D // 2))
            for name, part in zip(("cosines", "sines"), call.rotation, strict=True)
        ]
    for name, part, shape in expected:
        if part is not None and (part.shape != shape or part.device != call.queries.device):
            raise ValueError(
                f"{name}: expected {shape} on {call.queries.device}, got {tuple(part.shape)} on {part.device}"
            )
    if G == 0 or N % G:
        raise ValueError(f"heads: expected a multiple of the {G} key heads, got {N}")
    if (sight.causal or call.memory is not None or call.rotation is not None) and S != T:
        raise ValueError(f"keys: expected one for each of the {T} queries, got {S}")
    if call.rotation is not None and D % 2:
        raise ValueError(f"rotation: expected an even head size, got {D}")
    if call.memory is not None and not sight.causal:
        raise ValueError("memory: expected causal attention")
    if sight.window is not None and sight.window < 1:
        raise ValueError(f"window: expected at least 1, got {sight.window}")

"""Attention around the compiled core, as one node of autograd's graph.

Forward keeps, beside its inputs and y, two numbers a query: the largest logit, and 1 over the sum of the exponentials.
Backward computes the weights anew. In bfloat16 (queries, keys, values, y and their derivatives) every product
reads bfloat16 and adds in float32; memory, norms and rotations are float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from elman.kernels.attention import reference
from elman.kernels.attention.seam import AttentionCall
from elman.kernels.attention.sight import Sight, slots_needed
from elman.kernels.native.library import fields_of, parallel_for, run
from elman.kernels.recomputation import derivatives


class Strides(ctypes.Structure):
    """`struct Strides` of attend.h."""

    _fields_ = (*fields_of(ctypes.c_int64, "row step head"),)


class Attend(ctypes.Structure):
    """`struct Attend` of attend.h, where the fields are explained."""

    _fields_ = (
        *fields_of(ctypes.c_int64, "B T S N G D C capacity window tables"),
        ("epsilon", ctypes.c_double),
        *fields_of(ctypes.c_int32, "causal threads"),
        *fields_of(ctypes.c_void_p, "parallel_for"),
        *fields_of(Strides, "q_at k_at v_at dq_at dk_at dv_at"),
        *fields_of(ctypes.c_void_p, "q k v memory_keys memory_values position lengths resets"),
        *fields_of(ctypes.c_void_p, "cosines sines gain_q gain_k kept"),
        *fields_of(ctypes.c_void_p, "y largest inverse keys_after values_after"),
        *fields_of(ctypes.c_void_p, "dy dkeys_after dvalues_after"),
        *fields_of(ctypes.c_void_p, "dq dk dv dmemory_keys dmemory_values dgain_q dgain_k rows"),
    )


class Given(NamedTuple):
    """The arguments that are not differentiated; tensors are contiguous."""

    cosines: Tensor | None  # (B or 1, T, D/2)
    sines: Tensor | None
    kept: Tensor | None  # (B, N, T, C + S)
    position: Tensor | None  # (B,) int64
    lengths: Tensor | None  # (B,) int64
    resets: Tensor | None  # (B, T) boolean
    heads: int  # N
    causal: bool
    window: int | None
    eps: float

    def sight(self) -> Sight:
        """The same for the reference."""
        return Sight(self.causal, self.window, self.position, self.lengths, self.resets)


TENSORS = 6  # of `Given`
Inputs = Sequence[Tensor | None]
"""q (B, T, N, D), k and v (B, S, G, D), or q with both (B, T, N + 2G, D), None and None; then the memory's keys and
values (B, G, C, D) and the gains of queries and keys (D,), or None."""


def split(inputs: Inputs, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, perhaps of one tensor of all of them."""
    first, k, v = cast(Tensor, inputs[0]), *inputs[1:3]
    if k is not None and v is not None:
        return first, k, v
    groups = _key_heads(inputs, heads)
    return cast(Any, first.split((heads, groups, groups), dim=2))


def forward(given: Given, inputs: Inputs, *, keep: bool, in_place: bool = False) -> tuple[Tensor | None, ...]:
    """(y, keys_after, values_after, largest, inverse): what follows y if there is a memory, and to `keep`."""
    q, memory_keys, memory_values = cast(Tensor, inputs[0]), *inputs[3:5]
    (B, T, _, D), N, small = q.shape, given.heads, _small(q)
    after: tuple[Tensor | None, Tensor | None] = (None, None)
    if memory_keys is not None and memory_values is not None:
        G, C = memory_keys.shape[1:3]
        if in_place and slots_needed(given.position, T, given.window) <= C:
            after = memory_keys, memory_values
        else:
            capacity = given.sight().slots_after(C, T)
            after = memory_keys.new_empty(B, G, capacity, D), memory_keys.new_empty(B, G, capacity, D)
    stats = [q.new_empty(B, N, T, dtype=small) if keep else None for _ in range(2)]
    y = q.new_empty(B, T, N, D)
    places = {"y": y, "keys_after": after[0], "values_after": after[1], "largest": stats[0], "inverse": stats[1]}
    _run("attend", given, inputs, places)
    return y, *after, *stats


def backward(
    given: Given, wanted: Sequence[bool], inputs: Inputs, kept: Inputs, gradients: Inputs
) -> list[Tensor | None]:
    """The derivatives by each input (those not `wanted` may be None).

    `kept` are y, largest and inverse; `gradients` those by y and by the memory after.
    """
    _, _, _, memory_keys, memory_values, *gains = inputs
    y = cast(Tensor, kept[0])
    dy, *dafter = (None if part is None else part.contiguous() for part in gradients)
    if any(part is not None for part in dafter):
        C, T = cast(Tensor, memory_keys).shape[2], y.shape[1]
        shape = (*cast(Tensor, memory_keys).shape[:2], given.sight().slots_after(C, T), y.shape[3])
        dafter = [y.new_zeros(shape, dtype=_small(y)) if part is None else part for part in dafter]
    dy = torch.zeros_like(y) if dy is None else dy.to(y.dtype)
    found = [None if part is None else torch.empty(part.shape, dtype=part.dtype) for part in inputs[:3]]
    dmemory: list[Tensor | None] = [None, None]
    if any(wanted[3:5]):
        dmemory = [torch.empty_like(cast(Tensor, part)) for part in (memory_keys, memory_values)]
    groups = _key_heads(inputs, given.heads)
    dgains = [None if gain is None else gain.new_empty(len(y) * groups, len(gain)) for gain in gains]
    places = {
        "y": y,
        "largest": kept[1],
        "inverse": kept[2],
        "dy": dy,
        "dkeys_after": dafter[0],
        "dvalues_after": dafter[1],
    }
    places |= {"dmemory_keys": dmemory[0], "dmemory_values": dmemory[1], "dgain_q": dgains[0], "dgain_k": dgains[1]}
    _run("attend_backward", given, inputs, places, found)
    return [*found, *dmemory, *(None if part is None else part.sum(0) for part in dgains)]


def _small(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def _key_heads(inputs: Inputs, heads: int) -> int:
    """G, of queries, keys and values apart or in one tensor."""
    together, k = cast(Tensor, inputs[0]), inputs[1]
    return (together.shape[2] - heads) // 2 if k is None else k.shape[2]


def _placed(inputs: Inputs, heads: int) -> list[tuple[int, Strides]]:
    """Address and strides of what `split` gives; views would take longer to make than a small call to run."""
    for part in inputs:
        assert part is None or part.stride(3) == 1, "the numbers of a head are not contiguous"
    if len(inputs) == 0 or inputs[1] is not None:
        return [(part.data_ptr(), Strides(*part.stride()[:3])) for part in cast(list[Tensor], inputs)]
    together = cast(Tensor, inputs[0])
    strides, groups = Strides(*together.stride()[:3]), _key_heads(inputs, heads)
    of_head = strides.head * together.element_size()
    return [(together.data_ptr() + of_head * head, strides) for head in (0, heads, heads + groups)]


def structure(given: Given, inputs: Inputs, places: dict[str, Tensor | None], derivatives: Inputs = ()) -> Attend:
    """The arguments of a pass; `places` are contiguous, and `derivatives` are those by the first three inputs."""
    (B, T, _, D), N, G = cast(Tensor, inputs[0]).shape, given.heads, _key_heads(inputs, given.heads)
    S = T if inputs[1] is None else inputs[1].shape[1]
    memory_keys = inputs[3]
    C = 0 if memory_keys is None else memory_keys.shape[2]
    after = places.get("keys_after")
    capacity = 0 if memory_keys is None else given.sight().slots_after(C, T) if after is None else after.shape[2]
    tables = T * (D // 2) if given.cosines is not None and len(given.cosines) > 1 else 0
    call = Attend(B, T, S, N, G, D, C, capacity, given.window or 0, tables, given.eps, int(given.causal))
    call.threads, call.parallel_for = torch.get_num_threads(), parallel_for()
    placed = _placed(inputs[:3], N) + _placed(derivatives, N)
    for field, (address, strides) in zip(("q", "k", "v", "dq", "dk", "dv"), placed, strict=False):
        setattr(call, field, address)
        setattr(call, f"{field}_at", strides)
    names = ("memory_keys", "memory_values", "gain_q", "gain_k")
    for field, each in (
        *zip(names, inputs[3:], strict=True),
        *zip(Given._fields, cast(Inputs, given[:TENSORS]), strict=False),
        *places.items(),
    ):
        if each is not None:
            assert each.is_contiguous(), f"{field} is not contiguous"
            setattr(call, field, each.data_ptr())
    return call


def _run(name: str, given: Given, inputs: Inputs, places: dict[str, Tensor | None], derivatives: Inputs = ()) -> None:
    """Call the core."""
    run(name, cast(Tensor, inputs[0]).dtype, structure(given, inputs, places, derivatives))


class AttentionNode(torch.autograd.Function):
    """`forward` and `backward` as one node."""

    @staticmethod
    def forward(ctx: Any, given: Given, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: D102
        y, *after, largest, inverse = forward(given, inputs, keep=True)
        ctx.rest = given[TENSORS:]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given[:TENSORS], *inputs, y, largest, inverse)
        return y, *after

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: D102
        saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[1:]
        given, inputs = Given(*saved[:TENSORS], *ctx.rest), saved[TENSORS : TENSORS + len(wanted)]
        if torch.is_grad_enabled():
            return None, *_backward_of_reference(given, wanted, inputs, gradients)
        return None, *backward(given, wanted, inputs, saved[TENSORS + len(wanted) :], gradients)


def _backward_of_reference(
    given: Given, wanted: Sequence[bool], inputs: Inputs, gradients: Inputs
) -> list[Tensor | None]:
    """The same derivatives as a graph that can itself be differentiated, of any order: the reference is run anew."""
    aliases = [None if part is None else part.view_as(part) for part in inputs]  # the outer graph has their derivatives
    q, k, v, memory_keys, memory_values, *gains = (None if part is None else part.to(_small(part)) for part in aliases)
    memory = None if memory_keys is None or memory_values is None else (memory_keys, memory_values)
    rotation = None if given.cosines is None or given.sines is None else (given.cosines, given.sines)
    parts = split((q, k, v), given.heads)
    with torch.autocast("cpu", enabled=False):
        call = AttentionCall(*parts, memory, given.sight(), rotation, cast(Any, tuple(gains)), given.eps, given.kept)
        y, after = reference.attend(call)
    y = y.to(cast(Tensor, inputs[0]).dtype)
    found = derivatives((y, *(after or (None, None))), gradients, aliases, create_graph=True)
    return [part if needed else None for part, needed in zip(found, wanted, strict=True)]

"""The choice of a backend for attention, and the one call of all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from elman.kernels.attention import fused, reference
from elman.kernels.attention.seam import Attended, AttentionCall, Gains, Memory, Rotation
from elman.kernels.attention.sight import Sight, visible

BACKENDS: dict[str, Callable[[AttentionCall], Attended]] = {"torch": fused.attend, "reference": reference.attend}


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    memory: Memory | None,
    sight: Sight,
    *,
    rotation: Rotation | None = None,
    gains: Gains = (None, None),
    eps: float = 1e-5,
    kept: Tensor | None = None,
    in_place: bool = False,
    backend: str | None = None,
) -> Attended:
    """Attention of T queries to the keys that they see, in memory and among S new ones.

        q, k = rotate(norm(q)), rotate(norm(k))          per head: y = (softmax(q kᵀ / √D) ⊙ kept) v

    Vaswani et al. 2017, "Attention is all you need"; grouped heads: Ainslie et al. 2023, arXiv:2305.13245, where query
    head n reads key head n // (N/G). Keys are remembered after norm and rotation, for the position of a key stays.

    Args:
        queries: (B, T, N, D), perhaps a slice of a larger tensor.
        keys: (B, S, G, D), N a multiple of G; S = T where there is a memory.
        values: (B, S, G, D).
        memory: keys and values of earlier steps; None: there are none, and none are kept.
        sight: which keys each query sees.
        rotation: of the new steps.
        gains: of the norms.
        eps: of the norms.
        kept: dropout of the weights, (B, N, T, C + S): what each is multiplied by, the slots of memory first.
        in_place: the memory after the call may be the tensors of the memory before it, whose holder has no more use
            for what they held. Without gradients.
        backend: one of `BACKENDS`; None is the fastest that can.
    """
    call = AttentionCall(queries, keys, values, memory, sight, rotation, gains, eps, kept, in_place)
    return BACKENDS[backend or choose(queries.device, queries.dtype)](call)


def choose(device: torch.device, dtype: torch.dtype) -> str:
    """The name of the fastest backend for queries of such a kind."""
    return "torch"


def with_mask(sight: Sight, steps: int, slots: int, dtype: torch.dtype, keys: int | None = None) -> Sight:
    """A sight of so many steps, for all layers of a model, with its mask where the backend needs one.

    `keys` is the number of new keys, where this is not `steps`; `dtype` is that of the queries.
    """
    known = sight.position if sight.position is not None else sight.lengths
    if known is None or sight.is_plain(steps, slots) or choose(known.device, dtype) == "native":
        return sight
    return sight._replace(mask=visible(sight, known, steps, steps if keys is None else keys, slots))

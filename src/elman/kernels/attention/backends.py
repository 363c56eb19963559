"""The choice of a backend for attention, and the one call of all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from elman.kernels.attention import fused, reference
from elman.kernels.attention.seam import Attended, AttentionCall
from elman.kernels.attention.sight import Sight, visible
from elman.kernels.native import attention as native

BACKENDS: dict[str, Callable[[AttentionCall], Attended]] = {
    "native": native.attend,
    "torch": fused.attend,
    "reference": reference.attend,
}


def attend(call: AttentionCall, backend: str | None = None) -> Attended:
    """Attention of T queries to the keys that they see, in memory and among S new ones.

        q, k = rotate(norm(q)), rotate(norm(k))          per head: y = (softmax(q kᵀ / √D) ⊙ kept) v

    Vaswani et al. 2017, "Attention is all you need"; grouped heads: Ainslie et al. 2023, arXiv:2305.13245, where query
    head n reads key head n // (N/G). Keys are remembered after norm and rotation, for the position of a key stays.
    `backend` is one of `BACKENDS`, or None for the fastest that can.
    """
    if backend is None:
        backend = choose(call.queries.device, call.queries.dtype)
    return BACKENDS[backend](call)


def choose(device: torch.device, dtype: torch.dtype) -> str:
    """The name of the fastest backend for queries of such a kind."""
    return "torch" if native.why_not(device, dtype) else "native"


def with_mask(sight: Sight, steps: int, slots: int, dtype: torch.dtype, keys: int | None = None) -> Sight:
    """A sight of so many steps, for all layers of a model, with its mask where the backend needs one.

    `keys` is the number of new keys, where this is not `steps`; `dtype` is that of the queries.
    """
    known = sight.position if sight.position is not None else sight.lengths
    if known is None or sight.is_plain(steps, slots) or choose(known.device, dtype) == "native":
        return sight
    return sight._replace(mask=visible(sight, known, steps, steps if keys is None else keys, slots))

"""Attention by torch's own fused kernel: what a GPU has, and a CPU without the compiled core."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from elman.kernels.attention import reference
from elman.kernels.attention.seam import Attended, AttentionCall


def attend(call: AttentionCall) -> Attended:
    """The backend "torch"; with dropout, the readable one, for torch's kernel draws its own numbers."""
    if call.kept is not None:
        return reference.attend(call)
    q, k, v, mask, memory = reference.prepare(call, masked=False)
    # On a CPU, torch's backward pass of attention takes two to three times as long in bfloat16 as in float32.
    with torch.autocast("cpu", enabled=False):
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=call.sight.causal and mask is None)
    return Attended(y.transpose(1, 2), memory)

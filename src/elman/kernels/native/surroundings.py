"""What goes on around a call of the core, which works on numbers that are there and no more."""

from __future__ import annotations

import torch
from torch import Tensor


def is_traced(x: Tensor) -> bool:
    """Whether something records what is done with x, or x is not even there, so that only an operator will do."""
    if torch.compiler.is_compiling():
        return True
    return torch._C._len_torch_dispatch_stack() > 0 or type(x) not in (Tensor, torch.nn.Parameter)


def why_not_here() -> str | None:
    """What transforms or traces the call in a way that not even an operator could serve; None: nothing does."""
    if torch._C._are_functorch_transforms_active():
        return "it cannot be transformed by torch.func"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivatives"
    if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None:
        return "it cannot be traced by torch.jit"
    return None

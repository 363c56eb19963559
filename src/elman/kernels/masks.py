"""Which steps are real, and before which a row's memory is cleared."""

from __future__ import annotations

import torch
from torch import Tensor


def real_steps(lengths: Tensor, T: int) -> Tensor:
    """The steps that are not padding, (T, B) boolean.

    >>> real_steps(torch.tensor([2, 0, 3]), 3).int()
    tensor([[1, 0, 1],
            [1, 0, 1],
            [0, 0, 1]], dtype=torch.int32)
    """
    return torch.arange(T, device=lengths.device)[:, None] < lengths  # (T, B)


def clears(resets: Tensor, real: Tensor | None, reverse: bool) -> Tensor:
    """The steps before whose reading, in the direction of reading, a row is cleared: (T, B) boolean.

    The border that `resets[t]` draws lies between the steps t - 1 and t. Who comes from the right meets it
    before reading t - 1; the border at the left edge (t = 0) is met by nobody, so a final state stays.

    >>> clears(torch.tensor([[True], [False], [True]]), None, reverse=True).flatten()
    tensor([False,  True, False])
    """
    if real is not None:
        resets = resets & real
    return torch.cat([resets[1:], torch.zeros_like(resets[:1])]) if reverse else resets


def blank_padding(x: Tensor, real: Tensor) -> Tensor:
    """Zeros in place of the padding of x (T, B, D); no gradient flows there, not even NaN."""
    return torch.where(real[..., None], x, torch.zeros((), dtype=x.dtype, device=x.device))

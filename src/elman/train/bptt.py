"""Truncated backpropagation through time with two lengths (Williams & Peng 1990: BPTT(h; h')).

A sequence is read in stretches of `k1` steps. The loss is taken on each stretch once, and its gradient
flows back through the last `k2 >= k1` steps that end with it:

    steps              0         k1       2*k1      3*k1      4*k1
    loss on            .         .         |---------|          .
    gradient through   .    |------------------------|          .     k2 steps
    the next one's     .         .    |------------------------|      begins at 4*k1 - k2: its state is kept

`k1 = k2` is the usual case. With `k2 > k1` the steps before the stretch are read again, from the state that
was kept, so that the gradient is the exact one of today's weights. `k2 = None` goes back to the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.state import State, detach


@dataclass(frozen=True)
class Stretch:
    """Steps [start, stop) give the loss; the graph begins at `begin`; the next one's graph begins at `keep`."""

    begin: int
    start: int
    stop: int
    keep: int


def count(steps: int, k1: int) -> int:
    """How many stretches of `k1` steps a sequence of `steps` has; the last may be shorter.

    >>> count(100, 32)
    4
    """
    return -(-steps // k1)


def stretch(index: int, steps: int, k1: int, k2: int | None, begin: int | None = None) -> Stretch:
    """The `index`-th stretch of a sequence of `steps` steps.

    `begin` is where the memory stands that was kept; None: where this `k2` would have kept it. The two differ where
    `k2` has just changed: a window grows step by step, as no memory of an earlier step is there any more.

    >>> stretch(2, 100, k1=10, k2=10)
    Stretch(begin=20, start=20, stop=30, keep=30)
    >>> stretch(2, 100, k1=10, k2=25)
    Stretch(begin=5, start=20, stop=30, keep=15)
    >>> stretch(2, 100, k1=10, k2=None)
    Stretch(begin=0, start=20, stop=30, keep=0)
    >>> stretch(2, 100, k1=10, k2=25, begin=20)
    Stretch(begin=20, start=20, stop=30, keep=20)
    """
    start, end = index * k1, (index + 1) * k1
    stop = min(end, steps)
    if k2 is None:
        return Stretch(0, start, stop, 0)
    if begin is None:
        begin = max(0, end - k2)
    return Stretch(begin, start, stop, min(max(begin, end + k1 - k2), stop))


def read(
    read_steps: Callable[[int, int, State | None], tuple[Tensor, State]], part: Stretch, state: State | None
) -> tuple[Tensor, State | None]:
    """Read one stretch with its gradient's past.

    Args:
        read_steps: reads steps [a, b) from a state: outputs (B, b - a, ...) and the new state.
        part: which steps.
        state: the memory at `part.begin`; None is a fresh one.

    Returns:
        The outputs of steps [start, stop), and the memory at `part.keep`, detached: this is the only place
        where elman cuts a gradient through time.
    """
    outputs: list[Tensor] = []
    kept = state
    if part.begin < part.keep:
        output, kept = read_steps(part.begin, part.keep, state)
        outputs.append(output)
    if part.keep < part.stop:
        output, _ = read_steps(part.keep, part.stop, kept)
        outputs.append(output)
    whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)  # (B, stop - begin, ...)
    return whole[:, part.start - part.begin :], None if kept is None else detach(kept)

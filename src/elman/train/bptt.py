"""Truncated backpropagation through time with two lengths (Williams & Peng 1990: BPTT(h; h')).

A sequence is read in stretches of `k1` steps. The loss is taken on each stretch once, and its gradient flows back
through the last `k2 >= k1` steps that end with the stretch:

    steps                    0         k1       2*k1      3*k1      4*k1
    loss on                  .         .         |---------|          .
    gradient through         .    |------------------------|          .     k2 steps
    of the next stretch      .         .    |------------------------|      begins at 4*k1 - k2: this state is kept

`k1 = k2` is the usual case. With `k2 > k1` the steps before the stretch are read again from the kept state, so that
the gradient is exact for the present weights. With `k2 = None` the gradient flows back to the beginning.

>>> [stretch(index, steps=40, k1=10, k2=20).begin for index in range(count(40, 10))]
[0, 0, 10, 20]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.state import State, detach

__all__ = ["Stretch", "count", "read", "stretch"]


@dataclass(frozen=True)
class Stretch:
    """Steps [start, stop) give the loss. The graph begins at `begin`, and that of the next stretch at `keep`.

    >>> stretch(1, steps=100, k1=32, k2=64)
    Stretch(begin=0, start=32, stop=64, keep=32)
    """

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

    `begin` is the step of the kept state; None stands for the step at which this `k2` would have kept the state. The
    two differ where `k2` has just grown: no earlier state is left, so the graph lengthens stretch by stretch.

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
    """Read one stretch, and before it the steps through which its gradient flows back.

    `read_steps` reads steps [a, b) from a state, and returns outputs (B, b - a, ...) and the new state. `state` is that
    at `part.begin`; None is a fresh one. Returns the outputs of steps [start, stop) and the state at `part.keep`,
    detached: elman cuts a gradient through time nowhere else.

    >>> from elman.models import build
    >>> model, tokens = build({"model": "gru", "vocab_size": 9, "hidden_size": 4}), torch.randint(9, (2, 100))
    >>> state, shapes = None, []
    >>> for index in range(count(99, 32)):
    ...     part = stretch(index, 99, k1=32, k2=48)
    ...     hidden, state = read(lambda a, b, state: model.read(tokens[:, a:b], state), part, state)
    ...     shapes.append(hidden.shape[1])
    >>> shapes
    [32, 32, 32, 3]
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

"""The gradient of a text that is cut into stretches, read one after the other or with blocks of the text side by side.

Short stretches one after the other read every weight for a few tokens alone. Where a block of the text begins, the
memory is the same however its past was cut, so that blocks can be rows of one batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from elman.lens.observe import cross_entropy
from elman.state import State, concatenate
from elman.train import bptt

BLOCK = 32  # steps of a block
SHORT = 8  # the longest stretch that is worth its blocks
TIMED = 4  # stretches whose time stands for all


@dataclass(frozen=True)
class Text:
    """Rows of steps, and how a model reads them."""

    model: Any
    reading: Callable[..., tuple[Tensor, Any]]
    output: Callable[[Tensor], Tensor]
    tokens: Tensor  # (B, T) or (B, T, D)
    targets: Tensor  # (B, T)
    resets: Tensor | None  # (B, T)

    @property
    def steps(self) -> int:
        """T."""
        return self.targets.shape[1]

    def read(self, a: int, b: int, state: State | None) -> tuple[Tensor, State]:
        """Steps [a, b)."""
        masks = {} if self.resets is None else {"resets": self.resets[:, a:b]}
        return self.reading(self.tokens[:, a:b], state, **masks)

    def each(self, change: Callable[[Tensor], Tensor]) -> Text:
        """The same of all that has steps."""
        resets = None if self.resets is None else change(self.resets)
        return replace(self, tokens=change(self.tokens), targets=change(self.targets), resets=resets)


@dataclass(frozen=True, eq=False)
class _Kept:
    """A tensor as long as a backward pass may ask for it.

    A part of the graph that no loss reaches dies early, and others may then take its place in memory.
    """

    tensor: Tensor


@dataclass(frozen=True)
class Gradient:
    """The gradient of the sum of a text's losses, by every parameter, and its cost."""

    sums: Sequence[Tensor]
    seconds: float
    kept: int  # the most bytes that a backward pass kept, the parameters aside

    @property
    def vector(self) -> Tensor:
        """All sums one after the other, in float64."""
        return torch.cat([part.flatten() for part in self.sums]).double()


def in_turn(text: Text, state: State | None, window: int, stride: int | None = None) -> Gradient:
    """The losses of every `stride` steps (None: `window`), each through the last `window` steps."""
    parameters = [p for p in text.model.parameters() if p.requires_grad]
    constant = {p.untyped_storage().data_ptr() for p in parameters}
    total = [torch.zeros_like(p) for p in parameters]
    k1, most = stride or window, 0
    begun = time.perf_counter()
    for index in range(bptt.count(text.steps, k1)):
        part = bptt.stretch(index, text.steps, k1, window)
        kept: WeakSet[_Kept] = WeakSet()

        def keep(tensor: Tensor, kept: WeakSet[_Kept] = kept) -> _Kept:
            one = _Kept(tensor.detach())  # an output that holds its own graph would never die
            kept.add(one)
            return one

        with saved_tensors_hooks(keep, attrgetter("tensor")):
            hidden, state = bptt.read(text.read, part, state)
            targets = text.targets[:, part.start : part.stop]
            loss = cross_entropy(text.output(hidden).flatten(0, 1), targets.flatten())
        storages = {s.data_ptr(): s.nbytes() for s in (one.tensor.untyped_storage() for one in kept)}
        most = max(most, sum(size for at, size in storages.items() if at not in constant))
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for sum_, gradient in zip(total, gradients, strict=True):
            if gradient is not None:
                sum_ += gradient
    return Gradient(total, time.perf_counter() - begun, most)


def worth_blocks(text: Text, window: int) -> bool:
    """Whether `side_by_side` is the faster way for stretches of so many steps."""
    return window <= SHORT and BLOCK % window == 0 and text.steps >= 4 * BLOCK


def memories(text: Text, state: State | None) -> list[State]:
    """The memory of a language model before each block, and after the last whole one."""
    found = [text.model.initial_state(len(text.targets)) if state is None else state]
    with torch.no_grad():
        for end in range(BLOCK, text.steps + 1, BLOCK):
            found.append(text.read(end - BLOCK, end, found[-1])[1])
    return found


def side_by_side(text: Text, before: Sequence[State], window: int) -> Gradient:
    """`in_turn`, every block a row of one batch, from the `memories` before the blocks.

    The time is that of a few stretches in turn, evenly chosen, times their number; the last, whose past is the longest,
    is among them.
    """
    *first, last = before
    whole = len(first) * BLOCK
    rows = text.each(lambda x: torch.cat(x[:, :whole].split(BLOCK, dim=1)))
    sums = in_turn(rows, concatenate(first), window).sums
    if whole < text.steps:
        rest = in_turn(text.each(lambda x: x[:, whole:]), last, window).sums
        sums = [one + other for one, other in zip(sums, rest, strict=True)]
    count = text.steps // window
    timed = [_alone(text, before, int(index) * window, window) for index in torch.linspace(0, count - 1, TIMED)]
    seconds = sum(one.seconds for one in timed) / (TIMED * window) * text.steps
    return Gradient(sums, seconds, max(one.kept for one in timed))


def _alone(text: Text, before: Sequence[State], start: int, window: int) -> Gradient:
    """One stretch."""
    block, past = divmod(start, BLOCK)
    state = before[block]
    if past:
        with torch.no_grad():
            _, state = text.read(start - past, start, state)
    return in_turn(text.each(lambda x: x[:, start : start + window]), state, window)

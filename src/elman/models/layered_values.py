"""The values between the nodes of a `LayeredModel`, and which of their steps count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.state import State


class Shape(NamedTuple):
    """The shape of a value."""

    size: int | None  # F; None: tokens
    per_step: bool  # (B, T, F), and of tokens (B, T); else (B, F)

    def __str__(self) -> str:
        return f"({'B, T' if self.per_step else 'B'}{'' if self.size is None else f', {self.size}'})"


class NodeValue(NamedTuple):
    """A value and, of one for each step, the mask that the framework's layers hand on beside it."""

    data: Tensor  # as its `Shape` says
    mask: Tensor | None = None  # (B, T) boolean; None: no step is masked


class StepsOfCall(NamedTuple):
    """What a call says of all values' steps."""

    B: int
    T: int
    lengths: Tensor | None  # (B,): the steps from there on are not there, whatever a mask says
    resets: Tensor | None  # (B, T) boolean

    def real(self, mask: Tensor | None) -> Tensor | None:
        """The steps (B, T) that are there and not masked; None: all."""
        if self.lengths is None:
            return mask
        there = torch.arange(self.T, device=self.lengths.device) < self.lengths[:, None]
        return there if mask is None else there & mask


class Node(nn.Module, ABC):
    """A function of earlier values, with parameters of its own.

    A stateful node remembers what a row has read; its state is a fresh one at first, as `initial_state` makes it.
    """

    stateful = False
    causal = True  # whether a step depends on no later one

    @abstractmethod
    def shape(self, given: Sequence[Shape]) -> Shape:
        """The shape of the value that is made of values of these shapes; raises `UserError` where these do not fit."""

    @abstractmethod
    def forward(
        self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None
    ) -> tuple[NodeValue, State | None]:
        """The value, and the state after it; `before` is None in a model without states."""

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """Zeros, of a dtype and on a device as `like`; nothing of a node that is not stateful."""
        return ()


def one(given: Sequence[Shape], size: int | None = 0, *, per_step: bool = False) -> Shape:
    """The only shape of `given`, if it is of that size (0: any but tokens) and, where `per_step`, has steps."""
    if len(given) != 1:
        raise UserError("inputs", expected="one value", got=len(given))
    (shape,) = given
    if not (shape.size is not None if size == 0 else shape.size == size) or (per_step and not shape.per_step):
        expected = Shape(size, True) if size != 0 else f"({'B, T' if per_step else 'B, …'}, F)"
        raise UserError("inputs", expected=f"a value of shape {expected}", got=str(shape))
    return shape


class Packing:
    """The real steps of every row, moved together to the left, and what is made of these moved back.

    `real` (B, T) says which steps are real, and `resets` (B, T) before which of all steps the memory is made fresh. A
    reset at a step that is not real counts for the next real one.
    """

    def __init__(self, real: Tensor, resets: Tensor | None) -> None:
        self.real, self.lengths = real, real.sum(1)
        self.order = real.logical_not().long().argsort(dim=1, stable=True)  # (B, T): real steps first, in their order
        self.last = real.cumsum(1) - 1  # (B, T): the place of the last real step so far; -1: there is none
        self.segments: Tensor | None = None
        self.resets: Tensor | None = None  # of the packed steps
        if resets is not None:
            self.segments = resets.cumsum(1)  # (B, T): the number of resets so far
            packed = self.segments.gather(1, self.order)
            self.resets = packed != torch.cat((torch.zeros_like(packed[:, :1]), packed[:, :-1]), 1)

    def pack(self, x: Tensor) -> Tensor:
        """x (B, T, F) with the real steps at the left; what follows these is padding."""
        return x.gather(1, self.order[..., None].expand_as(x))

    def unpack(self, y: Tensor, first: Tensor) -> Tensor:
        """y (B, T, F) of packed steps at the places of these; other steps repeat the last real one.

        Steps before the first real one hold `first` (B, F), those between a reset and the next real step zeros.
        """
        place = self.last.clamp(min=0)
        out = y.gather(1, place[..., None].expand_as(y))
        none = self.last < 0
        out = torch.where(none[..., None], first[:, None], out)
        if self.segments is None:
            return out
        read = self.segments.gather(1, self.order).gather(1, place).masked_fill(none, 0)
        return out.masked_fill((read != self.segments)[..., None], 0)

    def cleared(self) -> Tensor | None:
        """The rows (B,) with a reset behind their last real step; None: no row."""
        if self.segments is None or not self.segments.shape[1]:
            return None
        end = (self.lengths - 1).clamp(min=0)[:, None]
        read = self.segments.gather(1, self.order).gather(1, end)[:, 0].masked_fill(self.lengths == 0, 0)
        return self.segments[:, -1] != read

"""Which keys a query of attention sees.

Memory is a ring: the key and the value of a row's step at position p, counted from the row's last reset, lie in slot
p mod M, where M = window − 1; without a window, they lie in slot p. So rows of one batch may have read different
numbers of steps, and the memory grows or turns without moving an entry.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Sight(NamedTuple):
    """What the queries of a call may see; the same for all layers of a model.

    Causal: the query at step t sees itself and the min(position of t, window − 1) steps before it, in memory or among
    the new ones. Not causal: it sees every key before `lengths`.
    """

    causal: bool = True
    window: int | None = None
    position: Tensor | None = None  # (B,) int64: steps that the row has read since its last reset; None: 0
    lengths: Tensor | None = None  # (B,) int64: new keys from there on are padding, which memory does not keep
    resets: Tensor | None = None  # (B, T) boolean: a fresh memory before such a step
    mask: Tensor | None = None  # `visible` of the call, once for all layers, for backends that need it

    def slots_after(self, capacity: int, steps: int) -> int:
        """The number of slots of a memory of `capacity` slots after so many new steps."""
        return capacity + steps if self.window is None else torch.sym_min(capacity + steps, self.window - 1)

    def is_plain(self, steps: int, slots: int) -> bool:
        """Whether each of so many steps sees itself and all new ones before it, and nothing else."""
        in_window = self.window is None or self.window >= steps
        return self.causal and in_window and slots == 0 and self.resets is None


def step_positions(position: Tensor, steps: int, resets: Tensor | None = None) -> Tensor:
    """How many steps each row has read since its last reset, before each of the next `steps`.

    position (B,): steps read before the first; resets (B, T) boolean: a fresh memory before that step.
    Returns (B, T), int64.

    >>> step_positions(torch.tensor([5]), 4, torch.tensor([[False, False, True, False]]))
    tensor([[5, 6, 0, 1]])
    """
    step = torch.arange(steps, device=position.device)
    start = -position[:, None]  # the step at which the row's memory began
    if resets is not None and steps > 0:
        start = torch.where(resets, step, start).cummax(dim=1).values
    return step - start  # (B, T)


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """True where a step belongs to the row: lengths (B,) -> (B, steps).

    >>> padding_mask(torch.tensor([2, 3]), 3).long()
    tensor([[1, 1, 0],
            [1, 1, 1]])
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def slots_needed(position: Tensor | None, steps: int, window: int | None) -> int:
    """The slots of a memory in which rows at position (B,) write so many steps more.

    >>> slots_needed(torch.tensor([5, 2]), 3, None), slots_needed(torch.tensor([5, 2]), 3, window=5)
    (8, 4)
    """
    most = steps if position is None or not len(position) else int(position.max()) + steps
    return most if window is None else min(most, window - 1)


def ages(position: Tensor, slots: int, window: int | None) -> Tensor:
    """How many steps before the next one each of the slots was written, (B, slots); of unused ones more than position.

    >>> ages(torch.tensor([2, 5]), 3, window=4)  # the row with 5 steps has the positions 3, 4, 2 in its slots
    tensor([[2, 1, 3],
            [2, 1, 3]])
    """
    slot = torch.arange(slots, device=position.device)
    before = position[:, None] - slot
    if window is None:  # slot p holds position p
        return torch.where(before > 0, before, before + (1 << 62))
    return (before - 1) % (window - 1) + 1


def visible(sight: Sight, position: Tensor, steps: int, keys: int, slots: int) -> Tensor | None:
    """True where one of T steps sees a slot of memory or one of S new keys: (B or 1, 1, T or 1, slots + S).

    None: each step sees every key. The 1 in the second place stands for every head.

    >>> visible(Sight(), torch.tensor([1]), steps=2, keys=2, slots=2)[0, 0].long()
    tensor([[1, 0, 1, 0],
            [1, 0, 1, 1]])
    """
    if not sight.causal:
        if sight.lengths is None:
            return None
        return padding_mask(sight.lengths, keys)[:, None, None]
    positions = step_positions(position, steps, sight.resets)  # (B, T)
    reach = (positions if sight.window is None else positions.clamp(max=sight.window - 1))[..., None]  # (B, T, 1)
    step = torch.arange(steps, device=position.device)[:, None]
    back = step - torch.arange(keys, device=position.device)  # (T, S)
    new = (back >= 0) & (back <= reach)
    if not slots:
        return new.unsqueeze(1)
    old = ages(position, slots, sight.window)[:, None] + step <= reach  # (B, T, slots)
    return torch.cat((old, new), dim=2).unsqueeze(1)


def remember(memory: Tensor, new: Tensor, sight: Sight, position: Tensor) -> Tensor:
    """Memory (B, G, C, D) after the new entries (B, G, T, D): a copy with a slot for each that is kept.

    Every real step writes its slot in the order of time; slots that no step wrote are as before, and new ones zeros.
    """
    T, after = new.shape[2], sight.slots_after(memory.shape[2], new.shape[2])
    if after == 0:
        return memory[:, :, :0]
    slots = step_positions(position, T, sight.resets)
    if sight.window is not None:
        slots = slots % (sight.window - 1)
    step = torch.arange(T, device=memory.device).expand_as(slots)
    if sight.lengths is not None:
        step = torch.where(step < sight.lengths[:, None], step, -1)
    last = torch.full((len(memory), after), -1, device=memory.device).scatter_reduce(1, slots, step, "amax")
    source = torch.where(last < 0, torch.arange(after, device=memory.device), after + last)  # (B, C')
    everything = torch.cat((F.pad(memory, (0, 0, 0, after - memory.shape[2])), new.to(memory.dtype)), dim=2)
    return everything.gather(2, source[:, None, :, None].expand(-1, memory.shape[1], -1, memory.shape[3]))


def from_right_aligned(entries: Tensor, position: Tensor) -> Tensor:
    """A ring (B, G, C, D) of entries whose newest is the last one, as earlier builds of elman kept them.

    position (B,): steps read since the row's last reset; where these are more than C, the ring has C slots.

    >>> from_right_aligned(torch.tensor([3.0, 4.0, 5.0]).view(1, 1, 3, 1), torch.tensor([5])).flatten()
    tensor([4., 5., 3.])
    """
    C = entries.shape[2]
    if C == 0:
        return entries
    column = (torch.arange(C, device=entries.device) - position[:, None]) % C  # (B, C)
    used = position[:, None] - C + column >= 0
    found = entries.gather(2, column[:, None, :, None].expand_as(entries))
    return torch.where(used[:, None, :, None], found, 0)

"""Every layout in which a sequence may come, brought down to one: time-major, batched, padded.

Each function returns what the stack shall read, and the way back for what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.kernels import CellState
from elman.nn.sequences import as_resets

Steps: TypeAlias = Tensor | PackedSequence
Returned: TypeAlias = tuple[Steps, CellState, CellState]
"""Outputs, final state and every state (or nothing), in the layout of the call."""


class Reading(NamedTuple):
    """What was read of a window, the states as `states.Form` has them flat."""

    outputs: Tensor  # (T, B, P or 2 P), of the last layer
    final: CellState  # (L, B, ·) each
    states: CellState  # (L, T, B, ·) each; empty where they were not wanted


class Window(NamedTuple):
    """What a stack shall read, the state as `states.Form` has it flat."""

    x: Tensor  # (T, B, D)
    state: CellState | None  # (L, B, ·) each
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (B, T)


def time_first(window: Window) -> tuple[Window, Callable[[Reading], Returned]]:
    """From x (T, B, D): nothing to do."""
    return window, lambda reading: reading


def batch_first(window: Window) -> tuple[Window, Callable[[Reading], Returned]]:
    """From x (B, T, D)."""

    def back(reading: Reading) -> Returned:
        states = tuple(part.transpose(1, 2) for part in reading.states)  # (L, B, T, ·)
        return reading.outputs.transpose(0, 1), reading.final, states

    return window._replace(x=window.x.transpose(0, 1)), back


def unbatched(window: Window) -> tuple[Window, Callable[[Reading], Returned]]:
    """From one sequence x (T, D), its state (L, ·) each, its length () and resets (T,)."""
    x, state, lengths, resets = window

    def back(reading: Reading) -> Returned:
        outputs, final, states = reading
        return outputs[:, 0], tuple(part[:, 0] for part in final), tuple(part[:, :, 0] for part in states)

    batched = Window(
        x[:, None],
        None if state is None else tuple(part[:, None] for part in state),
        None if lengths is None else lengths[None],
        None if resets is None else resets[None],
    )
    return batched, back


def packed(
    pack: PackedSequence, state: CellState | None, resets: Tensor | None, states_batch_first: bool
) -> tuple[Window, Callable[[Reading], Returned]]:
    """From a pack, read in its own order of rows (longest first); states and resets are in the order before packing."""
    x, lengths = pad_packed_sequence(PackedSequence(pack.data, pack.batch_sizes))  # (T, B, D)
    T, B, _ = x.shape

    def back(reading: Reading) -> Returned:
        outputs = pack_padded_sequence(reading.outputs, lengths).data
        final = tuple(_rows(part, pack.unsorted_indices, dim=1) for part in reading.final)
        states = tuple(_rows(part, pack.unsorted_indices, dim=2) for part in reading.states)
        if states_batch_first:
            states = tuple(part.transpose(1, 2) for part in states)
        return PackedSequence(outputs, *pack[1:]), final, states

    window = Window(
        x,
        None if state is None else tuple(_rows(part, pack.sorted_indices, dim=1) for part in state),
        lengths.to(x.device),
        None if resets is None else _rows(as_resets(resets, B, T, x.device), pack.sorted_indices, dim=0),
    )
    return window, back


def _rows(x: Tensor, order: Tensor | None, dim: int) -> Tensor:
    return x if order is None else x.index_select(dim, order)

"""Every form of a call, brought down to one: sequences time-major, batched and padded, states as flat tuples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.cells import CellState
from elman.nn import arguments
from elman.nn.sequences import Flags, Integers, as_resets, as_tensor

Steps: TypeAlias = Tensor | PackedSequence
Returned: TypeAlias = tuple[Steps, CellState, CellState]
"""Outputs, final state and every state (or nothing), in the layout of the call."""


class Reading(NamedTuple):
    """What was read of a window, the states as `Form` has them flat."""

    outputs: Tensor  # (T, B, P or 2 P), of the last layer
    final: CellState  # (L, B, ·) each
    states: CellState  # (L, T, B, ·) each; empty where they were not wanted


class Window(NamedTuple):
    """What a stack shall read, the state as `Form` has it flat."""

    x: Tensor  # (T, B, D)
    state: CellState | None  # (L, B, ·) each
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (B, T)


def arrange(
    input: Steps,
    state: CellState | None,
    lengths: Integers | None,
    resets: Flags | None,
    batch_first: bool,
    layer: str,
) -> tuple[Window, Callable[[Reading], Returned]]:
    """What the kernels shall read of a call of a `layer` of that name, and the way back for what comes of it.

    Raises:
        RuntimeError, UserError, ValueError: the input and what comes with it do not fit each other.
    """
    lengths = None if lengths is None else as_tensor("lengths", lengths, torch.int64)
    resets = None if resets is None else as_tensor("resets", resets, torch.bool)
    if isinstance(input, PackedSequence):
        arguments.check_packed(input, lengths)
        return packed(input, state, resets, batch_first)
    arguments.check_dim(input, state, layer)
    window = Window(input, state, lengths, resets)
    if input.dim() == 2:
        return unbatched(window)
    return batched(window) if batch_first else (window, lambda reading: reading)


def batched(window: Window) -> tuple[Window, Callable[[Reading], Returned]]:
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


class Form(NamedTuple):
    """What form the states of a layer have, and the same as a flat tuple of tensors, as they are read.

    The cell's own state is h, or (h, c, ...). Layers of one size share theirs: h (L, B, P) and c (L, B, H) hold all of
    them, L counting both directions of a layer. Where every layer has a size of its own, the caller has a tuple with
    one state for each, as that of a layer alone.
    """

    parts: tuple[str, ...]  # the names of the cell's own states
    groups: int | None  # None: all layers share one; else one for each of so many

    def flat(self, hx: Any, layer: str) -> CellState | None:
        """The tensors, in order, of what the caller gave to a `layer` of that name.

        Raises:
            TypeError: it has another form.
        """
        if hx is None:
            return None
        if self.groups is None:
            return self._of_cell(hx, layer, "the initial state")
        if not isinstance(hx, tuple | list) or len(hx) != self.groups:
            expected = f"a tuple of {self.groups}, {self._cell_in_words()} of each layer"
            raise TypeError(f"{layer}: expected the initial state as {expected}, got {_described(hx)}")
        cells = (self._of_cell(state, layer, f"the initial state of layer {n}") for n, state in enumerate(hx))
        return tuple(tensor for cell in cells for tensor in cell)

    def nested(self, flat: CellState) -> Any:
        """The other way round."""
        states = [group[0] if len(self.parts) == 1 else group for group in self._groups(flat)]
        return states[0] if self.groups is None else tuple(states)

    def cells(self, flat: CellState) -> list[CellState]:
        """The cell's own state of every layer and direction."""
        return [tuple(part[k] for part in group) for group in self._groups(flat) for k in range(len(group[0]))]

    def stacked(self, cells: Sequence[CellState], *, copied: bool) -> CellState:
        """The other way round. Unless it shall be `copied`, a cell's state that nothing is put beside is a view."""
        shared = len(cells) // (self.groups or 1)
        groups = [cells[i : i + shared] for i in range(0, len(cells), shared)] if cells else []
        stacks = [parts for group in groups for parts in zip(*group, strict=True)]
        return tuple(torch.stack(parts) if copied or len(parts) > 1 else parts[0][None] for parts in stacks)

    def names(self) -> Iterator[str]:
        """Of the tensors, as torch.nn calls them."""
        for group in range(self.groups or 1):
            for part in range(len(self.parts)):
                layer = "" if self.groups is None else f"[{group}]"
                yield f"hidden{layer}" + (f"[{part}]" if len(self.parts) > 1 else "")

    def words(self) -> list[str]:
        """What an error calls each tensor of an initial state."""
        cell = ["initial state"] if len(self.parts) == 1 else [f"initial {name}" for name in self.parts]
        return cell if self.groups is None else [f"{word} of layer {n}" for n in range(self.groups) for word in cell]

    def _groups(self, flat: CellState) -> list[CellState]:
        n = len(self.parts)
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    def _of_cell(self, state: Any, layer: str, what: str) -> CellState:
        n = len(self.parts)
        parts = (state,) if n == 1 else state
        if isinstance(parts, tuple | list) and len(parts) == n and all(isinstance(part, Tensor) for part in parts):
            return tuple(parts)
        form = f"a {({1: 'tensor', 2: 'pair'}).get(n, 'tuple')} {self._cell_in_words()}"
        got = _described(state)
        if isinstance(parts, tuple | list) and len(parts) == n:
            odd = next(part for part in parts if not isinstance(part, Tensor))
            got = f"{_described(odd)} for one of its tensors"
        raise TypeError(f"{layer}: expected {what} as {form}, got {got}")

    def _cell_in_words(self) -> str:
        return self.parts[0] if len(self.parts) == 1 else f"({', '.join(self.parts)})"


def _described(state: Any) -> str:
    kind = type(state).__name__
    return f"{kind} of {len(state)}" if isinstance(state, tuple | list) else kind

"""Every form of a call, brought down to one: sequences time-major, batched and padded, states as flat tuples.

The checks raise the exceptions, and nearly the words, of torch.nn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.cells import CellState
from elman.errors import UserError
from elman.nn.sequences import Flags, Integers, as_resets, as_tensor

Steps: TypeAlias = Tensor | PackedSequence
Returned: TypeAlias = tuple[Steps, CellState, CellState]
"""Outputs, final state and every state (or nothing), in the layout of the call."""


class Reading(NamedTuple):
    """The results of a layer, the states flat as in `Form`."""

    outputs: Tensor  # (T, B, P or 2 P), of the last layer
    final: CellState  # (L, B, ·) each
    states: CellState  # (L, T, B, ·) each; empty where they were not wanted


class LayerInput(NamedTuple):
    """The input of a layer, the state flat as in `Form`."""

    x: Tensor  # (T, B, D)
    state: CellState | None  # (L, B, ·) each
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (B, T)


def arrange(
    input: Steps, state: CellState | None, lengths: Integers | None, resets: Flags | None, batch_first: bool, layer: str
) -> tuple[LayerInput, Callable[[Reading], Returned]]:
    """The one form of a call of the class `layer`, and the function that gives its results the layout of the call.

    Raises:
        RuntimeError, UserError, ValueError: the input, the state and the lengths do not fit each other.
    """
    lengths = None if lengths is None else as_tensor("lengths", lengths, torch.int64)
    resets = None if resets is None else as_tensor("resets", resets, torch.bool)
    if isinstance(input, PackedSequence):
        if input.data.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {input.data.dim()}")
        if lengths is not None:
            raise UserError("lengths: a PackedSequence has its own", remedy="leave lengths=None")
        return packed(input, state, resets, batch_first)
    check_dim(input, state, layer)
    given = LayerInput(input, state, lengths, resets)
    if input.dim() == 2:
        return unbatched(given)
    if not batch_first:
        return given, lambda reading: reading

    def back(reading: Reading) -> Returned:
        states = tuple(part.transpose(1, 2) for part in reading.states)  # (L, B, T, ·)
        return reading.outputs.transpose(0, 1), reading.final, states

    return given._replace(x=input.transpose(0, 1)), back


def unbatched(given: LayerInput) -> tuple[LayerInput, Callable[[Reading], Returned]]:
    """From one sequence x (T, D), its state (L, ·) each, its length () and resets (T,)."""
    x, state, lengths, resets = given

    def back(reading: Reading) -> Returned:
        outputs, final, states = reading
        return outputs[:, 0], tuple(part[:, 0] for part in final), tuple(part[:, :, 0] for part in states)

    batched = LayerInput(
        x[:, None],
        None if state is None else tuple(part[:, None] for part in state),
        None if lengths is None else lengths[None],
        None if resets is None else resets[None],
    )
    return batched, back


def packed(
    pack: PackedSequence, state: CellState | None, resets: Tensor | None, states_batch_first: bool
) -> tuple[LayerInput, Callable[[Reading], Returned]]:
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

    given = LayerInput(
        x,
        None if state is None else tuple(_rows(part, pack.sorted_indices, dim=1) for part in state),
        lengths.to(x.device),
        None if resets is None else _rows(as_resets(resets, B, T, x.device), pack.sorted_indices, dim=0),
    )
    return given, back


def check_features(x: Tensor, input_size: int, dtype: torch.dtype) -> None:
    """Raise `ValueError` for a wrong dtype (under autocast no dtype is wrong), `RuntimeError` for a wrong last size."""
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(
            f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
        )
    if x.size(-1) != input_size:
        raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")


def check_hidden(hx: tuple[Tensor, ...], expected: Mapping[str, tuple[int, int, int]]) -> None:
    """Raise `RuntimeError` unless each part of a batched initial state has its shape (L, B, ·)."""
    for part, (name, shape) in zip(hx, expected.items(), strict=True):
        if part.shape != shape:
            raise RuntimeError(f"Expected {name} size {shape}, got {list(part.shape)}")


def check_alike(x: Tensor, state: tuple[Tensor, ...], names: Sequence[str], weights: Iterable[Tensor | None]) -> None:
    """Raise `ValueError` unless the initial state has the input's dtype, and state and weights are on its device."""
    for name, part in zip(names, state, strict=True):
        if part.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"{name}: expected {x.dtype} as the input is, got {part.dtype}; convert it")
    parts: list[tuple[str, Tensor | None]] = [*zip(names, state, strict=True)]
    parts += [("weights", weight) for weight in weights]
    for name, other in parts:
        if other is not None and other.device != x.device:
            raise ValueError(f"{name}: expected on {x.device} as the input is, got {other.device}; move one of them")


def check_dim(x: Tensor, hx: tuple[Tensor, ...] | None, layer: str) -> None:
    """Raise `ValueError` unless x is a sequence or a batch, `RuntimeError` unless the state is of the same kind."""
    if x.dim() not in (2, 3):
        raise ValueError(f"{layer}: Expected input to be 2D or 3D, got {x.dim()}D tensor instead")
    if hx is not None and any(part.dim() != x.dim() for part in hx):
        given = f"{'batched' if x.dim() == 3 else 'unbatched'} {x.dim()}-D input"
        names = "hx and cx" if len(hx) == 2 else "hx"
        got = ", ".join(f"{part.dim()}-D" for part in hx)
        raise RuntimeError(f"For {given}, {names} should also be {x.dim()}-D but got {got}")


def _rows(x: Tensor, order: Tensor | None, dim: int) -> Tensor:
    return x if order is None else x.index_select(dim, order)


class Form(NamedTuple):
    """The form of a layer's states for a caller, and the same states as a flat tuple of tensors, as a layer reads them.

    The cell's own state is h, or (h, c, ...). Layers of one size share a state: h (L, B, P) and c (L, B, H) hold the
    states of all layers, L counting both directions of a layer. Where every layer has a size of its own, the caller has
    a tuple with one state for each layer, in the form of a single layer's.
    """

    parts: tuple[str, ...]  # the names of the cell's own states
    groups: int | None  # None: all layers share one state; else the number of layers with a state of their own

    def flat(self, hx: Any, layer: str) -> CellState | None:
        """The tensors, in order, of the initial state that a caller gave to the class `layer`.

        Raises:
            TypeError: the state has another form.
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
        """The form for a caller of flat states."""
        if self.groups is None:
            return flat[0] if len(self.parts) == 1 else tuple(flat)
        states = [group[0] if len(self.parts) == 1 else group for group in self._groups(flat)]
        return tuple(states)

    def cells(self, flat: CellState) -> list[CellState]:
        """The cell's own state of every layer and direction."""
        return [tuple(part[k] for part in group) for group in self._groups(flat) for k in range(len(group[0]))]

    def stacked(self, cells: Sequence[CellState], *, copied: bool) -> CellState:
        """The flat states of the states of every layer and direction; unless `copied`, a lone state is a view."""
        shared = len(cells) // (self.groups or 1)
        groups = [cells[i : i + shared] for i in range(0, len(cells), shared)] if cells else []
        stacks = [parts for group in groups for parts in zip(*group, strict=True)]
        return tuple(torch.stack(parts) if copied or len(parts) > 1 else parts[0][None] for parts in stacks)

    def names(self) -> Iterator[str]:
        """torch.nn's names of the tensors."""
        for group in range(self.groups or 1):
            for part in range(len(self.parts)):
                layer = "" if self.groups is None else f"[{group}]"
                yield f"hidden{layer}" + (f"[{part}]" if len(self.parts) > 1 else "")

    def words(self) -> list[str]:
        """The names of the tensors of an initial state in an error."""
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

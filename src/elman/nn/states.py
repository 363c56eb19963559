"""The state of a recurrent layer as its caller has it, and as a flat tuple of tensors, as it is read.

The cell's own state is h, or (h, c). Layers of one size share theirs: h (L, B, P) and c (L, B, H) hold all of them, L
counting both directions of a layer. Where every layer has a size of its own, the caller has a tuple with one state for
each, as that of a layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elman.kernels import CellState


class Form(NamedTuple):
    """What form the states of a layer have."""

    parts: int  # of the cell's own state: 1 or 2
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
        one = "h" if self.parts == 1 else "(h, c)"
        if not isinstance(hx, tuple | list) or len(hx) != self.groups:
            expected = f"a tuple of {self.groups}, {one} of each layer"
            raise TypeError(f"{layer}: expected the initial state as {expected}, got {_described(hx)}")
        cells = (self._of_cell(state, layer, f"the initial state of layer {n}") for n, state in enumerate(hx))
        return tuple(tensor for cell in cells for tensor in cell)

    def nested(self, flat: CellState) -> Any:
        """The other way round."""
        states = [group[0] if self.parts == 1 else group for group in self._groups(flat)]
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
            for part in range(self.parts):
                layer = "" if self.groups is None else f"[{group}]"
                yield f"hidden{layer}" + (f"[{part}]" if self.parts > 1 else "")

    def words(self) -> list[str]:
        """For the tensors, in what is said of their kind."""
        cell = ["initial state"] if self.parts == 1 else ["initial h", "initial c"]
        return cell if self.groups is None else [f"{word} of layer {n}" for n in range(self.groups) for word in cell]

    def _groups(self, flat: CellState) -> list[CellState]:
        return [flat[i : i + self.parts] for i in range(0, len(flat), self.parts)]

    def _of_cell(self, state: Any, layer: str, what: str) -> CellState:
        form = "a tensor h" if self.parts == 1 else "a pair (h, c)"
        parts = (state,) if self.parts == 1 else state
        if not isinstance(parts, tuple | list) or len(parts) != self.parts:
            raise TypeError(f"{layer}: expected {what} as {form}, got {_described(state)}")
        for part in parts:
            if not isinstance(part, Tensor):
                raise TypeError(f"{layer}: expected {what} as {form}, got {_described(part)} for one of its tensors")
        return tuple(parts)


def _described(state: Any) -> str:
    kind = type(state).__name__
    return f"{kind} of {len(state)}" if isinstance(state, tuple | list) else kind

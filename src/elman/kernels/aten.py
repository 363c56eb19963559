"""The backend "torch": ATen's own recurrences; oneDNN's (LSTM on a CPU) or cuDNN's where these serve.

ATen knows neither resets nor zero lengths nor a lone reverse direction. Each is reduced, exactly, to calls that ATen
knows: reading in reverse is reading flipped rows, lengths are a `PackedSequence`, and a window with resets is cut where
any row has a reset (fast where resets are rare). ATen returns the LSTM's last c_t alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.cells import CellState, Weights, cell_named
from elman.kernels.seam import (
    QUIET,
    Call,
    Noise,
    Trajectory,
    blank_padding,
    masks,
    variations,
    why_not_transformed,
)
from elman.state import reset_rows, select_rows


def read(
    cell: str,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
) -> Trajectory:
    """Read a window with the function of a cell; with `cell` bound, this is a `Kernel` (see there)."""
    assert {*variations(weights, noise)} <= {"projection"}, "the choice of the backend comes first"
    T, B, _ = x.shape
    if B == 0:
        lengths = resets = None
    real, cleared = masks(lengths, resets, T, reverse)
    if real is not None:
        x = blank_padding(x, real)
    if reverse:
        x = flip(x, lengths)
        cleared = None if cleared is None else flip(cleared, lengths)

    pieces = []
    cuts = [] if cleared is None else (cleared[1:].any(1).nonzero().flatten() + 1).tolist()
    for start, stop in pairwise([0, *cuts, T]) if T else ():
        if cleared is not None:
            state = cast(CellState, reset_rows(state, cleared[start]))
        rest = None if lengths is None else (lengths - start).clamp(0, stop - start)
        piece, state = _read_piece(cell, x[start:stop], state, weights, rest)
        pieces.append(piece)
    if T == 0:  # no state of the caller's is returned
        state = tuple(part.clone() for part in state)
        pieces.append(state[0].new_empty((0, *state[0].shape)))
    h = pieces[0] if len(pieces) == 1 else torch.cat(pieces)  # (T, B, P)
    return Trajectory(flip(h, lengths) if reverse else h, () if len(state) == 1 else None, state)


def flip(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse x (T, B, ...) in time, each row within its length; the padding stays where it is.

    >>> flip(torch.tensor([[1, 4], [2, 5], [3, 6]]), torch.tensor([2, 3]))
    tensor([[2, 6],
            [1, 5],
            [3, 4]])
    """
    if lengths is None:
        return x.flip(0)
    T, B = x.shape[:2]
    t = torch.arange(T, device=x.device)[:, None]
    source = torch.where(t < lengths, lengths - 1 - t, t)  # (T, B)
    return x[source, torch.arange(B, device=x.device)]


def _read_piece(
    cell: str, x: Tensor, state: CellState, weights: Weights, lengths: Tensor | None
) -> tuple[Tensor, CellState]:
    """Every h (T, B, P) and the final state, reading forward without resets."""
    if lengths is not None:
        return _read_packed(cell, x, state, weights, lengths)
    if len(state) == 2 and len(x) == 1 and x.device.type == "cpu" and weights.weight_hr is None:
        # oneDNN rearranges the weights at every call, which takes longer than a single step itself.
        h, c = _VF.lstm_cell(x[0], state, *cast(Any, weights[:4]))
        return torch.stack([h]), (h, c)
    return _call(cell, (x,), state, weights, False)


def _read_packed(cell: str, x: Tensor, state: CellState, weights: Weights, lengths: Tensor) -> tuple[Tensor, CellState]:
    # A pack has no room for empty rows: they read one blank step, whose result is then thrown away.
    pack = pack_padded_sequence(x, lengths.clamp(min=1).cpu(), enforce_sorted=False)
    state_in_order = cast(CellState, select_rows(state, cast(Tensor, pack.sorted_indices)))
    data, final = _call(cell, (pack.data, pack.batch_sizes), state_in_order, weights)
    h, _ = pad_packed_sequence(PackedSequence(data, *pack[1:]), total_length=len(x))  # (T, B, P)
    final = cast(CellState, select_rows(final, cast(Tensor, pack.unsorted_indices)))
    empty = (lengths == 0)[:, None]  # (B, 1)
    h = torch.where(empty, torch.zeros((), dtype=h.dtype, device=h.device), h)
    return h, tuple(torch.where(empty, old, new) for old, new in zip(state, final, strict=True))


def _call(
    cell: str, x: tuple[Tensor, ...], state: CellState, weights: Weights, *batch_first: bool
) -> tuple[Tensor, CellState]:
    """One layer, one direction; ATen takes `batch_first` with a padded x alone."""
    hx = tuple(part[None].contiguous() for part in state)  # (1, B, ·)
    flat = [weight for weight in weights if weight is not None]
    function: Callable[..., Any] = getattr(_VF, cast(str, cell_named(cell).aten))
    # cuDNN can run backward only through a pass in training mode; without dropout the mode means nothing else.
    options = (weights.bias_ih is not None, 1, 0.0, torch.is_grad_enabled(), False, *batch_first)
    h, *final = function(*x, hx if len(hx) > 1 else hx[0], flat, *options)
    return h, tuple(part[0] for part in final)


def why_not(call: Call) -> str | None:
    """The reason why ATen cannot serve a call, or None."""
    cell = cell_named(call.cell)
    if cell.aten is None:
        return f"ATen has no cell '{cell.name}'"
    if unknown := [name for name in call.variations if name != "projection"]:
        return f"ATen's recurrences know no {', no '.join(unknown)}"
    if len(cell.states) > 1 and call.every_state:
        return f"ATen's {cell.layer} does not return every {cell.states[1].name}_t"
    return why_not_transformed()

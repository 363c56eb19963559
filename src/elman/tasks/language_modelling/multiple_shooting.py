"""A long sequence read in parallel over time, with the values of a reading from its beginning to its end.

A step of a recurrence h_{t+1} = F(h_t, x_{t+1}) waits for the step before, and one row does little work for each weight
that it loads. So L segments of the sequence are read side by side, each from a guess of its first state. Multiple
shooting then makes each segment begin in the last state of its predecessor (Bellen and Zennaro 1989, "Parallel
algorithms for initial-value problems for difference and differential equations"; Gander 2015, "50 years of time
parallel time integration"):

1. all segments are read side by side, the first from the true state, the others from their guesses;
2. all but the first are read again, side by side, each from the last state of its predecessor in 1;
3. in their order, each segment whose predecessor has another last state since then is read again from that state.

A reading in 2 or 3 stops at the first border of two windows where the segment had the same state before, as the rest
would be the same too. With a memory that fades, or a reset, it stops soon, and the whole costs little more than 1; a
memory that never fades makes 3 read one segment after the other. In any case each segment is read from the last state
of its predecessor, so the result is that of a sequential reading.

**Rounding.** Two states are the same where every entry differs by at most 64 ε times the largest magnitude of this
entry at any border in 1 (ε of its dtype; entries without a finite magnitude must be equal). Two readings from different
states come no closer than some 16 ε, as their sums are rounded differently. So the values are those of a sequential
reading with a disturbance of 64 ε at no more than two borders of a segment.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elman.distributed import ALONE, Ranks
from elman.state import State, batch_size, leaves, put_rows, select_rows

TOLERANCE = 64  # units of rounding

ReadWindow = Callable[[Tensor, int, State], State]
"""step(segments, window, state) reads a window of these segments (K,) from their states (K rows); the states after it.

If a window is read more than once, the last reading counts.
"""


def read(step: ReadWindow, state: State, windows: int, ranks: Ranks = ALONE) -> State:
    """Read L segments of `windows` windows each, one after the other in time; each rank reads its share of them.

    Args:
        step: reads one window.
        state: L rows; row 0 is the true state before the first segment, the others are guesses.
        windows: of each segment, at least 1.

    Returns:
        The state (one row) after the last segment.
    """
    L, device = batch_size(state), next(leaves(state)).device
    segments = torch.from_numpy(ranks.share(np.arange(L))).to(device)
    state = select_rows(state, segments)
    after: list[State] = []  # of my segments, at the end of each window
    for window in range(windows):
        state = step(segments, window, state)
        after.append(state)
    ends = ranks.rows(state)  # of all segments
    if L == 1:
        return ends
    every = ranks.exchanged(_magnitudes(after))
    magnitudes = ([each[name] for each in every] for name in sorted(every[0]))
    bounds = [TOLERANCE * torch.finfo(x[0].dtype).eps * torch.stack(x).amax(0).to(device) for x in magnitudes]

    def again(first: int, stop: int) -> set[int]:
        """Read segments from where their predecessors ended; returns those that end elsewhere than before."""
        nonlocal ends
        rows = segments[(first <= segments) & (segments < stop)]
        state = select_rows(ends, rows - 1)
        for window in range(windows):
            if not len(rows):
                break
            state = step(rows, window, state)
            moved = ~_same(state, select_rows(after[window], rows - segments[0]), bounds)
            rows, state = rows[moved], select_rows(state, moved)
            after[window] = put_rows(after[window], rows - segments[0], state)
        ends = ranks.rows(after[-1])
        return {int(row) for theirs in ranks.exchanged({"moved": rows.cpu()}) for row in theirs["moved"]}

    moved = again(1, L)
    for segment in range(2, L):
        if segment - 1 in moved:
            moved |= again(segment, segment + 1)
    return select_rows(ends, torch.arange(L, device=device)[-1:])


def _magnitudes(states: list[State]) -> dict[str, Tensor]:
    """The largest magnitude of each entry of a row, over all rows and states, in their order; 0 where not finite."""
    columns = zip(*map(leaves, states), strict=True)
    largest = [torch.stack([x.abs().amax(0) for x in column]).amax(0).cpu() for column in columns]
    return {f"{at:06d}": torch.where(x.isfinite(), x, torch.zeros_like(x)) for at, x in enumerate(largest)}


def _same(one: State, other: State, bounds: list[Tensor]) -> Tensor:
    """Which rows (K,) are the same within the bounds."""
    near = [
        (((x - y).abs() <= bound) | (x == y) | (x.isnan() & y.isnan())).flatten(1).all(1)
        for x, y, bound in zip(leaves(one), leaves(other), bounds, strict=True)
    ]
    return torch.stack(near).all(0)

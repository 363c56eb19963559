"""A long sequence read in parallel over time, with the values of a reading from its beginning to its end.

A recurrence h_{t+1} = F(h_t, x_{t+1}) waits for itself, and one row makes little of each weight that it reads. So the
sequence is cut into L segments that are read side by side, each from a guess of its first state. Multiple shooting
then asks that each segment begin where the one before it ended (Bellen and Zennaro 1989, "Parallel algorithms for
initial-value problems for difference and differential equations"; Gander 2015, "50 years of time parallel time
integration"):

1. all segments are read side by side, the first from the true state, the others from their guesses;
2. all but the first are read again, side by side, each from the state in which its predecessor ended in 1;
3. in their order, each whose predecessor has ended elsewhere since is read again from there.

A reading in 2 or 3 is left off at the first border of two windows at which its state is the one that the segment had
there before: all that follows follows from that state. A memory that fades, or a reset, leaves off soon, and the whole
costs little more than 1; one that never fades goes through 3 alone, one segment after the other. Whatever the
guesses were, each segment is read from where its predecessor ended, so the result is that of a sequential reading.

**Rounding.** A state is "the one it had" where every entry differs by at most 64 ε times the largest magnitude that
this entry has had at any border in 1 (ε of its dtype; entries for which that is not finite must be equal). Two
readings that began apart do not come closer than some 16 ε, as their sums are rounded differently. So the values are
those of a sequential reading whose state was disturbed by 64 ε at no more than two borders of a segment.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from elman.state import State, batch_size, leaves, put_rows, select_rows

TOLERANCE = 64  # units of rounding

Step = Callable[[Tensor, int, State], State]
"""step(segments, window, state): read a window of these segments (K,) from their states (K rows); the states after.

Of a window that is read more than once, the last reading counts.
"""


def read_sequentially(step: Step, state: State, windows: int) -> State:
    """The reference: as `read`, window by window; only row 0 of `state` is looked at."""
    segments = torch.arange(batch_size(state), device=next(leaves(state)).device)
    state = select_rows(state, segments[:1])
    for segment in segments.split(1):
        for window in range(windows):
            state = step(segment, window, state)
    return state


def read(step: Step, state: State, windows: int) -> State:
    """Read L segments of `windows` windows each, one after the other in time.

    Args:
        step: reads one window.
        state: L rows; row 0 is the true state before the first segment, the others are guesses.
        windows: of each segment, at least 1.

    Returns:
        The state (one row) after the last segment.
    """
    segments = torch.arange(batch_size(state), device=next(leaves(state)).device)
    after: list[State] = []  # at the end of each window
    for window in range(windows):
        state = step(segments, window, state)
        after.append(state)
    if len(segments) == 1:
        return state
    bounds = [TOLERANCE * torch.finfo(x.dtype).eps * x for x in _magnitudes(after)]

    def again(rows: Tensor) -> Tensor:
        """Read segments from where their predecessors ended; returns those that end elsewhere than before."""
        state = select_rows(after[-1], rows - 1)
        for window in range(windows):
            state = step(rows, window, state)
            moved = ~_same(state, select_rows(after[window], rows), bounds)
            rows, state = rows[moved], select_rows(state, moved)
            if not len(rows):
                break
            after[window] = put_rows(after[window], rows, state)
        return rows

    moved = set(again(segments[1:]).tolist())
    for segment in range(2, len(segments)):
        if segment - 1 in moved:
            moved.update(again(segments[segment : segment + 1]).tolist())
    return select_rows(after[-1], segments[-1:])


def _magnitudes(states: list[State]) -> list[Tensor]:
    """The largest magnitude of each entry of a row, over all rows and states; 0 where that is not finite."""
    columns = zip(*map(leaves, states), strict=True)
    largest = [torch.stack([x.abs().amax(0) for x in column]).amax(0) for column in columns]
    return [torch.where(x.isfinite(), x, torch.zeros_like(x)) for x in largest]


def _same(one: State, other: State, bounds: list[Tensor]) -> Tensor:
    """Which rows (K,) are the same within the bounds."""
    near = [
        (((x - y).abs() <= bound) | (x == y) | (x.isnan() & y.isnan())).flatten(1).all(1)
        for x, y, bound in zip(leaves(one), leaves(other), bounds, strict=True)
    ]
    return torch.stack(near).all(0)

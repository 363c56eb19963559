"""Where a bounded window of attention shows in a gradient against the lag."""

from __future__ import annotations

from elman.lens.attention import window_lags
from elman.report import Mark


def window_marks(window: int | None, num_layers: int, longest: int, who: str = "Attention") -> tuple[list[Mark], str]:
    """Marks up to the longest lag, and what the caption says of them; none without a window that is that short."""
    every = [] if window is None else window_lags(window, num_layers)
    seen = [lag for lag in every if lag <= longest]
    if window is None or not seen:
        return [], ""
    marks = [
        Mark(float(lag), "nothing" if lag == every[-1] else f"{count} layers")
        for count, lag in enumerate(seen, start=2)
    ]
    ends = f"; from lag {every[-1]} on none reach, and the gradient is zero" if every[-1] <= longest else ""
    return marks, (
        f" {who} looks {window - 1} steps back in each of the {num_layers} layers, so at lag"
        f"{'s' if len(seen) > 1 else ''} {', '.join(map(str, seen))} the number of layers that still reach falls: "
        f"each line says how many it takes from there on{ends}."
    )

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
    ends = every[-1] in seen
    reaching = dict(enumerate(seen[:-1] if ends else seen, start=2))  # the least layers that it takes, and from where
    marks = [Mark(float(lag), f"{count} layers") for count, lag in reaching.items()]
    through = ", ".join(f"from lag {lag} on through at least {count} layers" for count, lag in reaching.items())
    caption = f" {who} looks {window - 1} steps back in each layer."
    caption += f" A gradient passes {through}." if through else ""
    if ends:
        marks.append(Mark(float(every[-1]), "nothing"))
        caption += f" From lag {every[-1]} on the gradient is zero."
    return marks, caption

"""Where a bounded window of attention shows in a gradient against the lag."""

from __future__ import annotations

from elman.lens.attention import window_lags
from elman.report import Mark


def window_marks(window: int | None, num_layers: int, longest: int, who: str = "Attention") -> tuple[list[Mark], str]:
    """Marks at the lags of `window_lags` up to the longest lag, and a caption that explains them.

    Both are empty where attention is unbounded, or its window is longer than all lags.
    """
    if window is None or window > longest:
        return [], ""
    *passing, zero = window_lags(window, num_layers)
    reached = {lag: f"{layers} layers" for layers, lag in enumerate(passing, start=2) if lag <= longest}
    caption = f" {who} looks {window - 1} steps back in each layer."
    if reached:
        through = ", ".join(f"from lag {lag} on through at least {layers}" for lag, layers in reached.items())
        caption += f" A gradient passes {through}."
    if zero <= longest:
        caption += f" From lag {zero} on the gradient is zero."
        reached[zero] = "nothing"
    return [Mark(float(lag), word) for lag, word in reached.items()], caption

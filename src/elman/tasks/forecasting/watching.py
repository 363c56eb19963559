"""A forecaster under the eyes of a session: states and gates over the window of the newest values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.data.windows import last_windows
from elman.lens.places import memory_of
from elman.tasks.exchange import Trained
from elman.tasks.forecasting.listener import SeriesListener
from elman.tasks.listening import Memory, Unit, Work
from elman.tasks.watching import Watched, WatchOptions, watch_memory


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens while the window of the newest values is read.

    A model that reads segments has a state for each: that of a value is the one after its segment. Values before the
    window, and behind the newest one that is known, have NaN.
    """
    model, listener = run.model, SeriesListener(run)
    request = listener.check("feed", {"units": list(units)})
    told = listener.series(Work("feed", request, memory))
    known = np.flatnonzero(~np.isnan(told.rows[:, 0]))
    if not len(known):
        return Watched()
    windows = last_windows(listener.panel([told]), run.scaler, model.past_steps, model.horizon)
    batch = windows.batch(np.arange(1))
    inputs, lengths = model.inputs(batch)
    part = memory_of(model)

    def read() -> Tensor:
        hidden: Tensor = part(inputs, lengths=lengths)[0]
        return hidden

    length = int(batch.lengths[0])
    place = np.arange(memory.position + skip, len(told.rows)) - (known[-1] + 1 - length)  # in the window
    step = (place + -length % model.segment) // model.segment
    steps = np.where((place >= 0) & (place < length), step, -1)
    states, gates, _ = watch_memory(part, read, options, steps)
    return Watched(states, gates)

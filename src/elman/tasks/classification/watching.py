"""A classifier under the eyes of a session: states and gates over the steps, and how much of the pool each step is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.lens.places import memory_of
from elman.models.layered_classifier import LayeredClassifier
from elman.tasks.classification.listener import LabelListener
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import Watched, WatchOptions, watch_memory


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens while `units` are read, which a model that needs the whole reads after all before them.

    "pooled", where the reading begins with the sequence: the share of each step in the vector that the label so far is
    read from.
    """
    model, listener = run.model, LabelListener(run)
    inputs = listener.check("feed", {"units": list(units)}).inputs
    if listener.whole:
        inputs = np.concatenate((listener.steps_before(memory), inputs))
    given, begun = torch.from_numpy(inputs)[None], not listener.whole and memory.position > 0
    steps = slice(len(inputs) - len(units) + skip, None)
    state: Any = None if listener.whole else memory.state

    def read() -> Tensor:
        if isinstance(model, LayeredClassifier):
            scores: Tensor = model.scores(given, state)[0]
            return scores[:, None]
        hidden: Tensor = model.encoder(model.embed(given), None if state is None else state.encoder)[0]
        return hidden

    part = memory_of(model)
    states, gates, hidden = watch_memory(part, read, options, steps)
    if begun or isinstance(model, LayeredClassifier):
        return Watched(states, gates)
    return Watched(states, gates, told={"pooled": model.pool.weights(hidden)[0].double().numpy()[steps]})

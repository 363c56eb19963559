"""A tagger under the eyes of a session: states and gates over the words, and their tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.data.tagged import TaggedSentence
from elman.lens.places import memory_of
from elman.models.layered_tagger import LayeredTagger
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.tagging.objective import encode
from elman.tasks.watching import Watched, WatchOptions, watch_memory


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens while the words `units` are read: "tags", one of each word.

    A model that needs the whole sentence reads all of its words so far.
    """
    model, whole = run.model, not run.model.causal
    before = memory.notes["tokens"] if whole else []
    batch = encode([TaggedSentence((*before, *units), ())], run).batch(np.arange(1))
    words, state = (batch.words, batch.spelling, batch.characters), None if whole else memory.state
    scores: list[Tensor] = []

    def read() -> Tensor:
        if isinstance(model, LayeredTagger):
            scores.append(model.scores(*words, state)[0])
            return scores[0]
        hidden: Tensor = model.encoder(model.embed(*words), state)[0]
        scores.append(model.output_layer(hidden))
        return hidden

    states, gates, _ = watch_memory(memory_of(model), read, options, _last(skip, units))
    tags = model.best(scores[0], batch.lengths)[0].tolist()
    return Watched(states, gates, told={"tags": [run.tags.symbol(tag) for tag in tags][_last(skip, units)]})


def _last(skip: int, units: Sequence[Unit]) -> slice:
    """The steps of the units that are told, which come last."""
    return slice(-(len(units) - skip), None)

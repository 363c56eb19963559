"""An encoder-decoder under the eyes of a session: how each token of the target was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.lens.activity import as_array
from elman.lens.observe import evaluating
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import Watched, WatchOptions, of_units, watch_memory

DIGITS = 6  # of nats


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens in the decoder while the tokens of the last target are chosen, of which `units` has some.

    - "surprise": −log p of each token of the target, None of other units;
    - "alignment", where there is attention: the weight (T, S) of each token of the source, its end the last, at the
      step that chose a token; NaN of other units.

    The states and gates of a token of the target are those of that step, after which the token was read.
    """
    model, source, target = run.model, memory.notes.get("source", []), list(memory.notes.get("target", []))
    begun = -len(target)  # the place of the first token of the target, counted from the first of the units
    for at, unit in enumerate(units):
        if isinstance(unit, list):
            source, target, begun = unit, [], at + 1
        else:
            target.append(unit)
    chosen = np.maximum(np.arange(skip, len(units)) - begun, -1)  # the step that chose each unit
    end = run.target_tokenizer.eod
    heard: list[Any] = []
    with evaluating(model):
        state = model.encode([[*source, run.source_tokenizer.eod]])

    def read() -> Tensor:
        hidden, alignment, _ = model.read_aligned([[end, *target[:-1]]], state)
        heard.append(alignment)
        return hidden

    part = model.get_submodule(run.task.memory_part(model))
    states, gates, hidden = watch_memory(part, read, options, chosen)
    log_p = model.output(hidden)[0, : len(target)].double().log_softmax(-1)
    nats = [round(-float(row[token]), DIGITS) for row, token in zip(log_p, target, strict=True)]
    told: dict[str, Any] = {"surprise": [None if step < 0 else nats[step] for step in chosen.tolist()]}
    if heard[0] is not None:
        told["alignment"] = of_units(as_array(heard[0][0]), chosen)
    return Watched(states, gates, told=told)

"""An encoder-decoder under the eyes of a session: how each token of the target was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from elman.lens.activity import as_array
from elman.lens.observe import evaluating
from elman.lens.places import memory_of
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import Watched, WatchOptions, of_units, watch_memory

DIGITS = 6  # of nats


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens in the decoder while tokens of a target are chosen, each by the step that read the unit before it.

    - "surprise": −log p of each token, None of other units;
    - "alignment", where there is attention: the weight (T, S) of each token of the source, its end the last, at the
      step that chose a token; NaN of other units.

    The states and gates of a token are those of the step that chose it. A source, targets before the last one of the
    units, and a token that was chosen before the memory have NaN.
    """
    model = run.model
    source = max((at for at, unit in enumerate(units) if isinstance(unit, list)), default=None)
    if source is None:
        begun, state, tokens = 1, cast(Any, memory.state).decoder, [*units]
    else:
        with evaluating(model):
            state = model.encode([[*units[source], run.source_tokenizer.eod]])
        begun = source + 1
        tokens = [run.target_tokenizer.eod, *units[begun:]]
    target = units[begun:]  # what the steps chose, all but the last
    chosen = np.maximum(np.arange(skip, len(units)) - begun, -1)  # the step that chose each unit
    heard: list[Any] = []

    def read() -> Tensor:
        hidden, alignment, _ = model.read_aligned([tokens], state)
        heard.append(alignment)
        return hidden

    states, gates, hidden = watch_memory(memory_of(model), read, options, chosen)
    log_p = model.output(hidden)[0, : len(target)].double().log_softmax(-1)
    nats = [round(-float(row[token]), DIGITS) for row, token in zip(log_p, target, strict=True)]
    told: dict[str, Any] = {"surprise": [None if step < 0 else nats[step] for step in chosen.tolist()]}
    if heard[0] is not None:
        told["alignment"] = of_units(as_array(heard[0][0]), chosen)
    return Watched(states, gates, told=told)

"""Measurements of a language model for a comparison: how far its gradients reach, and how fast it writes."""

from __future__ import annotations

import time
from itertools import repeat
from typing import Any

import numpy as np
import torch

from elman.data.corpus import Corpus
from elman.data.lanes import resets_of
from elman.decode.stream import stream
from elman.lens import gradient_flow
from elman.models import LanguageModel

LAGS, PAST, ROWS = 128, 64, 16  # of the windows in which gradients are measured
PROMPT, WRITTEN, REPEATS = 32, 128, 3


def memory(model: LanguageModel, corpus: Corpus) -> dict[str, Any]:
    """How the gradient of a loss by the inputs falls with the lag: the result of `lens.fit_decay`, and the median.

    A short validation text has fewer lags, and a very short one has none: the dict is empty.
    """
    tokens, eod = corpus.valid, corpus.tokenizer.eod
    steps = min(PAST + LAGS, (len(tokens) - 1) // 2)
    past = steps * PAST // (PAST + LAGS)
    if steps - past < 2:
        return {}
    starts = np.unique(np.linspace(0, len(tokens) - 1 - steps, ROWS).astype(int))
    windows = torch.from_numpy(np.asarray(tokens)[starts[:, None] + np.arange(steps + 1)].astype(np.int64))
    windows = windows.to(next(model.parameters()).device)
    before, inputs = windows[:, :past], windows[:, past:-1]
    with torch.no_grad():
        _, state = model.read(before, resets=resets_of(before, eod))
    flow = gradient_flow(model, inputs, windows[:, -1], state, resets=resets_of(inputs, eod)).input
    return flow.decay.numbers | {"lags": int(flow.lags[-1]), "gradient": flow.quantile(0.5)}


def decoding_speed(model: LanguageModel) -> float:
    """Tokens a second of one text, each the most probable; the best of a few times."""
    best = 0.0
    for _ in range(REPEATS):
        writing = stream(model, [0] * PROMPT, repeat(0.0), WRITTEN + 1, temperature=0)
        next(writing)
        begun = time.perf_counter()
        for _ in writing:
            pass
        best = max(best, WRITTEN / (time.perf_counter() - begun))
    return best

"""A language model under the eyes of a session: surprise, candidates, memory and attention of what was read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from elman.data.lanes import resets_of
from elman.data.tokenizers import Tokenizer
from elman.lens.observe import evaluating
from elman.state import State
from elman.tasks.exchange import Trained
from elman.tasks.listening import Memory, Unit
from elman.tasks.watching import AttendedUnits, Watched, WatchOptions, watch_attention, watch_memory

DIGITS = 6  # of a probability


@torch.no_grad()
def watch(run: Trained, memory: Memory, units: Sequence[Unit], skip: int, options: WatchOptions) -> Watched:
    """What happens while the tokens `units` are read from a memory. `<eod>` is read in a fresh one.

    - "surprise": −log p of each token in nats, None where nothing was read before it;
    - "next", where `top` is not 0: after each token, so many tokens that are most probable.

    Of a memory that does not hold numbers (NaN), both say nothing.
    """
    model = run.model
    tokens = torch.tensor([list(units)], dtype=torch.int64)  # (1, T)
    resets = resets_of(tokens, run.tokenizer.eod)
    state, before = cast("tuple[State | None, Tensor | None]", memory.state or (None, None))
    if skip:
        first = None if resets is None else resets[:, :skip]
        with evaluating(model):
            hidden, state = model.read(tokens[:, :skip], state, resets=first)
        tokens, resets, before = tokens[:, skip:], None if resets is None else resets[:, skip:], hidden[:, -1]
    states, gates, hidden = watch_memory(model, lambda: model.read(tokens, state, resets=resets)[0], options)
    log_p = _log_probabilities(model, hidden[0])  # (T, V)
    told: dict[str, Any] = {
        "surprise": _surprise(tokens[0], None if before is None else _log_probabilities(model, before), log_p)
    }
    if options.top:
        told["next"] = _candidates(run.tokenizer, log_p, options.top)
    return Watched(states, gates, _attention(model, tokens, state, resets, memory.position + skip, options), told)


def _log_probabilities(model: Any, hidden: Tensor) -> Tensor:
    found: Tensor = model.output(hidden).double().log_softmax(-1)
    return found


def _surprise(tokens: Tensor, first: Tensor | None, log_p: Tensor) -> list[float | None]:
    """−log p of each token (T,), by the logarithms after the one before it."""
    told = log_p[:-1] if first is None else torch.cat((first, log_p[:-1]))
    unknown: list[float | None] = [None] * (len(tokens) - len(told))
    nats = -told.gather(1, tokens[len(unknown) :, None])[:, 0].round(decimals=DIGITS)
    return unknown + [value if math.isfinite(value) else None for value in nats.tolist()]


def _candidates(tokenizer: Tokenizer, log_p: Tensor, top: int) -> list[list[dict[str, Any]]]:
    """The most probable tokens of each row, as a feed's answer has them."""

    @cache
    def names(token: int) -> dict[str, Any]:
        return {"token": tokenizer.symbol(token), "text": tokenizer.decode([token]), "id": token}

    values, ids = log_p.topk(min(top, log_p.shape[-1]), dim=-1)
    return [
        [names(token) | {"probability": p} for token, p in zip(*pair, strict=True) if math.isfinite(p)]
        for pair in zip(ids.tolist(), values.exp().round(decimals=DIGITS).tolist(), strict=True)
    ]


def _attention(
    model: Any, tokens: Tensor, state: State | None, resets: Tensor | None, position: int, options: WatchOptions
) -> AttendedUnits | None:
    """From the token at a place in the session, of the tokens that are read."""
    if options.attention_at is None:
        return None
    step = options.attention_at - position

    def read(begin: int, end: int, before: State | None) -> State:
        borders = None if resets is None else resets[:, begin:end]
        after: State = model.read(tokens[:, begin:end], before, resets=borders)[1]
        return after

    with evaluating(model):
        memory = read(0, step, state) if step else state
    return watch_attention(model, lambda: read(step, step + 1, memory), options.attention_at)

"""A text token by token, from any language model, as fast as the machine writes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.decode.arena import Arena, Draw, RowMemory, arena_in_core
from elman.decode.generation import generate, prefill
from elman.decode.hypotheses import no_probabilities
from elman.decode.sampling import sample
from elman.models import LanguageModel
from elman.state import State

LONGEST = 0.02  # seconds that the tokens of one call may take, so that a reader sees them come


class WrittenToken(NamedTuple):
    """A token that was written."""

    token: int
    log_probability: float  # in nats, before any filter
    memory: Callable[
        [], State | None
    ]  # the state before the token is read; to be called before the next token is taken


def stream(
    model: LanguageModel,
    prompt: Sequence[int],
    numbers: Iterator[float],
    most: int,
    *,
    state: State | None = None,
    banned: Sequence[int] = (),
    end: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Iterator[WrittenToken]:
    """Read a prompt, at least one token, after `state`; then write at most `most` tokens, up to `end`.

    `numbers` are those of `sampling.sample`, which explains the filters; some may be taken and not used.
    """
    filters = (temperature, top_k, top_p, min_p)
    arena = arena_in_core(model)
    if arena is not None:
        yield from _in_arena(arena, prompt, numbers, most, filters, state, banned, end)
        return
    draw = partial(sample, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)

    def choose(logits: Tensor) -> Tensor:
        return draw(logits, uniform=logits.new_tensor([next(numbers)], dtype=torch.double))

    for token, log_probability, memory in islice(generate(model, prompt, choose, state=state, banned=banned), most):
        yield WrittenToken(token, log_probability, partial(_same, memory))
        if token == end:
            break


def _same(state: State) -> State:
    return state


def _in_arena(
    arena: Arena,
    prompt: Sequence[int],
    numbers: Iterator[float],
    most: int,
    filters: tuple[float, int | None, float | None, float | None],
    state: State | None,
    banned: Sequence[int],
    end: int | None,
) -> Iterator[WrittenToken]:
    """Several tokens a call: as many as take less than `LONGEST`."""
    slot = arena.admit(None if state is None else RowMemory(state, None))
    arena.read([slot], [prompt])
    at_once = 1
    while most > 0:
        at_once, row, begun = min(at_once, most), arena.row(slot), time.perf_counter()
        draw = Draw(np.fromiter(islice(numbers, at_once), float, at_once), *filters)
        written = arena.write([slot], [draw], at_once, banned=banned, end=end)
        seconds, count = time.perf_counter() - begun, int(written.counts[0])
        tokens = written.tokens[0, :count].tolist()
        for i, (token, log_p) in enumerate(zip(tokens, written.log_probabilities[0].tolist(), strict=False)):
            yield WrittenToken(token, log_p, partial(_read_in, arena, row, tokens[:i]))
        if count < at_once and (not count or tokens[-1] != end):
            raise no_probabilities()
        most = 0 if count and tokens[-1] == end else most - count
        at_once = 2 * at_once if seconds < LONGEST / 2 else max(at_once // 2, 1) if seconds > LONGEST else at_once


def _read_in(arena: Arena, row: RowMemory, tokens: Sequence[int]) -> State:
    """The state after more tokens than a row has read."""
    slot = arena.admit(row)
    arena.read([slot], [tokens])
    state = arena.row(slot).state
    arena.release(slot)
    return state


@torch.inference_mode()
def read(model: LanguageModel, tokens: Sequence[int], state: State | None = None) -> State | None:
    """The state after `state` and tokens, of which there may be none: the very one that `stream` would come to."""
    if not tokens:
        return state
    arena = arena_in_core(model)
    if arena is not None:
        return _read_in(arena, RowMemory(model.initial_state(1) if state is None else state, None), tokens)
    return prefill(model, [list(tokens)], state)[1]

"""Generation: one step of the state contract after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from elman.decode.steps import prefill, step
from elman.models import LanguageModel
from elman.state import State


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    choose: Callable[[Tensor], Tensor],
    *,
    state: State | None = None,
    banned: Sequence[int] = (),
) -> Iterator[tuple[int, float, State]]:
    """Read a prompt, then write tokens without end.

    Args:
        model: any language model, in eval mode.
        prompt: at least one token.
        choose: a function from logits (1, V) to a token (1,), such as `sampling.sample`.
        state: the state before the prompt; None is a fresh state.
        banned: tokens that are never written, such as `<unk>`.

    Yields:
        Each token, its log-probability in nats before any filter, and the state before the token is read.
    """
    logits, state = prefill(model, [list(prompt)], state)  # (1, V)
    while True:
        log_probabilities = logits.log_softmax(-1)
        logits[:, list(banned)] = -torch.inf
        token = choose(logits)  # (1,)
        yield int(token), float(log_probabilities[0, token]), state
        logits, state = step(model, token, state)

"""Generation: one step of the state contract after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from elman.models import LanguageModel
from elman.state import State

PROMPT_WINDOW = 512  # tokens of a prompt read at a time, so that a long one needs no more memory


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    choose: Callable[[Tensor], Tensor],
    *,
    state: State | None = None,
    banned: Sequence[int] = (),
) -> Iterator[tuple[int, float, State]]:
    """Read a prompt, then write tokens for ever: take as many as you like.

    Args:
        model: any language model, in eval mode.
        prompt: at least one token.
        state: the memory before the prompt; None is a fresh one.
        choose: from logits (1, V) to a token (1,), such as `sampling.sample`.
        banned: tokens that are never written, such as the unknown word.

    Yields:
        Each token, its log-probability in nats under the model itself (before any filter), and the memory before the
        token is read.
    """
    device = next(model.parameters()).device
    tokens = torch.tensor([list(prompt)], device=device)  # (1, T)
    for piece in tokens.split(PROMPT_WINDOW, dim=1):
        hidden, state = model.read(piece, state)
    while True:
        logits = model.output(hidden[:, -1])  # (1, V)
        log_probabilities = logits.log_softmax(-1)
        logits[:, list(banned)] = -torch.inf
        token = choose(logits)  # (1,)
        yield int(token), float(log_probabilities[0, token]), cast(State, state)
        hidden, state = model.read(token[:, None], state)

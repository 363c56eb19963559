"""Generation: one step of the state contract after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from elman.models import LanguageModel

PROMPT_WINDOW = 512  # tokens of a prompt read at a time, so that a long one needs no more memory


@torch.inference_mode()
def generate(
    model: LanguageModel, prompt: Sequence[int], choose: Callable[[Tensor], Tensor], *, banned: Sequence[int] = ()
) -> Iterator[tuple[int, float]]:
    """Read a prompt, then write tokens for ever: take as many as you like.

    Args:
        model: any language model, in eval mode.
        prompt: at least one token.
        choose: from logits (1, V) to a token (1,), such as `sampling.sample`.
        banned: tokens that are never written, such as the unknown word.

    Yields:
        Each token and its log-probability in nats under the model itself (before any filter).
    """
    device = next(model.parameters()).device
    tokens = torch.tensor([list(prompt)], device=device)  # (1, T)
    state = None
    for piece in tokens.split(PROMPT_WINDOW, dim=1):
        hidden, state = model.read(piece, state)
    while True:
        logits = model.output(hidden[:, -1])  # (1, V)
        log_probabilities = logits.log_softmax(-1)
        logits[:, list(banned)] = -torch.inf
        token = choose(logits)  # (1,)
        yield int(token), float(log_probabilities[0, token])
        hidden, state = model.read(token[:, None], state)

"""One token after another, in a memory of its own: what writing, search and serving do with a model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from elman.state import State


class Steps:
    """Reads a token of each row at a time, without gradients.

    Args:
        model: a language model or an encoder-decoder, in eval mode, which keeps its parameters.
        state: is given away: its tensors may be overwritten. It may be replaced between two tokens.
    """

    def __init__(self, model: Any, state: State) -> None:
        self.model, self.state = model, state

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens (B,) -> logits (B, V); `state` is then the one after the tokens."""
        hidden, self.state = self.model.advance(tokens[:, None], self.state)
        logits: Tensor = self.model.output(hidden[:, -1])
        return logits

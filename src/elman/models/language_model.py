"""The base of every language model: a function of tokens and a state, which gives logits and the state after them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from elman.models.steps import Steps
from elman.nn.sequences import Integers, Lengths, Resets
from elman.settings import Section
from elman.state import State


class LanguageModel(nn.Module, ABC):
    """The next token's distribution after every step, given all that the row has read since its last reset.

        logits, state = model(tokens, state)            softmax(logits[b, t]) = p(token t+1 | tokens ≤ t)

    tokens (B, T) integers, T ≥ 0; logits (B, T, V); state=None is a fresh memory. Tokens, lengths and resets are
    tensors, arrays or lists; on a CPU, a token beyond the vocabulary is a `UserError`.

    - `lengths` (B,) integers: the steps of a row from its length on are padding. They leave the row's state
      unchanged; their logits are finite and mean nothing.
    - `resets` (B, T) boolean: the row's memory is made fresh before such a step.

    Reading in pieces equals reading whole. The two halves of a call are `read` and `output`, for callers who want
    hidden states, or the logits of some steps only. Every setting is an attribute, too.

    >>> import torch
    >>> from elman.models import build
    >>> model = build({"model": "lstm", "vocab_size": 27, "hidden_size": 8}).eval()
    >>> tokens = torch.randint(27, (2, 9))
    >>> logits, state = model(tokens)
    >>> first, state = model(tokens[:, :5])
    >>> second, state = model(tokens[:, 5:], state)
    >>> torch.allclose(torch.cat([first, second], 1), logits, atol=1e-6)
    True
    """

    kind: str  # the name under which `elman.models.MODELS` makes such a model
    settings: Section  # the configuration of the model
    vocab_size: int
    decoder: nn.Linear  # makes logits of hidden states
    time_major: ClassVar[bool] = False  # whether hidden states are laid out as (T, B, H); see `in_memory_order`
    step_by_step: ClassVar[bool] = True  # whether steps are read in turn, so that many rows at once make reading fast

    @property
    def reach(self) -> int | None:
        """The number of steps after which a token changes no logit any more; None: there is no such number."""
        return None

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """A fresh memory: zeros, of the parameters' dtype and on their device."""

    @abstractmethod
    def read(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> the last layer's hidden states (B, T, H), ready for `output`, and the state after them."""

    def advance(self, tokens: Integers, state: State) -> tuple[Tensor, State]:
        """As `read` without padding and resets, for a caller that gives `state` away.

        Without gradients, the state after the tokens may lie in the tensors of `state`, which then hold nothing of use.
        So a token costs no copy of a memory that grows.
        """
        return self.read(tokens, state)

    def steps(self, state: State) -> Steps:
        """A reader of one token after another, from a state that is given away; without gradients, in eval mode."""
        return Steps(self, state)

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V)."""
        return self.decoder(hidden.contiguous())  # else a linear layer adds its bias in a pass of its own

    def in_memory_order(self, steps: Tensor) -> Tensor:
        """Steps (B, T, ...) in the layout of the hidden states, (T, B, ...) where `time_major`; or back.

        A loss that takes hidden states and targets in this order copies neither.
        """
        return steps.transpose(0, 1) if self.time_major else steps

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""

    def forward(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V) and the state after them."""
        hidden, state = self.read(tokens, state, lengths=lengths, resets=resets)
        return self.output(hidden), state

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which `elman.models.build` makes such a model again."""
        return {"model": self.kind, "vocab_size": self.vocab_size, **self.settings.model_dump()}

    if TYPE_CHECKING:  # else mypy takes a setting for a tensor or a module, which torch.nn.Module finds by name

        def __getattr__(self, name: str) -> Any: ...

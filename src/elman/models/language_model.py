"""What every language model is: a function of tokens and a memory, giving logits and the memory after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from elman.nn.sequences import Flags, Integers
from elman.settings import Section
from elman.state import State


class LanguageModel(nn.Module, ABC):
    """The next token's distribution after every step, given all that the row has read since its last reset.

        logits, state = model(tokens, state)            softmax(logits[b, t]) = p(token t+1 | tokens ≤ t)

    tokens (B, T) integers, T ≥ 0; logits (B, T, V); state=None is a fresh memory. Tokens, lengths and resets are
    tensors, arrays (what `tokenizer.encode` gives) or lists; what an embedding does not have is a `UserError` on a CPU.

    - `lengths` (B,) integers: the steps of a row from its length on are padding. They leave its memory as it
      was; their logits are finite and mean nothing.
    - `resets` (B, T) boolean: the row's memory is made fresh before that step.

    Reading in pieces equals reading whole. The two halves of the call are there by themselves, for whoever
    wants logits of some steps only, or the hidden states: `read` and `output`. Every setting is an attribute too.
    """

    kind: str
    """The name under which `elman.models.MODELS` makes such a model."""
    settings: Section
    """The configuration that the model was made with."""
    vocab_size: int
    decoder: nn.Linear
    """Makes logits of hidden states."""
    time_major: ClassVar[bool] = False
    """Whether the hidden states (B, T, H) lie in memory as (T, B, H); see `in_memory_order`."""
    step_by_step: ClassVar[bool] = True
    """Whether a window is read one step after the other, so that rows beside each other are what is fast."""

    @property
    def reach(self) -> int | None:
        """How many steps back a memory goes at the most, wherever it began: what was before changes no logit.

        None: there is no such bound.
        """
        return None

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """A fresh memory: zeros, of the parameters' dtype and on their device."""

    @abstractmethod
    def read(
        self,
        tokens: Integers,
        state: State | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> the last layer's hidden states (B, T, H), ready for `output`, and the memory."""

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V)."""
        return self.decoder(hidden.contiguous())  # else a linear layer adds its bias in a pass of its own

    def in_memory_order(self, steps: Tensor) -> Tensor:
        """Steps (B, T, ...) as hidden states lie in memory: (T, B, ...) where `time_major`. Twice, it undoes itself.

        A loss that takes hidden states and targets in this order copies neither.
        """
        return steps.transpose(0, 1) if self.time_major else steps

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""

    def forward(
        self,
        tokens: Integers,
        state: State | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V) and the memory after them."""
        hidden, state = self.read(tokens, state, lengths=lengths, resets=resets)
        return self.output(hidden), state

    @property
    def config(self) -> dict[str, Any]:
        """Plain values with which `elman.models.build` makes this model again, the parameters aside."""
        return {"model": self.kind, "vocab_size": self.vocab_size, **self.settings.model_dump()}

    if TYPE_CHECKING:  # else mypy takes a setting for what `torch.nn.Module` finds by name: a tensor or a module

        def __getattr__(self, name: str) -> Any: ...

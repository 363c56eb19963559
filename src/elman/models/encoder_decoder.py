"""What every encoder-decoder is: an encoder makes a memory of a source, a decoder writes with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from elman.errors import UserError
from elman.models.constructor import checked
from elman.nn.sequences import Integers
from elman.settings import Section
from elman.state import State


class EncoderDecoder(nn.Module, ABC):
    """The next target token's distribution, given the source and the target so far.

        state = model.encode(source, lengths)           what is remembered of the source
        logits, state = model(tokens, state)            softmax(logits[b, t]) = p(token t+1 | source, tokens ≤ t)

    source (B, S) and tokens (B, T) integers; `lengths` (B,) integers, at least 1 for a source: what is beyond is
    padding. All may be tensors, arrays or lists. The state of the decoder holds the memory of the source beside its
    own, so that the second line is a language model's: decoding, truncation and export need know nothing of a source.
    Reading the target in pieces equals reading it whole.

    The target begins with the token that ends it (`<eod>`), and so does the source end with it.
    """

    kind: str
    """The name under which `elman.models.ENCODER_DECODERS` makes such a model."""
    settings: Section
    """The configuration that the model was made with; every setting is an attribute of the model too."""
    source_vocab_size: int
    vocab_size: int
    """Of the target."""
    joint: bool
    """Whether source and target share one embedding."""
    output_layer: nn.Linear
    """Makes logits of hidden states."""
    time_major: ClassVar[bool] = False
    """Whether the tokens that the embeddings look up are (T, B)."""

    @property
    def longest(self) -> int | None:
        """The most tokens that a source, and that a target may have, `<eod>` among them; None: there is no limit."""
        return None

    @abstractmethod
    def encode(self, source: Integers, lengths: Integers | None = None) -> State:
        """source (B, S) -> the decoder's memory before the first target token, the batch first in every tensor."""

    @abstractmethod
    def read(self, tokens: Integers, state: State, *, lengths: Integers | None = None) -> tuple[Tensor, State]:
        """Target tokens (B, T) -> hidden states (B, T, H), ready for `output`, and the memory after them."""

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V)."""
        return self.output_layer(hidden)

    @abstractmethod
    def read_aligned(self, tokens: Integers, state: State) -> tuple[Tensor, Tensor | None, State]:
        """What `read` returns, and between the two where each step attends to: weights (B, T, S), 1 over S together.

        None for a model without attention. Where there are several heads or layers: their mean.
        """

    def align(self, tokens: Tensor, state: State) -> Tensor | None:
        """The weights of `read_aligned` alone."""
        return self.read_aligned(tokens, state)[1]

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""

    def forward(self, tokens: Integers, state: State, *, lengths: Integers | None = None) -> tuple[Tensor, State]:
        """Target tokens (B, T) -> logits (B, T, V) and the memory after them."""
        hidden, state = self.read(tokens, state, lengths=lengths)
        return self.output(hidden), state

    @property
    def config(self) -> dict[str, Any]:
        """Plain values with which `elman.models.build_encoder_decoder` makes this model again."""
        data = {name: getattr(self, name) for name in ("source_vocab_size", "vocab_size", "joint")}
        return {"model": self.kind, **data, **self.settings.model_dump()}

    def _take_vocabularies(self, source_vocab_size: int, vocab_size: int, joint: bool) -> None:
        """Keep what the data decides. Raises `UserError` where two vocabularies shall share one embedding."""
        self.source_vocab_size = checked(source_vocab_size, int, "source_vocab_size")
        self.vocab_size = checked(vocab_size, int, "vocab_size")
        self.joint = checked(joint, bool, "joint")
        if self.joint and self.source_vocab_size != self.vocab_size:
            sizes = f"sizes {self.source_vocab_size} and {self.vocab_size}"
            raise UserError("joint embeddings", expected="one vocabulary for source and target", got=sizes)

    if TYPE_CHECKING:  # else mypy takes a setting for what `torch.nn.Module` finds by name: a tensor or a module

        def __getattr__(self, name: str) -> Any: ...

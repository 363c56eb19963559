"""The base of every encoder-decoder: an encoder makes a memory of a source, from which a decoder writes a target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.constructor import checked
from elman.models.steps import Steps
from elman.nn.sequences import Integers, Lengths, as_lengths, as_tokens
from elman.settings import Section
from elman.state import State


class EncoderDecoder(nn.Module, ABC):
    """The next target token's distribution, given the source and the target so far.

        state = model.encode(source, lengths)           the memory of the source
        logits, state = model(tokens, state)            softmax(logits[b, t]) = p(token t+1 | source, tokens ≤ t)

    source (B, S) and tokens (B, T) are integers; steps from `lengths` (B,) on, at least 1 for a source, are padding.
    All may be tensors, arrays or lists. The decoder's state holds the memory of the source beside its own, so that the
    second line is a language model's: decoding, truncation and export need not know of the source. Reading the target
    in pieces equals reading it whole. The tokens may have W rows for each row of the source, neighbours of each other,
    if the state's tensors that are not `shared` have as many (see `elman.state`). Source and target end with the token
    `<eod>`; the target begins with it, too.

    >>> from elman.models import build_encoder_decoder
    >>> model = build_encoder_decoder({"model": "gru", "source_vocab_size": 9, "vocab_size": 7, "hidden_size": 8})
    >>> state = model.encode([[3, 4, 0], [5, 0, 0]], lengths=[3, 2])
    >>> logits, state = model([[0, 1, 2], [0, 6, 6]], state)
    >>> logits.shape
    torch.Size([2, 3, 7])
    """

    kind: str  # the name under which `elman.models.ENCODER_DECODERS` makes such a model
    settings: Section  # the configuration of the model; every setting is an attribute of the model too
    source_vocab_size: int
    vocab_size: int  # of the target
    joint: bool  # whether source and target share one embedding
    output_layer: nn.Linear  # makes logits of hidden states
    memory_part: ClassVar[str] = "decoder"  # what writes the target: the encoder has read the source before
    time_major: ClassVar[bool] = False  # whether the embeddings look up tokens (T, B)

    @property
    def longest(self) -> int | None:
        """The most tokens that a source or a target may have, `<eod>` among them; None: there is no limit."""
        return None

    @abstractmethod
    def encode(self, source: Integers, lengths: Lengths = None) -> State:
        """source (B, S) -> the decoder's state before the first target token."""

    @abstractmethod
    def read(self, tokens: Integers, state: State, *, lengths: Lengths = None) -> tuple[Tensor, State]:
        """Target tokens (B, T) -> hidden states (B, T, H), ready for `output`, and the state after them."""

    def advance(self, tokens: Integers, state: State) -> tuple[Tensor, State]:
        """As `read` without padding, for a caller that gives `state` away; see `LanguageModel.advance`."""
        return self.read(tokens, state)

    def steps(self, state: State) -> Steps:
        """A reader of one token after another, from a state that is given away; without gradients, in eval mode."""
        return Steps(self, state)

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., H) -> logits (..., V)."""
        return self.output_layer(hidden)

    @abstractmethod
    def read_aligned(self, tokens: Integers, state: State) -> tuple[Tensor, Tensor | None, State]:
        """The hidden states of `read`, the attention of each step to the source, and the state.

        The attention (B, T, S) sums to 1 over S, and is the mean over layers and heads; None: there is no attention.
        """

    def align(self, tokens: Tensor, state: State) -> Tensor | None:
        """The attention of `read_aligned` alone."""
        return self.read_aligned(tokens, state)[1]

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""

    def forward(self, tokens: Integers, state: State, *, lengths: Lengths = None) -> tuple[Tensor, State]:
        """Target tokens (B, T) -> logits (B, T, V) and the state after them."""
        hidden, state = self.read(tokens, state, lengths=lengths)
        return self.output(hidden), state

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which `elman.models.build_encoder_decoder` makes such a model again."""
        data = {name: getattr(self, name) for name in ("source_vocab_size", "vocab_size", "joint")}
        return {"model": self.kind, **data, **self.settings.model_dump()}

    def _take_vocabularies(self, source_vocab_size: int, vocab_size: int, joint: bool) -> None:
        """Keep the arguments that the data decides. Raises `UserError` where two sizes shall share one embedding."""
        self.source_vocab_size = checked(source_vocab_size, int, "source_vocab_size")
        self.vocab_size = checked(vocab_size, int, "vocab_size")
        self.joint = checked(joint, bool, "joint")
        if self.joint and self.source_vocab_size != self.vocab_size:
            sizes = f"sizes {self.source_vocab_size} and {self.vocab_size}"
            raise UserError("joint embeddings", expected="one vocabulary for source and target", got=sizes)

    def _take_source(self, source: Integers, lengths: Lengths) -> tuple[Tensor, Tensor]:
        """A source (B, S) and its lengths (B,) as tensors; without lengths every step is of the source."""
        source = as_tokens(source, self, "source")
        B, S = source.shape
        if lengths is None:
            return source, torch.full((B,), S, device=source.device)
        return source, as_lengths(lengths, B, S, source.device, least=1)

    if TYPE_CHECKING:  # else mypy takes a setting for a tensor or a module, which torch.nn.Module finds by name

        def __getattr__(self, name: str) -> Any: ...

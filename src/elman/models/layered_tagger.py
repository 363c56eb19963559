"""A model of another framework as a tagger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from elman.errors import UserError
from elman.models.configuration import IMPORTED, ImportedSettings
from elman.models.layered import LayeredModel
from elman.models.layered_scores import check_network, read_in_pieces, read_scores
from elman.models.tagger import Tagger
from elman.models.truncation import refuse_steps
from elman.nn.sequences import Integers, Lengths, Resets, as_batch
from elman.state import State


class LayeredTagger(Tagger):
    """A `LayeredModel` with an output for each tag at every step; it reads the words, and none of their characters.

    `model(words)[0]` is the framework's own output (B, T, K); `scores` are the logits of the tags. One output is the
    probability of the second of two tags. Raises `UserError` where the layers do not fit.
    """

    memory_part: ClassVar[str] = "network"

    def __init__(
        self,
        *,
        word_vocab_size: int,
        character_vocab_size: int,
        tags: Sequence[str],
        network: Mapping[str, Any],
        scheme: str | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.kind, self.settings = IMPORTED, ImportedSettings(network=dict(network))
        self.network = LayeredModel(network)
        self.word_vocab_size, self.character_vocab_size = word_vocab_size, character_vocab_size
        self.tags, self.scheme, self.crf_layer = tuple(tags), scheme, None
        self.character_size = 0
        check_network(self.network, input={"kind": "tokens", "vocab_size": word_vocab_size}, per_step=True)
        if max(self.network.config["outputs"], 2) != len(self.tags):
            raise UserError("tags", expected=f"{self.network.config['outputs']} names", got=len(self.tags))

    @property
    def causal(self) -> bool:
        """Whether a tag can be had as soon as its word has arrived."""
        return self.network.causal

    def initial_state(self, batch_size: int) -> State:
        """Zeros for every recurrent layer; () where the layers are not causal."""
        return self.network.initial_state(batch_size) if self.causal else ()

    def forward(
        self,
        words: Integers,
        spelling: Any = None,
        characters: Any = None,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """words (B, T) -> the framework's own output (B, T, K), and the state after them."""
        words, lengths, resets = as_batch(self, words, lengths, resets)
        return self.network(words, state, lengths=lengths, resets=resets)

    def scores(
        self,
        words: Integers,
        spelling: Any = None,
        characters: Any = None,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """Logits (B, T, K) of the tags, and the state after the words."""
        words, lengths, resets = as_batch(self, words, lengths, resets)

        def read(words: Tensor, state: State | None, **masks: Any) -> tuple[Tensor, State]:
            return read_scores(self.network, words, state, as_classes=True, **masks)

        if k2 is not None and state is None and resets is None:
            return read_in_pieces(self.network, read, words, k2, lengths)
        return read(words, state, lengths=lengths, resets=resets)

    def refuse_steps(self) -> None:
        """Raise a `UserError` where the layers need the whole sentence."""
        if not self.causal:
            refuse_steps("give the whole sequence")

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the recurrent layers."""
        return self.network.stacked_maps()

    def undecayed(self) -> list[Tensor]:
        """None."""
        return []

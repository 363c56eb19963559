"""A model of another framework as a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.classifier import Classifier, LabelKind
from elman.models.configuration import IMPORTED, ImportedSettings
from elman.models.layered import LayeredModel
from elman.models.layered_scores import check_network, read_in_pieces, read_scores
from elman.models.truncation import refuse_steps
from elman.nn.sequences import Integers, Lengths, Resets, as_tokens
from elman.state import State


class LayeredClassifier(Classifier):
    """A `LayeredModel` with an output for a whole sequence of tokens or of channels.

    `model(inputs)[0]` is the framework's own output (B, K), its softmax or sigmoid included; `scores` are the logits or
    numbers before. One probability is that of the second of two classes. A value that is NaN is read as 0. Raises
    `UserError` where the layers do not fit.
    """

    memory_part: ClassVar[str] = "network"

    def __init__(
        self,
        *,
        outputs: int,
        network: Mapping[str, Any],
        kind_of_labels: LabelKind = "class",
        vocab_size: int | None = None,
        channels: int | None = None,
        ngrams: bool = False,
        missing: bool = False,
    ) -> None:
        nn.Module.__init__(self)
        self.kind, self.settings = IMPORTED, ImportedSettings(network=dict(network))
        self.network = LayeredModel(network)
        self.outputs, self.kind_of_labels = outputs, kind_of_labels
        self.vocab_size, self.channels, self.ngrams, self.missing = vocab_size, channels, False, False
        size = (
            {"kind": "values", "channels": channels}
            if vocab_size is None
            else {"kind": "tokens", "vocab_size": vocab_size}
        )
        check_network(self.network, input=size, per_step=False)
        made = self.network.config["outputs"]
        if outputs != made and not (outputs == 2 and made == 1 and kind_of_labels == "class"):
            raise UserError("outputs", expected=made, got=outputs)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("thresholds", torch.full((outputs,), 0.5))

    @property
    def causal(self) -> bool:
        """Whether labels can be had while the sequence arrives."""
        return self.network.causal

    def initial_state(self, batch_size: int) -> State:
        """Zeros for every recurrent layer; () where the layers are not causal."""
        return self.network.initial_state(batch_size) if self.causal else ()

    def _given(self, inputs: Integers | Tensor) -> Tensor:
        """Tokens (B, T) or values (B, T, C). Raises `UserError` for others."""
        if self.vocab_size is not None:
            return as_tokens(inputs, self)
        return self.values(inputs).nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf)

    def forward(
        self,
        inputs: Integers | Tensor,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """The framework's own output (B, K) after all steps, and the state after them."""
        return self.network(self._given(inputs), state, lengths=lengths, resets=resets)

    def scores(
        self,
        inputs: Integers | Tensor,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """Logits or numbers (B, K), and the state after the inputs."""

        def read(given: Tensor, state: State | None, **masks: Any) -> tuple[Tensor, State]:
            return read_scores(self.network, given, state, as_classes=self.outputs == 2, **masks)

        given = self._given(inputs)
        if k2 is not None and state is None and resets is None:
            return read_in_pieces(self.network, read, given, k2, lengths)
        return read(given, state, lengths=lengths, resets=resets)

    def refuse_steps(self) -> None:
        """Raise the `UserError` of a model that is not causal."""
        refuse_steps("give the whole sequence")

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the recurrent layers."""
        return self.network.stacked_maps()

"""A model of another framework as a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from elman.errors import UserError
from elman.models.configuration import IMPORTED, ImportedSettings
from elman.models.language_model import LanguageModel
from elman.models.layered import LayeredModel
from elman.models.layered_scores import read_scores
from elman.nn.sequences import Integers, Lengths, Resets, as_batch
from elman.state import State


class LayeredLanguageModel(LanguageModel):
    """A `LayeredModel` whose output at each step is the next token's distribution.

    `model(tokens)[0]` is the framework's own output, its softmax included; `read` gives the logits. Raises `UserError`
    where the layers are not causal, or have not an output for each token.

    >>> nodes = [
    ...     {"op": "embedding", "name": "table", "inputs": ["input"], "rows": 9, "size": 4},
    ...     {"op": "recurrent", "name": "gru", "inputs": ["table"], "cell": "gru", "input_size": 4, "hidden_size": 8},
    ...     {"op": "linear", "name": "out", "inputs": ["gru"], "input_size": 8, "output_size": 9},
    ... ]
    >>> last = {"output": "out", "output_kind": "logits", "outputs": 9, "per_step": True}
    >>> model = LayeredLanguageModel(9, {"input": {"kind": "tokens", "vocab_size": 9}, "nodes": nodes, **last})
    >>> model([[3, 1, 4]])[0].shape
    torch.Size([1, 3, 9])
    """

    kind = IMPORTED

    def __init__(self, vocab_size: int, network: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.vocab_size = LayeredModel(network), vocab_size
        self.settings = ImportedSettings(network=dict(network))
        config = self.network.config
        sizes = config["input"].get("vocab_size"), config["outputs"]
        if sizes != (vocab_size, vocab_size) or not config["per_step"] or not self.network.causal:
            expected = f"layers that read forward, from {vocab_size} tokens to an output for each at every step"
            raise UserError("network", expected=expected, got="others")

    def initial_state(self, batch_size: int) -> State:
        """Zeros for every recurrent layer."""
        return self.network.initial_state(batch_size)

    def read(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V), which `output` leaves as they are, and the state after them."""
        tokens, lengths, resets = as_batch(self, tokens, lengths, resets)
        return read_scores(self.network, tokens, state, lengths=lengths, resets=resets)

    def output(self, hidden: Tensor) -> Tensor:
        """The logits are there already."""
        return hidden

    def forward(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> the framework's own output (B, T, V), and the state after them."""
        tokens, lengths, resets = as_batch(self, tokens, lengths, resets)
        return self.network(tokens, state, lengths=lengths, resets=resets)

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the recurrent layers."""
        return self.network.stacked_maps()

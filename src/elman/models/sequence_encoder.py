"""What an encoder of sequences is: a function of embedded inputs and a memory, on which tasks put their heads."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.truncation import read_in_stretches, refuse_steps, refuse_truncation
from elman.nn.sequences import Lengths, Resets, as_lengths, as_resets
from elman.state import State


class SequenceEncoder(nn.Module, ABC):
    """Hidden states of embedded tokens, or of the channels of a series.

        hidden, state = encoder(x, state, lengths=lengths, resets=resets)

    x (B, T, D) -> hidden (B, T, output_size). A causal encoder keeps the state contract: reading in pieces equals
    reading whole. One that is not causal (two directions, or attention to all steps) needs the whole sequence: it takes
    no state, and the state after it is empty.

    - `lengths` (B,): the steps of a row from its length on are padding. They change nothing; their hidden states are
      finite and mean nothing.
    - `resets` (B, T) boolean: nothing passes the border before such a step, in either direction.
    """

    input_size: int
    output_size: int
    causal: bool

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """A fresh memory: zeros, of the parameters' dtype and on their device; () of an encoder that is not causal."""

    def forward(
        self, x: Tensor, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """x (B, T, D) -> hidden states (B, T, H) and the state after them.

        Raises:
            UserError: an encoder that is not causal is given a state, or inputs do not fit.
        """
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise UserError("inputs", expected=f"shape (B, T, {self.input_size})", got=f"shape {tuple(x.shape)}")
        if state is not None and not self.causal:
            self.refuse_steps()
        B, T, _ = x.shape
        lengths = None if lengths is None else as_lengths(lengths, B, T, x.device)
        resets = None if resets is None else as_resets(resets, B, T, x.device)
        return self._read(x, self.initial_state(B) if state is None else state, lengths, resets)

    def refuse_steps(self) -> None:
        """Raise the `UserError` of a model that needs the whole sequence and is asked for a step."""
        refuse_steps(f"train one with --set {self.one_directional}")

    one_directional: str  # the setting that makes such an encoder causal

    @abstractmethod
    def _read(self, x: Tensor, state: State, lengths: Tensor | None, resets: Tensor | None) -> tuple[Tensor, State]: ...

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""


def read_truncated(
    encoder: SequenceEncoder, x: Tensor, k2: int | None, *, lengths: Lengths = None
) -> tuple[Tensor, State]:
    """As `encoder(x, lengths=lengths)`, where no gradient flows back over more than `k2` steps (None: any number).

    An encoder that is not causal reads whole; a `UserError` says so where k2 is given.
    """
    if k2 is None or k2 >= x.shape[1]:
        return encoder(x, lengths=lengths)
    if not encoder.causal:
        refuse_truncation(f"leave it out, or --set {encoder.one_directional}")
    outputs, state = read_in_stretches(encoder, x, encoder.initial_state(len(x)), k2, lengths)
    return torch.cat(outputs, dim=1), state

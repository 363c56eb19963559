"""Encoders of sequences: functions of embedded inputs and a memory, on which tasks put their heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.kernels.attention.backends import with_mask
from elman.kernels.attention.seam import Rotation
from elman.kernels.attention.sight import Sight, step_positions
from elman.models.configuration import RecurrentEncoderSettings, TransformerEncoderSettings, resolve
from elman.models.constructor import checked_cell
from elman.models.initialization import initialize_recurrent
from elman.models.recurrent import read_layers
from elman.models.transformer import (
    TransformerState,
    make_layers,
    maps_of,
    once_if_equal,
    read_transformer_layers,
)
from elman.nn import layer_of
from elman.nn.dropout import Dropout, locked_dropout
from elman.nn.positions import rotary, sinusoidal
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import Lengths, Resets, as_lengths, as_resets
from elman.state import State, detach


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
        what = "this model reads in both directions: it needs the whole sequence, and cannot go on from a state"
        raise UserError(what, remedy=f"train one with --set {self.one_directional}")

    one_directional: str  # the setting that makes such an encoder causal

    @abstractmethod
    def _read(self, x: Tensor, state: State, lengths: Tensor | None, resets: Tensor | None) -> tuple[Tensor, State]: ...

    @abstractmethod
    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices from hidden states to hidden states, and how many maps each holds, one above the other."""


class RecurrentEncoder(SequenceEncoder):
    """Layers of one cell, in one direction or in both.

        x_l = cell_l(x_{l−1})          or, with `bidirectional`, [forward cell; backward cell] of half the size each

    With `residual`, a layer adds its outputs to inputs of the same size. Dropout on the inputs of each layer, and on
    the outputs (`dropout_output`), draws one mask for all steps of a call (Gal and Ghahramani 2016). The state is a
    tuple with that of each layer. `RecurrentEncoder("gru", 10, settings)`: the cell is one of `CELLS`.
    """

    one_directional = "bidirectional=false"

    def __init__(
        self, cell: str, input_size: int, settings: RecurrentEncoderSettings, *, input_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.cell, self.settings = checked_cell(cell), settings
        self.input_size, self.output_size = input_size, settings.hidden_size
        self.causal = not settings.bidirectional
        Layer, H = layer_of(cell), settings.hidden_size
        options = {name: getattr(settings, name) for name in ("layer_norm", "bidirectional", "recompute")}
        units = H if self.causal else H // 2
        sizes = [input_size, *[H] * settings.num_layers]
        self.layers = nn.ModuleList(Layer(D, units, **options) for D, _ in pairwise(sizes))
        scale = input_scale
        for layer in self.layers:
            initialize_recurrent(cast(Recurrent, layer), scale)
            if not (settings.residual and cast(Recurrent, layer).input_size == H):
                scale = CELLS[cell].output_scale

    def initial_state(self, batch_size: int) -> State:
        """Zeros for every layer."""
        if not self.causal:
            return ()
        cell, like, H = CELLS[self.cell], next(self.parameters()), self.output_size
        zeros = [torch.zeros(batch_size, size, dtype=like.dtype, device=like.device) for size in cell.sizes(H, H)]
        return tuple(cast(State, cell.state_type(*zeros)) for _ in self.layers)

    def _read(self, x: Tensor, state: State, lengths: Tensor | None, resets: Tensor | None) -> tuple[Tensor, State]:
        own, x = self.settings, x.transpose(0, 1)  # (T, B, D): the layers' kernels are time-major
        dropouts = [own.dropout] * own.num_layers
        if self.causal:
            x, state = read_layers(
                self.layers, x, cast(tuple[State, ...], state), dropouts, self.training,
                lengths=lengths, resets=resets, residual=own.residual,
            )  # fmt: skip
        else:
            for layer, p in zip(self.layers, dropouts, strict=True):
                x = locked_dropout(x, p, training=self.training)
                outputs, _ = layer(x, lengths=lengths, resets=resets)
                x = x + outputs if own.residual and x.shape == outputs.shape else outputs
        return locked_dropout(x, own.dropout_output, training=self.training).transpose(0, 1), state

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer: a map for each of the cell's gates."""
        return dict.fromkeys((p for p in self.parameters() if p.dim() == 2), len(CELLS[self.cell].rows))


class TransformerEncoder(SequenceEncoder):
    """Pre-norm Transformer layers after a linear layer that makes their inputs.

        x_0 = W x + b  (+ sinusoidal position)
        x_l = layer_l(x_{l−1})                                     l = 1 … num_layers

    With `is_causal`, a step attends to itself and those before it, within `window`, and the state is that of a
    `TransformerLM`; else it attends to all steps of its row. Vaswani et al. 2017, "Attention is all you need".
    """

    one_directional = "is_causal=true"

    def __init__(self, input_size: int, settings: TransformerEncoderSettings) -> None:
        super().__init__()
        self.settings = own = resolve(settings)
        self.input_size, self.output_size, self.causal = input_size, own.hidden_size, own.is_causal
        self.inputs = nn.Linear(input_size, own.hidden_size)
        nn.init.normal_(self.inputs.weight, std=input_size**-0.5)
        nn.init.zeros_(self.inputs.bias)
        self.dropout = Dropout(own.dropout)
        self.layers = make_layers(own, own.num_layers)
        self.norm = nn.LayerNorm(own.hidden_size)

    def initial_state(self, batch_size: int) -> State:
        """An empty cache, and position 0."""
        if not self.causal:
            return ()
        own, weight = self.settings, self.inputs.weight
        entries = (weight.new_zeros(batch_size, own.num_heads, 0, own.hidden_size // own.num_heads),) * own.num_layers
        return TransformerState(entries, entries, weight.new_zeros(batch_size, dtype=torch.int64))

    def _read(self, x: Tensor, state: State, lengths: Tensor | None, resets: Tensor | None) -> tuple[Tensor, State]:
        if not self.causal:
            return self._read_whole(x, lengths, resets), ()
        before, (_, T, _) = cast(TransformerState, state), x.shape
        positions = step_positions(before.position, T, resets)  # (B, T)
        x, rotation = self._enter(x, positions)
        sight = Sight(True, self.settings.window, before.position, lengths, resets)
        sight = with_mask(sight, T, before.keys[0].shape[2], x.dtype)
        x, keys, values = read_transformer_layers(self.layers, x, before.keys, before.values, sight, rotation=rotation)
        after = torch.cat((before.position[:, None], positions + 1), dim=1)  # (B, T+1): after so many steps
        position = after[:, -1] if lengths is None else after.gather(1, lengths[:, None])[:, 0]
        return self.norm(x), TransformerState(keys, values, position)

    def _read_whole(self, x: Tensor, lengths: Tensor | None, resets: Tensor | None) -> Tensor:
        if resets is not None:
            raise UserError("resets", expected="none, where attention sees all steps", got="some")
        T = x.shape[1]
        x, rotation = self._enter(x, torch.arange(T, device=x.device)[None])
        # A row without a step sees its first, which is padding, so that its hidden states are finite.
        sight = Sight(causal=False, lengths=None if lengths is None else lengths.clamp(min=1))
        sight = with_mask(sight, T, 0, x.dtype)
        for layer in self.layers:
            x, _ = layer(x, sight=sight, rotation=rotation)
        return self.norm(x)

    def _enter(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Rotation | None]:
        """Inputs (B, T, D) at positions (B, T) -> those of the first layer (B, T, H), and how heads are turned."""
        own, places, rotation = self.settings, once_if_equal(positions), None
        x = self.inputs(x)
        if own.positions == "sinusoidal":
            x = x + sinusoidal(places, own.hidden_size).to(x.dtype)
        else:
            rotation = rotary(places, own.hidden_size // own.num_heads, x.dtype)
        return self.dropout(x), rotation

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer."""
        return maps_of(self.layers)


def make_encoder(
    kind: str, input_size: int, settings: RecurrentEncoderSettings | TransformerEncoderSettings
) -> SequenceEncoder:
    """The encoder of a kind of model: "transformer", or a recurrent cell."""
    if isinstance(settings, TransformerEncoderSettings):
        return TransformerEncoder(input_size, settings)
    return RecurrentEncoder(kind, input_size, settings)


def encoder_layers(model: nn.Module) -> Sequence[nn.Module]:
    """The layers of the encoder of a model; none of a model of another make."""
    return tuple(getattr(getattr(model, "encoder", None), "layers", ()))


def read_truncated(
    encoder: SequenceEncoder, x: Tensor, k2: int | None, *, lengths: Lengths = None
) -> tuple[Tensor, State]:
    """As `encoder(x, lengths=lengths)`, where no gradient flows back over more than `k2` steps (None: any number).

    The sequence is read in stretches of k2 steps, between which the state is detached. An encoder that is not causal
    reads whole; a `UserError` says so where k2 is given.
    """
    B, T, _ = x.shape
    if k2 is None or k2 >= T:
        return encoder(x, lengths=lengths)
    if not encoder.causal:
        remedy = f"leave it out, or --set {encoder.one_directional}"
        raise UserError("k2: truncation cuts between a state and the next", expected="a causal model", remedy=remedy)
    whole = None if lengths is None else as_lengths(lengths, B, T, x.device)
    state, outputs = encoder.initial_state(B), []
    for begin in range(0, T, k2):
        piece = x[:, begin : begin + k2]
        left = None if whole is None else (whole - begin).clamp(0, piece.shape[1])
        hidden, state = encoder(piece, detach(state), lengths=left)
        outputs.append(hidden)
    return torch.cat(outputs, dim=1), state

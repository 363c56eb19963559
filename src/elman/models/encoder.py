"""The encoders: recurrent layers, or those of a Transformer."""

from __future__ import annotations

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
from elman.models.sequence_encoder import SequenceEncoder
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
from elman.state import State


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

"""A recurrent network as a language model, with the regularisation of AWD-LSTM."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.models.configuration import LANGUAGE_MODELS, OF_ANY_CELL, RecurrentSettings, recurrent_settings
from elman.models.constructor import checked, checked_cell, configure, spelled_by
from elman.models.initialization import initialize_recurrent
from elman.models.language_model import LanguageModel
from elman.models.steps import Steps
from elman.nn import layer_of
from elman.nn.dropout import embedding_dropout, locked_dropout
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import Integers, Lengths, Resets, as_batch, embed
from elman.state import State, map_state

OF_LAYERS = {  # settings that are options of the layers, if a cell's layer has such an option
    *("weight_dropout", "recurrent_dropout", "zoneout", "layer_norm", "recompute"),
    *(option.name for cell in CELLS.values() for option in cell.options if option.in_models),
}


class RecurrentLM(LanguageModel):
    """Layers of one cell between an embedding and an output layer.

        x_0 = E[token]
        x_l = cell_l(x_{l−1})                                      l = 1 … num_layers
        logits = W x_L + b                                         W = E if `tied`

    The state is a tuple of the layers' states: h (B, H) each, or a named tuple such as the LSTM's (h, c). With `tied`,
    the last layer has `embedding_size` units, so that E fits (Press and Wolf 2017, Inan et al. 2017). With `residual`,
    a layer adds its outputs to inputs of the same size: x_l = x_{l−1} + cell_l(x_{l−1}).

    Dropout, in training only, is that of AWD-LSTM (Merity et al. 2018, "Regularizing and optimizing LSTM language
    models"; its values for the Penn Treebank in brackets). All kinds but the first and last draw one mask for all
    steps of a call (locked dropout):

    - `dropout_embedding` [0.1]: whole words;
    - `dropout_input` [0.4]: inputs of the first layer;
    - `dropout_hidden` [0.25]: inputs of every further layer;
    - `dropout_output` [0.4]: inputs of the output layer;
    - `weight_dropout` [0.5]: entries of the hidden-to-hidden matrices, once a call (DropConnect).

    From elsewhere come, as in `elman.nn`: `recurrent_dropout` of the inputs of the hidden-to-hidden matrices (Gal and
    Ghahramani 2016), `zoneout` of h and, for the LSTM, `zoneout_cell` of c (Krueger et al. 2017: 0.05 and 0.5 for the
    Penn Treebank's characters), `layer_norm` (Ba et al. 2016), and the LSTM's `peepholes` (Gers and Schmidhuber 2000).

    With `recompute`, the layers keep the states of 2 sqrt(T) steps and compute the others again in backward: long calls
    take less RAM and about 4/3 of the time.

    `RecurrentLM("lstm", vocab_size)`: the cell is one of `CELLS`. Raises `UserError` for any other.

    >>> model = RecurrentLM("lstm", 27, hidden_size=8, num_layers=2)
    >>> logits, state = model([[0, 1, 2]])
    >>> logits.shape, len(state), state[0]._fields
    (torch.Size([1, 3, 27]), 2, ('h', 'c'))
    """

    settings: RecurrentSettings
    time_major = True

    @spelled_by(OF_ANY_CELL)
    def __init__(self, cell: str, /, vocab_size: int, **settings: Any) -> None:
        super().__init__()
        self.cell = checked_cell(cell)
        self.vocab_size = checked(vocab_size, int, "vocab_size")
        own = self._configure(settings)

        D = cast(int, own.embedding_size)
        last = D if own.tied else own.hidden_size
        sizes = [D, *[own.hidden_size] * (own.num_layers - 1), last]
        self.embedding = nn.Embedding(self.vocab_size, D)
        Layer = layer_of(cell)
        options = {name: getattr(own, name) for name in Layer.defaults if name in OF_LAYERS}
        self.layers = nn.ModuleList(Layer(D, H, **options) for D, H in pairwise(sizes))
        self.decoder = nn.Linear(last, self.vocab_size)
        if own.tied:
            self.decoder.weight = self.embedding.weight
        self._reset_parameters()

    def _configure(self, settings: dict[str, Any]) -> RecurrentSettings:
        """Keep the settings. An option that only the layers of other cells have may be named if its value is off."""
        known = LANGUAGE_MODELS.get(self.cell) or recurrent_settings(CELLS[self.cell])
        configuration = cast(type[RecurrentSettings], known)
        for name in OF_LAYERS - layer_of(self.cell).defaults.keys():
            if settings.get(name):
                have = " or ".join(repr(cell) for cell in CELLS if name in layer_of(cell).defaults)
                raise UserError(name, expected=f"the cell {have}, which has it", got=repr(self.cell))
        own = {name: value for name, value in settings.items() if name in configuration.model_fields or value}
        return configure(self, self.cell, configuration, own)

    @torch.no_grad()
    def _reset_parameters(self) -> None:
        """Draw the parameters so that every gate and logit begins with about unit variance (`initialize_recurrent`).

        Hence embeddings of scale 1, not the customary 0.1 or less, which leaves the gates blind to their input until
        the embeddings have grown.
        """
        output_scale = CELLS[self.cell].output_scale
        scale = 1 / (output_scale * self.embedding_size**0.5) if self.tied else 1.0
        nn.init.normal_(self.embedding.weight, std=scale)
        for layer in self.layers:
            assert isinstance(layer, Recurrent)
            initialize_recurrent(layer, scale)
            if not (self.residual and layer.input_size == layer.hidden_size):
                scale = output_scale
        if not self.tied:
            nn.init.normal_(self.decoder.weight, std=1 / (scale * self.decoder.in_features**0.5))
        nn.init.zeros_(self.decoder.bias)

    def initial_state(self, batch_size: int) -> State:
        """Zeros for every layer."""
        cell, like = CELLS[self.cell], self.embedding.weight
        units = [cast(int, layer.hidden_size) for layer in self.layers]
        zeros = [[like.new_zeros(batch_size, size) for size in cell.sizes(H, H)] for H in units]
        return tuple(cast(State, cell.state_type(*parts)) for parts in zeros)

    def read(
        self, tokens: Integers, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """tokens (B, T) -> the last layer's outputs (B, T, H), dropout applied, and the state after them."""
        tokens, lengths, resets = as_batch(self, tokens, lengths, resets)
        before = self.initial_state(tokens.shape[0]) if state is None else state  # `len` would fix B in a trace
        tokens = tokens.t()  # (T, B): the layers' kernels are time-major
        x = embed(self.embedding, tokens)  # (T, B, D)
        x = embedding_dropout(x, tokens, self.vocab_size, self.dropout_embedding, training=self.training)
        dropouts = [self.dropout_input, *[self.dropout_hidden] * (self.num_layers - 1)]
        x, after = read_layers(
            self.layers, x, before, dropouts, self.training, lengths=lengths, resets=resets, residual=self.residual
        )
        x = locked_dropout(x, self.dropout_output, training=self.training)
        return x.transpose(0, 1), after

    def steps(self, state: State) -> Steps:
        """As of every model, by one call of the core a token where that is possible."""
        from elman.models.recurrent_steps import steps_of

        return steps_of(self, state)

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer: a map for each of the cell's gates."""
        parameters = [p for layer in self.layers for p in layer.parameters() if p.dim() == 2]
        return dict.fromkeys(parameters, len(CELLS[self.cell].rows))


def read_layers(
    layers: Iterable[nn.Module],
    x: Tensor,
    states: Iterable[State],
    dropouts: Iterable[float],
    training: bool,
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    residual: bool = False,
) -> tuple[Tensor, tuple[State, ...]]:
    """Read inputs x (T, B, D) by one layer after the other: the last one's outputs (T, B, H), and all states after.

    `dropouts` holds a probability for the inputs of each layer. With `residual`, a layer adds its outputs to inputs of
    the same size.
    """
    after: list[State] = []
    for layer, before, p in zip(layers, states, dropouts, strict=True):
        x = locked_dropout(x, p, training=training)
        hx = map_state(lambda h: h.unsqueeze(0), before)  # (B, H) -> (1, B, H): torch's layers number themselves
        outputs, hx = layer(x, hx, lengths=lengths, resets=resets)
        x = x + outputs if residual and x.shape == outputs.shape else outputs  # (T, B, H)
        hx = map_state(lambda h: h.squeeze(0), hx)
        after.append(cast(Recurrent, layer).specification.state_type(*((hx,) if isinstance(hx, Tensor) else hx)))
    return x, tuple(after)

"""Two recurrent networks, a reader and a writer, with or without attention between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.models.configuration import RecurrentTranslatorSettings
from elman.models.constructor import checked_cell, configure, spelled_by
from elman.models.encoder_decoder import EncoderDecoder
from elman.models.initialization import initialize_recurrent
from elman.models.recurrent import read_layers
from elman.nn import layer_of
from elman.nn.alignment import Alignment, context
from elman.nn.dropout import locked_dropout
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import Integers, Lengths, as_batch, embed
from elman.state import State, leaves, map_state


class RecurrentMemory(NamedTuple):
    """The state of a recurrent decoder, and the encoder's memory of the source."""

    layers: tuple[State, ...]  # h (B, H) each, or a named tuple such as the LSTM's (h, c)
    fed: Tensor  # (B, R) the hidden state of the last step, with input feeding; else (B, 0)
    keys: Tensor  # (B, S, H) the encoder's states as the attention scores them, projected once; or (B, 0, H)
    values: Tensor  # (B, S, H) the encoder's states; without attention (B, 0, H)
    lengths: Tensor  # (B,) of the sources

    @property
    def stepwise(self) -> tuple[str, ...]:
        """What `elman.state` pads of a shorter source."""
        return "keys", "values"

    @property
    def shared(self) -> tuple[str, ...]:
        """What depends on the source alone, for `elman.state`."""
        return "keys", "values", "lengths"


class RecurrentEncoderDecoder(EncoderDecoder):
    """An encoder and a decoder of one cell.

        m_1 … m_S = encoder(E_s[source])                the bridge makes the decoder's first state of the last one
        h_t       = decoder([E_t[y_t]; r_{t−1}], h_{t−1})            r_{t−1} with `input_feeding` only
        context_t = Σ_s a_ts m_s                                     see `Alignment`
        r_t       = tanh(W_r [h_t; context_t])
        logits_t  = W r_t + b                                        W = E_t if `tied`

    `attention="none"` leaves out the context: the decoder knows the source through the bridge alone (Sutskever, Vinyals
    and Le 2014, "Sequence to sequence learning with neural networks"). `additive` is the attention of Bahdanau, Cho and
    Bengio (2015), with the query of Luong, Pham and Manning (2015), whose are `dot`, `general` and input feeding.
    Without input feeding, the layers read a whole target in one call.

    With `bidirectional`, each direction of the encoder has half of `hidden_size`. `joint` shares one embedding between
    source and target. In training, dropout on the inputs of each layer draws one mask for all steps of a call.

    `RecurrentEncoderDecoder("gru", 100, 120)`: the cell is one of `CELLS`. Raises `UserError` where an option does not
    fit the others.

    >>> model = RecurrentEncoderDecoder("gru", 9, 7, hidden_size=8, attention="additive")
    >>> state = model.encode([[3, 4, 5, 0]])
    >>> _, attention, _ = model.read_aligned([[0, 1]], state)
    >>> attention.shape, attention.sum(-1).detach().round(decimals=4)
    (torch.Size([1, 2, 4]), tensor([[1., 1.]]))
    """

    settings: RecurrentTranslatorSettings
    time_major = True

    @spelled_by(RecurrentTranslatorSettings)
    def __init__(
        self, cell: str, /, source_vocab_size: int, vocab_size: int, *, joint: bool = False, **settings: Any
    ) -> None:
        super().__init__()
        self.cell = checked_cell(cell)
        self._take_vocabularies(source_vocab_size, vocab_size, joint)
        own = configure(self, cell, RecurrentTranslatorSettings, settings)

        D, H = cast(int, own.embedding_size), own.hidden_size
        R = D if own.tied else H
        self.source_embedding = nn.Embedding(self.source_vocab_size, D)
        self.target_embedding = self.source_embedding if joint else nn.Embedding(self.vocab_size, D)
        self.encoder = self._layers(D, own.bidirectional)
        self.decoder = self._layers(D + R if own.input_feeding else D, False)
        if own.bridge == "dense":
            mixing = sum(state.mixes for state in CELLS[cell].states)
            self.bridges = nn.ModuleList(nn.Linear(H, H) for _ in range(own.num_layers * mixing))
        if own.attention != "none":
            self.alignment = Alignment(own.attention, H, H)
        self.readout = nn.Linear(H if own.attention == "none" else 2 * H, R)
        self.output_layer = nn.Linear(R, self.vocab_size)
        if own.tied:
            self.output_layer.weight = self.target_embedding.weight
        self._reset_parameters()

    def _layers(self, input_size: int, both_ways: bool) -> nn.ModuleList:
        H = self.hidden_size // 2 if both_ways else self.hidden_size
        sizes = [input_size, *[self.hidden_size] * (self.num_layers - 1)]
        options = {"bidirectional": both_ways, "recompute": self.recompute}
        return nn.ModuleList(layer_of(self.cell)(D, H, **options) for D in sizes)

    @torch.no_grad()
    def _reset_parameters(self) -> None:
        """Draw the parameters so that gates, scores and logits begin with about unit variance."""
        output_scale = CELLS[self.cell].output_scale
        scale = self.embedding_size**-0.5 if self.tied else 1.0  # a tied matrix begins as an output layer
        # A dict keeps each matrix once and in this order; the order of a set differs from process to process.
        for matrix in dict.fromkeys((self.source_embedding.weight, self.target_embedding.weight)):
            nn.init.normal_(matrix, std=scale)
        for layers in (self.encoder, self.decoder):
            for depth, layer in enumerate(layers):
                initialize_recurrent(cast(Recurrent, layer), output_scale if depth else scale)
        linears: list[tuple[nn.Linear, float]] = [(self.readout, output_scale)]
        if not self.tied:
            linears.append((self.output_layer, 2 / 3))
        for linear, scale in linears:
            nn.init.normal_(linear.weight, std=1 / (scale * linear.in_features**0.5))
            nn.init.zeros_(linear.bias)
        nn.init.zeros_(self.output_layer.bias)

    def encode(self, source: Integers, lengths: Lengths = None) -> RecurrentMemory:
        """source (B, S) -> the decoder's state before the first target token."""
        source, lengths = self._take_source(source, lengths)
        x = embed(self.source_embedding, source.t())  # (S, B, D): the layers are time-major
        finals: list[State] = []
        for layer in self.encoder:
            x = locked_dropout(x, self.dropout, training=self.training)
            x, final = layer(x, lengths=lengths)
            # (directions, B, H/directions) -> (B, H)
            finals.append(map_state(lambda h: h.transpose(0, 1).flatten(1), final))
        values = locked_dropout(x, self.dropout, training=self.training).transpose(0, 1).contiguous()  # (B, S, H)
        if self.attention == "none":
            values = values[:, :0]
            keys = values
        else:
            keys = self.alignment.project(values)
        fed = x.new_zeros(len(source), self.readout.out_features if self.input_feeding else 0)
        return RecurrentMemory(tuple(self._cross_bridge(finals)), fed, keys, values, lengths)

    def _cross_bridge(self, finals: list[State]) -> Iterator[State]:
        """The decoder's first states, from the encoder's last: unchanged, through a dense layer, or zeros."""
        cell, bridges = CELLS[self.cell], iter(self.bridges if self.bridge == "dense" else ())
        for final in finals:
            if self.bridge == "none":
                crossed = [torch.zeros_like(leaf) for leaf in leaves(final)]
            elif self.bridge == "copy":
                crossed = list(leaves(final))
            else:
                parts = zip(cell.states, leaves(final), strict=True)
                crossed = [next(bridges)(leaf) if state.mixes else leaf for state, leaf in parts]
                crossed[0] = torch.tanh(crossed[0])  # the h of most cells lies between −1 and 1
            yield cast(State, cell.state_type(*crossed))

    def read(self, tokens: Integers, state: State, *, lengths: Lengths = None) -> tuple[Tensor, RecurrentMemory]:
        """Target tokens (B, T) -> hidden states (B, T, R) and the state after them."""
        return self._decode(tokens, cast(RecurrentMemory, state), lengths)

    def read_aligned(
        self, tokens: Integers, state: State, *, lengths: Lengths = None
    ) -> tuple[Tensor, Tensor | None, RecurrentMemory]:
        """The hidden states of `read`, the attention (B, T, S) of each step to the source, and the state."""
        weights: list[Tensor] = []
        hidden, memory = self._decode(tokens, cast(RecurrentMemory, state), lengths, weights)
        return hidden, torch.cat(weights, dim=1) if weights else None, memory

    def _decode(
        self, tokens: Integers, memory: RecurrentMemory, lengths: Lengths, weights: list[Tensor] | None = None
    ) -> tuple[Tensor, RecurrentMemory]:
        """What `read` returns; the attention is appended to `weights`, where given."""
        tokens, lengths, _ = as_batch(self, tokens, lengths)
        x = embed(self.target_embedding, tokens.t())  # (T, B, D)
        x = locked_dropout(x, self.dropout, training=self.training)
        if not self.input_feeding:
            h, layers = self._read_layers(x, memory.layers, lengths)
            hidden = self._attend(h.transpose(0, 1), memory, weights)
            hidden = locked_dropout(hidden, self.dropout, training=self.training, time_dim=1)
            return hidden, memory._replace(layers=layers)
        return self._feed(x, memory, lengths, weights)

    def _feed(
        self, x: Tensor, memory: RecurrentMemory, lengths: Tensor | None, weights: list[Tensor] | None
    ) -> tuple[Tensor, RecurrentMemory]:
        """Read step by step, since the hidden state of a step is an input of the next (input feeding)."""
        hidden = [x.new_zeros(x.shape[1], 0, self.readout.out_features)]
        for step, embedded in enumerate(x):
            read = None if lengths is None else (lengths > step).long()  # 1 where the step is not padding
            fed = torch.cat((embedded, memory.fed.to(embedded.dtype)), dim=-1)
            h, layers = self._read_layers(fed[None], memory.layers, read)
            readout = self._attend(h.transpose(0, 1), memory, weights)
            hidden.append(readout)
            after = readout[:, 0].to(memory.fed.dtype)
            if read is not None:
                after = torch.where(read[:, None] > 0, after, memory.fed)
            memory = memory._replace(layers=layers, fed=after)
        whole = locked_dropout(torch.cat(hidden, dim=1), self.dropout, training=self.training, time_dim=1)
        return whole, memory

    def _read_layers(
        self, x: Tensor, states: tuple[State, ...], lengths: Tensor | None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """x (T, B, D), after dropout -> the last layer's outputs (T, B, H), and every layer's state."""
        dropouts = [0.0, *[self.dropout] * (self.num_layers - 1)]
        return read_layers(self.decoder, x, states, dropouts, self.training, lengths=lengths)

    def _attend(self, h: Tensor, memory: RecurrentMemory, weights: list[Tensor] | None) -> Tensor:
        """h (B, T, H) -> the inputs of the output layer (B, T, R); the attention (B, T, S) goes to `weights`."""
        if self.attention == "none":
            return torch.tanh(self.readout(h))
        if weights is None:
            attended = self.alignment(h, memory.keys, memory.values, memory.lengths)
        else:
            weights.append(self.alignment.weights(h, memory.keys, memory.lengths).to(memory.values.dtype))
            attended = context(weights[-1], memory.values)
        return torch.tanh(self.readout(torch.cat((h, attended), dim=-1)))

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of every layer, with a map for each gate of a cell, and the matrices between layers."""
        gates = len(CELLS[self.cell].rows)
        cells = [p for part in (self.encoder, self.decoder) for p in part.parameters() if p.dim() == 2]
        between = [self.readout.weight]
        if self.bridge == "dense":
            between += [p for p in self.bridges.parameters() if p.dim() == 2]
        if self.attention in ("general", "additive"):
            between.append(self.alignment.project_memory.weight)
        return dict.fromkeys(cells, gates) | dict.fromkeys(between, 1)

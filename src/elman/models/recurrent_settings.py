"""The settings of recurrent models: a language model, an encoder-decoder, and an encoder for a head."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, create_model, model_validator

from elman.cells import CELLS, Cell
from elman.errors import UserError
from elman.settings import UNITS, Layers, Probability, Section, Units, check_even

AttentionKind = Literal["none", "additive", "dot", "general"]


class RecurrentSettings(Section):
    """A recurrent language model, `RecurrentLM`."""

    embedding_size: int | None = Field(None, ge=1, le=UNITS)
    """The size of a token's vector. As a default that of the state; left open, recipes take 64 for characters, of which
    there are few, and that of the state for words."""
    hidden_size: Units = 320
    """The units of a layer. Left open, the largest size whose parameters the budget can teach."""
    num_layers: Layers = 1
    """Layers, each of which reads the states of the one below. 1, for in a budget of minutes one wide layer reads more
    tokens than two."""
    tied: bool = False
    """Whether the output layer is the matrix of the embedding. Off for characters; left open, on for large
    vocabularies, where that matrix is most of the model."""
    residual: bool = False
    """Whether each layer's input is added to its output. Off, for it serves deep stacks and one layer has none."""
    dropout_embedding: Probability = 0.0
    """How often a token's vector is dropped as a whole, wherever it occurs (Gal and Ghahramani 2016). 0, as all
    dropouts: recipes choose those that help."""
    dropout_input: Probability = 0.0
    """Dropout of the first layer's inputs, the same units at every step."""
    dropout_hidden: Probability = 0.0
    """Dropout between layers. Left open, 0.07 for each doubling of the passes over the text beyond three."""
    dropout_output: Probability = 0.0
    """Dropout of the last layer's states. Left open, as `dropout_hidden`."""
    zoneout: Probability = 0.0
    """How often a unit of h keeps its last value instead of taking the new one (Krueger et al. 2017). 0, for recipes
    rely on dropout alone."""
    layer_norm: bool = False
    """Layer normalisation within the cell (Ba et al. 2016). Off, for it makes a step dearer and one layer trains
    without it."""
    recompute: bool = False
    """Whether states between stored ones are computed anew in backward. Off: it saves RAM on very long sequences for
    about 4/3 of the time."""


def recurrent_settings(*cells: Cell) -> type[RecurrentSettings]:
    """The settings of a recurrent language model of these cells, with the options that these cells alone have.

    >>> sorted(recurrent_settings(CELLS["lstm"]).model_fields.keys() - RecurrentSettings.model_fields.keys())
    ['peepholes', 'recurrent_dropout', 'weight_dropout', 'zoneout_cell']
    """
    own: dict[str, Any] = {}
    if any(cell.recurrent for cell in cells):
        own = {
            "weight_dropout": (
                0.0,
                "Dropout of the entries of W_hh, once for a stretch (Merity et al. 2018). The plain cell has none.",
            ),
            "recurrent_dropout": (
                0.0,
                "Dropout of what W_hh reads, the same units at every step. The plain cell has none.",
            ),
        }
    options = [option for cell in cells for option in cell.options if option.in_models]
    own |= {option.name: (option.default, f"{option.words} The plain cell has none.") for option in options}
    fields: dict[str, Any] = {
        name: (Probability if isinstance(default, float) else type(default), Field(default, description=words))
        for name, (default, words) in own.items()
    }
    if not own:
        return RecurrentSettings
    name = f"{'Or'.join(cell.layer for cell in cells)}Settings"
    if name not in _MADE or _MADE[name][0] != cells:
        _MADE[name] = cells, create_model(name, __base__=RecurrentSettings, __module__=__name__, **fields)
    return _MADE[name][1]


_MADE: dict[str, tuple[tuple[Cell, ...], type[RecurrentSettings]]] = {}


def __getattr__(name: str) -> Any:  # pickle finds the settings of each cell by the name of their class
    for cell in CELLS.values():
        if name == f"{cell.layer}Settings":
            return recurrent_settings(cell)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class RecurrentTranslatorSettings(Section):
    """A recurrent encoder-decoder, `RecurrentEncoderDecoder`."""

    embedding_size: int | None = Field(None, ge=1, le=UNITS)
    """The size of a token's vector. Left open, 64 for small vocabularies and 256 for large ones."""
    hidden_size: Units = 256
    """The units of a layer; of the encoder, of both directions together. Left open, the largest size whose parameters
    the budget can teach."""
    num_layers: Layers = 1
    """Layers of the encoder and of the decoder. 1, for in a budget of minutes one wide layer reads more tokens than
    two."""
    bidirectional: bool = True
    """Whether the encoder reads in both directions. On: the source is there as a whole, and a word's meaning depends on
    the words after it."""
    attention: AttentionKind = "general"
    """How the decoder looks at the source. `general` (Luong et al. 2015) is a product of matrices, which is quicker
    than `additive` (Bahdanau et al. 2015) and, unlike `dot`, learnt; `none` is the bottleneck of Sutskever et al.
    2014."""
    input_feeding: bool = False
    """Whether a step reads what the last step attended to (Luong et al. 2015). Off, because steps can then not be
    trained at once."""
    bridge: Literal["dense", "copy", "none"] = "dense"
    """How the encoder's last state becomes the decoder's first. `dense` learns a map; `copy` takes it as it is; `none`
    leaves attention alone to tell of the source."""
    tied: bool = False
    """Whether embeddings and output layer are one matrix. Left open, on."""
    dropout: Probability = 0.0
    """Dropout of embeddings and between layers. Left open, 0.08 for each doubling of the passes over the pairs beyond
    three."""
    recompute: bool = False
    """Whether backward computes states between stored ones anew: less RAM, about 4/3 of the time. Off, for most models
    fit."""

    @model_validator(mode="after")
    def _fit(self) -> RecurrentTranslatorSettings:
        if self.bidirectional:
            check_even(self.hidden_size, "two directions")
        if self.input_feeding and self.attention == "none":
            raise UserError("input_feeding: there is nothing to feed without attention", remedy="choose an attention")
        return self


class RecurrentEncoderSettings(Section):
    """Recurrent layers that read a sequence for a head, `RecurrentEncoder`."""

    hidden_size: Units = 128
    """The units of a layer, of both directions together. Left open, the largest size whose parameters the budget can
    teach."""
    num_layers: Layers = 1
    """Layers. 1; recipes of taggers take 2."""
    bidirectional: bool = True
    """Whether a sequence is read in both directions. On, because it is there as a whole; off makes a causal model,
    which answers while the sequence arrives."""
    residual: bool = False
    """Whether each layer's input is added to its output. Off, for it serves deep stacks and one layer has none."""
    layer_norm: bool = False
    """Layer normalisation within the cell (Ba et al. 2016). Off: it makes a step dearer, and few layers train without
    it."""
    dropout: Probability = 0.0
    """Dropout of the inputs of each layer, the same units at every step. Left open, it follows from the passes over the
    data."""
    dropout_output: Probability = 0.0
    """Dropout of the last layer's states. Left open, it follows from the passes over the data, or is the recipe's."""
    recompute: bool = False
    """Whether backward computes states between stored ones anew: less RAM, about 4/3 of the time. Off, for most models
    fit."""

    @model_validator(mode="after")
    def _fit(self) -> RecurrentEncoderSettings:
        if self.bidirectional:
            check_even(self.hidden_size, "two directions")
        return self

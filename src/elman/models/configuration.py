"""The configuration of each model, with every default written once, for the constructor, YAML and the recipes alike.

The defaults are neutral: no dropout, and no sizes for a certain text. Recipes for a training are in `elman.tasks`. This
module imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, create_model, model_validator

from elman.cells import CELLS, Cell
from elman.errors import UserError
from elman.settings import INNER_UNITS, LAYERS, POSITIONS, UNITS, Section

Units = Annotated[int, Field(ge=1, le=UNITS)]
Layers = Annotated[int, Field(ge=1, le=LAYERS)]
Probability = Annotated[float, Field(ge=0, lt=1)]
AttentionKind = Literal["none", "additive", "dot", "general"]
PoolingKind = Literal["last", "mean", "max", "attention"]


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

    >>> sorted(LANGUAGE_MODELS["lstm"].model_fields.keys() - RecurrentSettings.model_fields.keys())
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


class TransformerSettings(Section):
    """A Transformer decoder as a language model, `TransformerLM`."""

    hidden_size: Units = 256
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    num_layers: Layers = 4
    """Layers. 4: attention must build on attention, as an induction head does, and each layer costs time."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. Left open, as many as make them of about 64 units."""
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)
    """The width of the inner layer. Left open, four times `hidden_size` (Vaswani et al. 2017)."""
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """How positions are told. `rotary` compares distances and goes on beyond the lengths of the training; `sinusoidal`
    are those of the paper."""
    window: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps a layer attends to. Without one, to all earlier steps; left open, half of the width and at least
    64, so that a step of generation costs the same however long the text is."""
    tied: bool = False
    """Whether the output layer is the matrix of the embedding. Recipes tie them, which saves parameters."""
    qk_norm: bool = True
    """Whether queries and keys are normalised. On, because logits of attention then cannot grow without bound (Dehghani
    et al. 2023)."""
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, for each doubling of the passes over the text beyond nine, for it
    needs none before (measured on tiny Shakespeare)."""
    recompute: bool = False
    """Whether backward computes a layer's inner numbers anew: less RAM, about 4/3 of the time. Off, for most
    models fit."""

    @model_validator(mode="after")
    def _fit(self) -> TransformerSettings:
        _check_heads(self)
        return self


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
            _check_even(self.hidden_size, "two directions")
        if self.input_feeding and self.attention == "none":
            raise UserError("input_feeding: there is nothing to feed without attention", remedy="choose an attention")
        return self


class TransformerTranslatorSettings(Section):
    """A Transformer with an encoder and a decoder, `TransformerEncoderDecoder`."""

    hidden_size: Units = 128
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    encoder_layers: Layers = 4
    """Layers of the encoder. 4, the size that the recipes were tried with on Multi30k."""
    decoder_layers: Layers = 4
    """Layers of the decoder, as many as the encoder has."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. 4, of 32 units each at the default width."""
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)
    """The width of the inner layer. Left open, four times `hidden_size` (Vaswani et al. 2017)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How positions are told. `sinusoidal` are those of the paper and hold for any length; `learned` end at
    `max_positions`."""
    max_positions: int = Field(513, ge=1, le=POSITIONS)
    """The longest sequence of learned positions. 513: 512 tokens and the end."""
    norm: Literal["pre", "post"] = "pre"
    """Where a layer is normalised. `pre`, before what it adds, trains without a long warm-up; `post` is the paper's."""
    qk_norm: bool = True
    """Whether queries and keys are normalised. On, because logits of attention then cannot grow without bound (Dehghani
    et al. 2023)."""
    tied: bool = True
    """Whether both embeddings and the output layer are one matrix. On, which saves most of the parameters of a small
    model."""
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, 0.08 for each doubling of the passes over the pairs beyond three."""
    recompute: bool = False
    """Whether backward computes a layer's inner numbers anew: less RAM, about 4/3 of the time. Off, for most
    models fit."""

    @model_validator(mode="after")
    def _fit(self) -> TransformerTranslatorSettings:
        _check_heads(self)
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
            _check_even(self.hidden_size, "two directions")
        return self


class TransformerEncoderSettings(Section):
    """Transformer layers that read a sequence for a head, `TransformerEncoder`."""

    hidden_size: Units = 128
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    num_layers: Layers = 2
    """Layers. 2; recipes of taggers take 3."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. Left open, the most up to 4 that divide the width."""
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)
    """The width of the inner layer. Left open, four times `hidden_size` (Vaswani et al. 2017)."""
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """How positions are told. `rotary` compares distances and goes on beyond the lengths of the training."""
    window: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps a layer of a causal model attends to. Without one, to all earlier steps, for sequences with labels
    are short."""
    is_causal: bool = False
    """Whether a step sees the past alone. Off, because the sequence is there as a whole; on makes a model that answers
    while it arrives."""
    qk_norm: bool = True
    """Whether queries and keys are normalised. On, because logits of attention then cannot grow without bound (Dehghani
    et al. 2023)."""
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, it follows from the passes over the data, or is the recipe's."""
    recompute: bool = False
    """Whether backward computes a layer's inner numbers anew: less RAM, about 4/3 of the time. Off, for most
    models fit."""

    @model_validator(mode="after")
    def _fit(self) -> TransformerEncoderSettings:
        _check_heads(self)
        if self.window is not None and not self.is_causal:
            raise UserError("window", expected="a causal model, which looks back", got="is_causal false")
        return self


OF_ANY_CELL = recurrent_settings(*CELLS.values())
LANGUAGE_MODELS: dict[str, type[RecurrentSettings] | type[TransformerSettings]] = {
    **{name: recurrent_settings(cell) for name, cell in CELLS.items()},
    "transformer": TransformerSettings,
}
ENCODER_DECODER_SETTINGS: dict[str, type[RecurrentTranslatorSettings] | type[TransformerTranslatorSettings]] = {
    **dict.fromkeys(CELLS, RecurrentTranslatorSettings),
    "transformer": TransformerTranslatorSettings,
}


def of_every_kind(
    recurrent: type[RecurrentEncoderSettings], transformer: type[TransformerEncoderSettings]
) -> dict[str, type[RecurrentEncoderSettings] | type[TransformerEncoderSettings]]:
    """Settings by kind of model, for a task whose models are encoders with a head."""
    return {**dict.fromkeys(CELLS, recurrent), "transformer": transformer}


class TaggerHead(Section):
    """What a `Tagger` has before and after its encoder."""

    embedding_size: Units = 128
    """The size of a word's vector. 128; with `vectors` it is theirs."""
    character_size: int = Field(64, ge=0, le=UNITS)
    """The size of what is read from a word's characters; 0 reads none. 64, because endings tell the tags of words that
    the training lacks."""
    crf: bool = False
    """Whether tags are scored as whole paths. Left open, on where tags form spans, whose scheme a CRF keeps to, and off
    elsewhere, where it costs time."""
    vectors: str | None = None
    """A text file of word vectors with which the embeddings begin. None, for elman fetches nothing."""

    @model_validator(mode="after")
    def _even(self) -> TaggerHead:
        _check_even(self.character_size, "two directions", "character_size")
        return self


class RecurrentTaggerSettings(TaggerHead, RecurrentEncoderSettings):
    """A `Tagger` with a recurrent encoder."""


class TransformerTaggerSettings(TaggerHead, TransformerEncoderSettings):
    """A `Tagger` with a Transformer encoder."""


TAGGER_SETTINGS = of_every_kind(RecurrentTaggerSettings, TransformerTaggerSettings)


class ClassifierHead(Section):
    """What a `Classifier` has before and after its encoder."""

    embedding_size: int | None = Field(None, ge=1, le=UNITS)
    """The size of a token's vector, or of what the channels are mapped to. Left open, 64."""
    pooling: PoolingKind = "max"
    """How one vector is made of all states. Left open, `attention` for texts and `max` for series and numbers: each was
    right more often where it was measured (SNIPS, Japanese Vowels)."""
    dropout_pooled: Probability = 0.0
    """Dropout of that vector. Left open, 0.3."""


class RecurrentClassifierSettings(ClassifierHead, RecurrentEncoderSettings):
    """A `Classifier` with a recurrent encoder."""


class TransformerClassifierSettings(ClassifierHead, TransformerEncoderSettings):
    """A `Classifier` with a Transformer encoder."""


CLASSIFIER_SETTINGS = of_every_kind(RecurrentClassifierSettings, TransformerClassifierSettings)

IMPORTED = "imported"  # the kind of a model that comes from another framework


class ImportedSettings(Section):
    """A model of another framework, `LayeredModel`."""

    network: dict[str, Any]
    """The configuration of the imported model, which its file decides."""


# Sizes that, where they are None, are so many times hidden_size.
MULTIPLES = {"embedding_size": 1, "feedforward_size": 4}

C = TypeVar(
    "C",
    RecurrentSettings,
    TransformerSettings,
    RecurrentTranslatorSettings,
    TransformerTranslatorSettings,
    RecurrentEncoderSettings,
    TransformerEncoderSettings,
)


def resolve(settings: C) -> C:
    """The same settings with a number for every size that follows from hidden_size.

    >>> resolve(TransformerSettings(hidden_size=8)).feedforward_size
    32
    """
    following = {name: times for name, times in MULTIPLES.items() if getattr(settings, name, times) is None}
    return settings.model_copy(update={name: times * settings.hidden_size for name, times in following.items()})


def widened(settings: C, missing: int) -> C:
    """A Transformer's settings with about so many more parameters, in its inner layers; others' as they are."""
    if isinstance(settings, TransformerSettings | TransformerEncoderSettings):
        layers = settings.num_layers
    elif isinstance(settings, TransformerTranslatorSettings):
        layers = settings.encoder_layers + settings.decoder_layers
    else:
        return settings
    more = round(missing / (layers * (2 * settings.hidden_size + 1)))
    return settings.model_copy(update={"feedforward_size": max(1, (resolve(settings).feedforward_size or 0) + more)})


def _check_even(size: int, purpose: str, name: str = "hidden_size") -> None:
    if size % 2:
        raise UserError(name, expected=f"an even size for {purpose}", got=size)


def _check_heads(settings: TransformerSettings | TransformerTranslatorSettings | TransformerEncoderSettings) -> None:
    """Refuse a given number of heads that does not divide hidden_size; recipes choose a number that is not given."""
    size, heads, even = settings.hidden_size, settings.num_heads, settings.positions == "rotary"
    if settings.positions == "sinusoidal":
        _check_even(size, "sinusoidal positions")
    if "num_heads" not in settings.model_fields_set or (size % heads == 0 and not (even and size // heads % 2)):
        return
    kind = "heads of an even size that divide" if even else "a divisor of"
    raise UserError("num_heads", expected=f"{kind} hidden_size {size}", got=heads)

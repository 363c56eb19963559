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

    embedding_size: int | None = Field(None, ge=1, le=UNITS)  # None: hidden_size
    hidden_size: Units = 320
    num_layers: Layers = 1
    tied: bool = False
    residual: bool = False
    dropout_embedding: Probability = 0.0
    dropout_input: Probability = 0.0
    dropout_hidden: Probability = 0.0
    dropout_output: Probability = 0.0
    zoneout: Probability = 0.0
    layer_norm: bool = False
    recompute: bool = False  # states between stored ones, in backward: less RAM, about 4/3 of the time


def recurrent_settings(*cells: Cell) -> type[RecurrentSettings]:
    """The settings of a recurrent language model of these cells, with the options that these cells alone have.

    >>> sorted(LANGUAGE_MODELS["lstm"].model_fields.keys() - RecurrentSettings.model_fields.keys())
    ['peepholes', 'recurrent_dropout', 'weight_dropout', 'zoneout_cell']
    """
    own: dict[str, Any] = {}
    if any(cell.recurrent for cell in cells):
        own = {"weight_dropout": 0.0, "recurrent_dropout": 0.0}  # of W_hh, and of what it reads
    own |= {option.name: option.default for cell in cells for option in cell.options if option.in_models}
    fields: dict[str, Any] = {
        name: (Probability if isinstance(default, float) else type(default), default) for name, default in own.items()
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
    num_layers: Layers = 4
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)  # None: four times hidden_size
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    window: int | None = Field(None, ge=1, le=POSITIONS)  # None: attends to all earlier steps
    tied: bool = False
    qk_norm: bool = True
    dropout: Probability = 0.0
    recompute: bool = False  # a layer's inner numbers, in backward: less RAM, about 4/3 of the time

    @model_validator(mode="after")
    def _fit(self) -> TransformerSettings:
        _check_heads(self)
        return self


class RecurrentTranslatorSettings(Section):
    """A recurrent encoder-decoder, `RecurrentEncoderDecoder`."""

    embedding_size: int | None = Field(None, ge=1, le=UNITS)  # None: hidden_size
    hidden_size: Units = 256
    num_layers: Layers = 1
    bidirectional: bool = True
    attention: AttentionKind = "general"
    input_feeding: bool = False
    bridge: Literal["dense", "copy", "none"] = "dense"
    tied: bool = False
    dropout: Probability = 0.0
    recompute: bool = False  # states between stored ones, in backward: less RAM, about 4/3 of the time

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
    encoder_layers: Layers = 4
    decoder_layers: Layers = 4
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)  # None: four times hidden_size
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    max_positions: int = Field(513, ge=1, le=POSITIONS)  # learned positions: 512 tokens and <eod>
    norm: Literal["pre", "post"] = "pre"
    qk_norm: bool = True
    tied: bool = True
    dropout: Probability = 0.0
    recompute: bool = False  # a layer's inner numbers, in backward: less RAM, about 4/3 of the time

    @model_validator(mode="after")
    def _fit(self) -> TransformerTranslatorSettings:
        _check_heads(self)
        return self


class RecurrentEncoderSettings(Section):
    """Recurrent layers that read a sequence for a head, `RecurrentEncoder`."""

    hidden_size: Units = 128  # of both directions together
    num_layers: Layers = 1
    bidirectional: bool = True
    residual: bool = False
    layer_norm: bool = False
    dropout: Probability = 0.0  # of the inputs of each layer, the same units at every step
    dropout_output: Probability = 0.0
    recompute: bool = False  # states between stored ones, in backward: less RAM, about 4/3 of the time

    @model_validator(mode="after")
    def _fit(self) -> RecurrentEncoderSettings:
        if self.bidirectional:
            _check_even(self.hidden_size, "two directions")
        return self


class TransformerEncoderSettings(Section):
    """Transformer layers that read a sequence for a head, `TransformerEncoder`."""

    hidden_size: Units = 128
    num_layers: Layers = 2
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)  # None: four times hidden_size
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    window: int | None = Field(None, ge=1, le=POSITIONS)  # of a causal one; None: attends to all earlier steps
    is_causal: bool = False
    qk_norm: bool = True
    dropout: Probability = 0.0
    recompute: bool = False  # a layer's inner numbers, in backward: less RAM, about 4/3 of the time

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

    embedding_size: Units = 128  # of a word
    character_size: int = Field(64, ge=0, le=UNITS)  # of what is read from a word's characters; 0: they are not read
    crf: bool = False
    vectors: str | None = None  # a text file of word vectors, with which the embeddings of its words begin

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

    embedding_size: int | None = Field(None, ge=1, le=UNITS)  # of a token, or of the channels; None: hidden_size
    pooling: PoolingKind = "max"
    dropout_pooled: Probability = 0.0


class RecurrentClassifierSettings(ClassifierHead, RecurrentEncoderSettings):
    """A `Classifier` with a recurrent encoder."""


class TransformerClassifierSettings(ClassifierHead, TransformerEncoderSettings):
    """A `Classifier` with a Transformer encoder."""


CLASSIFIER_SETTINGS = of_every_kind(RecurrentClassifierSettings, TransformerClassifierSettings)

IMPORTED = "imported"  # the kind of a model that comes from another framework


class ImportedSettings(Section):
    """A model of another framework, `LayeredModel`."""

    network: dict[str, Any]  # its configuration


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

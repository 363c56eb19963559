"""The configuration of each model, with every default written once, for the constructor, YAML and the recipes alike.

The defaults are neutral: no dropout, and no sizes for a certain text. Recipes for a training are in `elman.tasks`. This
module imports no torch.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from elman.cells import CELLS
from elman.models.recurrent_settings import (
    RecurrentEncoderSettings,
    RecurrentSettings,
    RecurrentTranslatorSettings,
    recurrent_settings,
)
from elman.models.transformer_settings import (
    TransformerEncoderSettings,
    TransformerSettings,
    TransformerTranslatorSettings,
)
from elman.settings import UNITS, Probability, Section, Units, check_even

__all__ = [
    "CLASSIFIER_SETTINGS", "ENCODER_DECODER_SETTINGS", "IMPORTED", "LANGUAGE_MODELS", "MULTIPLES", "OF_ANY_CELL",
    "TAGGER_SETTINGS", "C", "ClassifierHead", "ImportedSettings", "RecurrentEncoderSettings", "RecurrentSettings",
    "RecurrentTranslatorSettings", "TaggerHead", "TransformerClassifierSettings", "TransformerEncoderSettings",
    "TransformerSettings", "TransformerTranslatorSettings", "of_every_kind", "recurrent_settings", "resolve", "widened",
]  # fmt: skip

PoolingKind = Literal["last", "mean", "max", "attention"]

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
        check_even(self.character_size, "two directions", "character_size")
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

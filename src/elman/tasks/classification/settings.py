"""The settings of classification: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.errors import UserError
from elman.settings import Section
from elman.tasks.places import OneOrTwoFiles
from elman.train.settings import Optimization


class LabelledSettings(OneOrTwoFiles):
    """The labelled texts or series that are read, and their units."""

    text: str = "text"  # the names of columns or keys
    values: str = "values"
    label: str = "label"
    id_column: str = "id"  # of a table of series, and of the table of their labels
    time_column: str = "time"
    label_type: Literal["auto", "class", "number"] = "auto"
    multilabel: bool = False  # several labels, or none
    separator: str = Field("|", min_length=1)  # of several labels in a cell
    tokenizer: Literal["auto", "char", "byte", "word", "bpe", "ngrams", "vocabulary", "library"] = "auto"
    vocab_size: int | None = Field(None, ge=2)  # at most; None: the tokenizer's own
    min_count: int = Field(1, ge=1)
    max_length: int = Field(4096, ge=1)  # steps that are read of a sequence
    fingerprint: str = ""

    @model_validator(mode="after")
    def _fit(self) -> LabelledSettings:
        if self.multilabel and self.label_type == "number":
            remedy = "leave one of them out"
            raise UserError("label_type", expected="class, for several labels", got="number", remedy=remedy)
        return self


class ClassifierTraining(Optimization):
    """How a classifier is trained."""

    batch_size: int = Field(64, ge=1, le=1 << 16)  # sequences
    k2: int | None = Field(None, ge=1)  # steps through which a gradient flows back; None: all of a sequence
    word_dropout: float = Field(0.0, ge=0, lt=1)  # how often a token, or an n-gram of a word, is read as unknown
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"  # balanced: a class counts the same however rare it is
    metric: Literal["loss", "accuracy", "macro_f1", "exact_match", "mae"] = "loss"  # decides which weights are best


class ReadingOptions(Section):
    """How sequences are evaluated."""

    batch: int = Field(
        64, ge=1, le=1 << 16, description="Texts or series read together; the answers do not depend on how many."
    )


class LabelOptions(ReadingOptions):
    """How sequences are labelled."""

    stream: bool = Field(False, description="A token or a row of values a line; the label so far after each.")

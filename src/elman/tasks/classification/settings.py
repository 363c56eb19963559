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

    text: str = "text"
    """The column or key of the text. `text` is what most files call it."""
    values: str = "values"
    """The column or key of a sequence of values, by the same reasoning `values`."""
    label: str = "label"
    """The column or key of the label."""
    id_column: str = "id"
    """The column that says to which series a row belongs, in a table of series and in that of their labels."""
    time_column: str = "time"
    """The column by which the rows of a series are in order."""
    label_type: Literal["auto", "class", "number"] = "auto"
    """Whether labels are classes or numbers. `auto` looks at them."""
    multilabel: bool = False
    """Whether a sequence may have several labels or none. Off, because one cell is one label unless you say that it
    holds a list."""
    separator: str = Field("|", min_length=1)
    """What stands between several labels in a cell."""
    tokenizer: Literal["auto", "char", "byte", "word", "bpe", "ngrams", "vocabulary", "library"] = "auto"
    """What one step reads of a text. `auto` looks at the texts: characters where they are a word or two, words, or
    words by their characters (`ngrams`) where most are new."""
    vocab_size: int | None = Field(None, ge=2)
    """The most tokens of a vocabulary. Left open, the tokenizer decides."""
    min_count: int = Field(1, ge=1)
    """How often a token must occur to be in the vocabulary. 1 leaves none out."""
    max_length: int = Field(4096, ge=1)
    """How many steps are read of a sequence. 4,096 bounds the RAM of a batch; the training says how many were cut."""
    fingerprint: str = ""
    """Of the data, written by the training, so that a run goes on with the same data alone."""

    @model_validator(mode="after")
    def _fit(self) -> LabelledSettings:
        if self.multilabel and self.label_type == "number":
            remedy = "leave one of them out"
            raise UserError("label_type", expected="class, for several labels", got="number", remedy=remedy)
        return self


class ClassifierTraining(Optimization):
    """How a classifier is trained."""

    batch_size: int = Field(64, ge=1, le=1 << 16)
    """The sequences of a batch. Left open, a sixteenth of the examples, from 16 to 64, so that few examples make enough
    updates too."""
    k2: int | None = Field(None, ge=1)
    """How many steps the gradient flows back through. Left open, through the whole sequence, for the label may depend
    on its first step."""
    word_dropout: float = Field(0.0, ge=0, lt=1)
    """How often a token, or an n-gram of a word, is read as unknown. Left open, 0.1 for tokens and 0.3 for n-grams, so
    that new words are met in training."""
    consistency: float = Field(0.0, ge=0)
    """How strongly two readings of a batch, each with a dropout of its own, are drawn together: so many times their
    divergence is added to the loss (R-Drop, arXiv:2106.14448). A step takes up to twice as long. Left open, 1 for texts
    where the budget holds 10 passes over them, for what is read often is learnt by heart; else 0."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """How much of a label's weight is spread over all labels. 0, because probabilities are calibrated afterwards."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` counts a class the same however rare it is. `none`, for probabilities are then those of the data."""
    metric: Literal["loss", "accuracy", "macro_f1", "exact_match", "mae"] = "loss"
    """The validation score that decides which weights are kept. `loss` feels every probability and not the greatest
    alone."""


class ReadingOptions(Section):
    """How sequences are evaluated."""

    batch: int = Field(
        64, ge=1, le=1 << 16, description="Texts or series read together; the answers do not depend on how many."
    )


class LabelOptions(ReadingOptions):
    """How sequences are labelled."""

    stream: bool = Field(False, description="A token or a row of values a line; the label so far after each.")

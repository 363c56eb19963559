"""The settings of tagging: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from elman.settings import Section
from elman.tasks.places import OneOrTwoFiles
from elman.train.settings import Optimization


class TaggingData(OneOrTwoFiles):
    """The tagged sentences that are read, and their words."""

    column: str | int | None = None
    """The column of the tags: a name, or a number from 1, or from -1 for the last. Left open, the format decides."""
    token_column: int | None = None
    """The column of the words. Left open, the format decides."""
    lowercase: bool = True
    """Whether words are looked up in lower case. On, because a word at the head of a sentence is the same word; its
    characters are read as they are."""
    min_count: int = Field(2, ge=1)
    """How often a word must occur to have a vector of its own. 2, so that words that occur once teach the model to read
    unknown ones by their characters."""
    fingerprint: str = ""
    """Of the sentences, written by the training, so that a run goes on with the same sentences alone."""


class TaggingTraining(Optimization):
    """How a tagger is trained."""

    batch_words: int = Field(512, ge=1, le=1 << 24)
    """The words of a batch, padding included. Left open, a four-hundredth of all words, from 128 to 1,024: taggers
    learn more from many small steps."""
    word_dropout: float = Field(0.25, ge=0, le=1000)
    """A word that occurs n times is hidden with the probability w / (w + n). 0.25 (Kiperwasser and Goldberg 2016) hides
    rare words more often, for those are the ones that a new text lacks."""
    k2: int | None = Field(None, ge=1)
    """How many steps the gradient flows back through. Left open, through the whole sentence."""
    metric: Literal["loss", "accuracy", "span_f1"] = "accuracy"
    """The validation score that decides which weights are kept. Left open, the accuracy, or the F1 of spans where tags
    form spans, because people judge by these."""


class Evaluating(Section):
    """How sentences are scored."""

    batch: int = Field(4096, ge=1, le=1 << 20, description="Words that are tagged together.")


class TaggingOptions(Section):
    """How sentences are tagged."""

    format: Literal["auto", "conll", "conllu", "lines", "jsonl"] = Field("auto", description="Of the input.")
    replace: bool = Field(False, description="Write into the column of the tags instead of adding one.")
    stream: bool = Field(False, description="Tag each word as it arrives, one a line.")
    batch: int = Field(4096, ge=1, le=1 << 20, description="Words that are tagged together.")

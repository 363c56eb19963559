"""The settings of tagging: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from elman.settings import Section
from elman.tasks.places import OneOrTwoFiles
from elman.train.settings import Optimization


class TaggingData(OneOrTwoFiles):
    """The tagged sentences that are read, and their words."""

    column: str | int | None = None  # of the tags: a name, or a number from 1 or, if negative, from the end
    token_column: int | None = None
    lowercase: bool = True  # words are looked up in lower case too; their characters stay as they are
    min_count: int = Field(2, ge=1)  # of a word that has a vector of its own; of others, the characters are read
    fingerprint: str = ""


class TaggingTraining(Optimization):
    """How a tagger is trained."""

    batch_words: int = Field(512, ge=1, le=1 << 24)  # of a batch, padding included
    word_dropout: float = Field(0.25, ge=0, le=1000)  # a word that occurs n times is hidden with p = this / (this + n)
    k2: int | None = Field(None, ge=1)  # steps over which a gradient flows back; None: all
    metric: Literal["loss", "accuracy", "span_f1"] = "accuracy"  # decides which weights are best


class Evaluating(Section):
    """How sentences are scored."""

    batch: int = Field(4096, ge=1, le=1 << 20, description="Words that are tagged together.")


class TaggingOptions(Section):
    """How sentences are tagged."""

    format: Literal["auto", "conll", "conllu", "lines", "jsonl"] = Field("auto", description="Of the input.")
    replace: bool = Field(False, description="Write into the column of the tags instead of adding one.")
    stream: bool = Field(False, description="Tag each word as it arrives, one a line.")
    batch: int = Field(4096, ge=1, le=1 << 20, description="Words that are tagged together.")

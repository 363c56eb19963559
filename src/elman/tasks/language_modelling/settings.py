"""The settings of language modelling: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.settings import Section
from elman.train.settings import Optimization


class TextSettings(Section):
    """The texts that are read, and their units."""

    source: str = ""
    """The text: a file, a folder, or a named source. It is the argument DATA."""
    valid: str | None = None
    """A text to validate on. Without one, the last tenth of the text is held out."""
    tokenizer: Literal["char", "byte", "word", "bpe", "vocabulary", "library"] = "char"
    """What one step reads. `char`, because it needs no training and no text is outside of it; words and byte pairs make
    steps fewer and the vocabulary larger. `vocabulary` and `library` are imported ones."""
    vocab_size: int | None = Field(None, ge=2)
    """The most tokens of a vocabulary. Left open, the tokenizer decides: all characters, or as many words or byte pairs
    as it takes by itself."""
    min_count: int = Field(1, ge=1)
    """How often a token must occur to be in the vocabulary. 1 leaves none out."""
    fingerprint: str = ""
    """Of the text, written by the training, so that a run goes on with the same text alone."""


class TextTraining(Optimization):
    """How a language model is trained."""

    lanes: int = Field(32, ge=1)
    """The rows of a batch, each a part of the text with a memory of its own. Recipes take 24: more rows use the machine
    better and leave fewer updates in the budget."""
    random_offsets: bool = False
    """Whether each pass over the text after the first begins at another place. Recipes of recurrent models do, so that
    updates are not cut at the same places in each pass."""
    k1: int = Field(64, ge=1)
    """How many steps one update reads. 64 is the middle: fewer make an update cheap and its gradient noisy, more make
    it dear."""
    k2: int | Literal["k1", "full", "auto"] = (
        "k1"  # steps that the gradient flows back through; auto: as adaptive_truncation.py finds
    )
    """How many steps the gradient flows back through. `k1` costs the least; `elman inspect` shows how much of the
    gradient that leaves, and `auto` measures it while training."""
    k2_cosine: float = Field(0.99, gt=0, le=1)
    """Under `auto`, the least cosine between the cut gradient and that of a window of 8 k1. 0.99 is an angle of 8
    degrees."""

    @model_validator(mode="after")
    def _lengths(self) -> TextTraining:
        if isinstance(self.k2, int) and self.k2 < self.k1:
            raise ValueError(f"k2: expected at least k1 = {self.k1}, got {self.k2}")
        return self

    @property
    def backward_steps(self) -> int | None:
        """k2 as a number of steps, to begin with; None is all the way back."""
        return {"k1": self.k1, "auto": self.k1, "full": None}[self.k2] if isinstance(self.k2, str) else self.k2


class EvaluationOptions(Section):
    """How a text is read."""

    lanes: int | None = Field(
        None,
        ge=1,
        description="An approximation: a text is read in N parts side by side, each after a run-up of 256 tokens from "
        "a fresh memory. 1, and the default, are exact: the memory is carried through the whole text.",
    )


class WritingOptions(Section):
    """How a text is written."""

    tokens: int = Field(500, ge=0, le=10_000_000, description="How many tokens to write.")
    temperature: float = Field(0.8, ge=0, description="Above 1 bolder, below 1 safer, 0 the most probable.")
    top_k: int | None = Field(None, ge=1, description="Only the K most probable tokens.")
    top_p: float | None = Field(None, ge=0, le=1, description="Only the fewest tokens that hold P of the probability.")
    min_p: float | None = Field(None, ge=0, le=1, description="Only tokens P times as probable as the best.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="For the same text again.")

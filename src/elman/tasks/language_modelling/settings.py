"""The settings of language modelling: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.settings import Section
from elman.train.settings import Optimization


class TextSettings(Section):
    """The texts that are read, and their units."""

    source: str = ""
    valid: str | None = None
    tokenizer: Literal["char", "byte", "word", "bpe", "vocabulary", "library"] = "char"  # the last two are imported
    vocab_size: int | None = Field(None, ge=2)  # at most; None: the tokenizer's own
    min_count: int = Field(1, ge=1)  # rarer tokens are unknown
    fingerprint: str = ""  # of the text, so that a run goes on with the same


class TextTraining(Optimization):
    """How a language model is trained."""

    lanes: int = Field(32, ge=1)  # rows of the batch, each a contiguous part of the corpus
    random_offsets: bool = False  # each pass over the text but the first begins at another place
    k1: int = Field(64, ge=1)  # steps whose loss makes one update
    k2: int | Literal["k1", "full", "auto"] = (
        "k1"  # steps that the gradient flows back through; auto: as adaptive_truncation.py finds
    )
    k2_cosine: float = Field(0.99, gt=0, le=1)  # auto: the least cosine with the gradient of a window of 8 k1

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

"""The settings of translation: its data, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.errors import UserError
from elman.settings import Section
from elman.tasks.places import OneOrTwoFiles
from elman.train.settings import Optimization


class PairSettings(OneOrTwoFiles):
    """The pairs of a source and a target that are read, and their units."""

    tokenizer: Literal["auto", "char", "byte", "word", "bpe"] = "auto"
    """What one step reads and writes. `auto` takes byte pairs where pairs are sentences, and characters elsewhere."""
    joint: bool = True
    """Whether both sides share a vocabulary. On, so that names and numbers are the same tokens on both sides."""
    vocab_size: int | None = Field(None, ge=2)
    """The most tokens of a vocabulary. Left open, the tokenizer decides."""
    min_count: int = Field(1, ge=1)
    """How often a token must occur to be in the vocabulary. 1 leaves none out."""
    max_length: int = Field(512, ge=1)
    """The most tokens of a side; longer pairs are left out of the training. 512 bounds the RAM of a batch."""
    fingerprint: str = ""
    """Of the pairs, written by the training, so that a run goes on with the same pairs alone."""


class PairTraining(Optimization):
    """How an encoder-decoder is trained."""

    batch_tokens: int = Field(4096, ge=1)
    """The tokens of the longer side of a batch, padding included. Left open, so that an epoch has 128 batches, from 256
    to 2,048 tokens, or 4,096 of words and byte pairs."""
    epoch_pairs: int = Field(50_000, ge=1, le=10**7)
    """How many pairs of a source without end count as an epoch. 50,000 are a size at which a validation is due."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """How much of a target's weight is spread over all tokens. 0.1 (Vaswani et al. 2017) where several answers are
    right; left open, 0 for small vocabularies, where one is."""
    scheduled_sampling: float = Field(0.0, ge=0, le=1)
    """How often, at the end, a step reads the model's own last token instead of the true one. 0, teacher forcing,
    because it trains all steps at once."""
    metric: Literal["loss", "bleu", "chrf", "exact_match", "accuracy"] = "loss"
    """The validation score that decides which weights are kept. `loss` costs no translation."""
    validation_sentences: int = Field(500, ge=0, le=10**6)
    """How many sentences are translated at a validation for the scores that need translations. 500, for a search of a
    thousand takes as long as many steps."""

    @model_validator(mode="after")
    def _measured(self) -> PairTraining:
        if self.metric in ("bleu", "chrf", "exact_match") and not self.validation_sentences:
            raise ValueError(f"metric: expected validation_sentences above 0 for {self.metric}, got 0")
        return self


class Decoding(Section):
    """How translations are decoded, by search."""

    beam: int = Field(5, ge=1, le=1000, description="Hypotheses kept a step; 1 is greedy search.")
    length_penalty: float = Field(0.6, ge=0, le=10, description="Above 0 longer, 0 the most probable.")
    batch: int = Field(64, ge=1, le=1 << 16, description="Sentences decoded together.")


SEARCHING = ("beam", "length_penalty", "coverage_penalty")  # options of a search alone
DRAWING = ("temperature", "top_k", "top_p", "min_p", "seed")  # options of --sample alone


class PredictionOptions(Decoding):
    """How lines are translated, by search or by drawing at random."""

    nbest: int = Field(1, ge=1, le=1000, description="Translations of each line, or samples.")
    coverage_penalty: float = Field(0.0, ge=0, le=1000, description="Above 0 passes over less of the source.")
    sample: bool = Field(False, description="Draw at random instead of searching.")
    temperature: float = Field(1.0, ge=0, description="Above 1 bolder, below 1 safer.")
    top_k: int | None = Field(None, ge=1, description="Only the K most probable tokens.")
    top_p: float | None = Field(None, ge=0, le=1, description="Only the fewest tokens that hold P of the probability.")
    min_p: float | None = Field(None, ge=0, le=1, description="Only tokens P times as probable as the best.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="For the same samples again.")
    prefix: str = Field("", description="What every translation begins with.")
    min_length: int = Field(0, ge=0, le=100_000, description="The fewest tokens of a translation.")
    max_length: int | None = Field(
        None, ge=0, le=100_000, description="The most tokens of a translation; default three times the source, and 30."
    )
    block_ngrams: int | None = Field(None, ge=1, description="Write no N tokens twice.")
    max_source: int = Field(1000, ge=1, description="The most tokens of a line.")
    alignments: bool = Field(False, description="Show what each token attended to.")

    @model_validator(mode="after")
    def _fit_each_other(self) -> PredictionOptions:
        for name in (*SEARCHING, *DRAWING):
            if name in self.model_fields_set and self.sample != (name in DRAWING):
                refusal, wanted = "not for sample; leave one of them out", "for sample; give sample too"
                raise UserError(f"{name} is {refusal if self.sample else wanted}")
        if not self.sample and self.nbest > self.beam:
            remedy = f"give beam {self.nbest} too"
            raise UserError("nbest", expected=f"at most the beam's {self.beam}", got=self.nbest, remedy=remedy)
        if self.max_length is not None and self.max_length < self.min_length:
            raise UserError("max_length", expected=f"at least min_length {self.min_length}", got=self.max_length)
        return self

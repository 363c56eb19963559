"""The settings of each task, a group at a time: frozen, validated, with the value of what is not asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from elman.cells import Cell

# More of them is no model but a slip of the hand. What the memory holds is checked when all sizes are known.
UNITS, INNER_UNITS, LAYERS, POSITIONS = 1 << 16, 1 << 20, 1 << 10, 1 << 20


class Section(BaseModel):
    """A frozen group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class DataSettings(Section):
    """What is read, and in which units."""

    source: str = ""
    valid: str | None = None
    tokenizer: Literal["char", "byte", "word", "bpe"] = "char"
    vocab_size: int | None = Field(None, ge=2)  # at most; None: the tokenizer's own
    min_count: int = Field(1, ge=1)  # what occurs less often is unknown
    fingerprint: str = ""  # of the text, so that a run goes on with the same


class RecurrentSettings(Section):
    """A recurrent language model (`models.RecurrentLM`)."""

    embedding_size: int = Field(64, ge=1, le=UNITS)
    hidden_size: int = Field(320, ge=1, le=UNITS)
    num_layers: int = Field(1, ge=1, le=LAYERS)
    tied: bool = False
    residual: bool = False
    dropout_embedding: float = Field(0.0, ge=0, lt=1)
    dropout_input: float = Field(0.0, ge=0, lt=1)
    dropout_hidden: float = Field(0.1, ge=0, lt=1)
    dropout_output: float = Field(0.2, ge=0, lt=1)
    weight_dropout: float = Field(0.0, ge=0, lt=1)
    recurrent_dropout: float = Field(0.0, ge=0, lt=1)
    zoneout: float = Field(0.0, ge=0, lt=1)
    layer_norm: bool = False
    recompute: bool = False  # states between stored ones, in backward: less memory, about 4/3 of the time


def recurrent_settings(cell: Cell) -> type[RecurrentSettings]:
    """The settings of a recurrent language model of a cell: with the cell's own, numbers being probabilities.

    >>> from elman.cells import CELLS
    >>> sorted(recurrent_settings(CELLS["lstm"]).model_fields.keys() - RecurrentSettings.model_fields.keys())
    ['peepholes', 'zoneout_cell']
    """
    own = {option.name: option.default for option in cell.options if option.in_models}
    fields: dict[str, Any] = {
        name: (float, Field(default, ge=0, lt=1)) if isinstance(default, float) else (type(default), default)
        for name, default in own.items()
    }
    return create_model(f"{cell.layer}Settings", __base__=RecurrentSettings, **fields) if own else RecurrentSettings


class TransformerSettings(Section):
    """A Transformer decoder language model (`models.TransformerLM`)."""

    hidden_size: int = Field(128, ge=1, le=UNITS)
    num_layers: int = Field(4, ge=1, le=LAYERS)
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)  # None: four times hidden_size
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    window: int | None = Field(128, ge=1, le=POSITIONS)  # None: attends to all that came before
    tied: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerSettings:
        if "num_heads" not in self.model_fields_set:  # then it will follow from hidden_size
            return self
        if self.hidden_size % self.num_heads or (self.hidden_size // self.num_heads) % 2:
            raise ValueError(
                f"num_heads: expected heads of an even size that divide hidden_size {self.hidden_size}, "
                f"got {self.num_heads} heads"
            )
        return self


class Optimization(Section):
    """How a model is trained, whatever the task."""

    seed: int = Field(1, ge=0, lt=2**63)  # what torch takes
    accumulate: int = Field(1, ge=1, le=1 << 16)  # batches a step sums the gradients of
    optimizer: Literal["adamw", "muon", "sgd", "ntasgd"] = "adamw"
    learning_rate: float = Field(4e-3, gt=0)
    muon_rate: float = Field(0.02, gt=0)  # muon: of the matrices between hidden states
    schedule: Literal["cosine", "linear", "constant", "inverse_sqrt"] = "cosine"
    warmup: float = Field(0.02, ge=0, le=1)  # fraction of the budget
    final: float = Field(0.0, ge=0, le=1)  # what is left of the learning rate at the end
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: Literal["norm", "value", "adaptive", "none"] = "norm"
    clip_threshold: float = Field(1.0, gt=0)  # norm: of the gradient; value: of a component
    clip_percentile: float = Field(10.0, ge=0, le=100)  # adaptive
    average: float = Field(0.0, ge=0, lt=1)  # decay of the exponential average of weights; 0: none
    nonmonotone: int = Field(5, ge=1)  # ntasgd: validations without a gain before averaging starts
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    patience: int = Field(0, ge=0)  # validations without a gain before training stops; 0: never
    max_bad_steps: int = Field(20, ge=1)  # in a row, with a loss or gradient that is not finite
    validate_every: int = Field(0, ge=0)  # steps; 0: about ten times in the budget
    checkpoint_every: int = Field(0, ge=0)  # steps; 0: at each validation and each half minute

    @model_validator(mode="after")
    def _warmed_up(self) -> Optimization:
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ValueError("warmup: expected more than 0 for the schedule inverse_sqrt, got 0")
        return self


class TrainSettings(Optimization):
    """How a language model is trained."""

    lanes: int = Field(32, ge=1)  # rows of the batch, each a contiguous part of the corpus
    k1: int = Field(64, ge=1)  # steps whose loss makes one update
    k2: int | Literal["k1", "full", "auto"] = "k1"  # steps the gradient flows back through; auto: as many as it needs
    k2_cosine: float = Field(0.99, gt=0, le=1)  # auto: with the gradient of a window of 8 k1, at least

    @model_validator(mode="after")
    def _lengths(self) -> TrainSettings:
        if isinstance(self.k2, int) and self.k2 < self.k1:
            raise ValueError(f"k2: expected at least k1 = {self.k1}, got {self.k2}")
        return self

    @property
    def backward_steps(self) -> int | None:
        """k2 as a number of steps, to begin with; None is all the way back."""
        return {"k1": self.k1, "auto": self.k1, "full": None}[self.k2] if isinstance(self.k2, str) else self.k2


class PairSettings(Section):
    """What is read as pairs of a source and a target, and in which units."""

    source: str = ""  # files of pairs, of sources, or a named source
    target: str | None = None  # the file of targets, line by line, where `source` is one of sources
    valid: str | None = None
    valid_target: str | None = None
    tokenizer: Literal["auto", "char", "byte", "word", "bpe"] = "auto"
    joint: bool = True  # one vocabulary for both sides
    vocab_size: int | None = Field(None, ge=2)  # at most; None: the tokenizer's own
    min_count: int = Field(1, ge=1)
    max_length: int = Field(512, ge=1)  # tokens: longer pairs are left out of the training
    fingerprint: str = ""


class RecurrentTranslatorSettings(Section):
    """A recurrent encoder-decoder (`models.RecurrentEncoderDecoder`)."""

    embedding_size: int = Field(256, ge=1, le=UNITS)
    hidden_size: int = Field(256, ge=2, le=UNITS)
    num_layers: int = Field(1, ge=1, le=LAYERS)
    bidirectional: bool = True
    attention: Literal["none", "additive", "dot", "general"] = "general"
    input_feeding: bool = False
    bridge: Literal["dense", "copy", "none"] = "dense"
    tied: bool = True
    dropout: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _fit(self) -> RecurrentTranslatorSettings:
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(f"hidden_size: expected an even size for two directions, got {self.hidden_size}")
        if self.input_feeding and self.attention == "none":
            raise ValueError("input_feeding: there is nothing to feed without attention; choose an attention")
        return self


class TransformerTranslatorSettings(Section):
    """An encoder-decoder Transformer (`models.TransformerEncoderDecoder`)."""

    hidden_size: int = Field(128, ge=2, le=UNITS)
    encoder_layers: int = Field(4, ge=1, le=LAYERS)
    decoder_layers: int = Field(4, ge=1, le=LAYERS)
    num_heads: int = Field(4, ge=1)
    feedforward_size: int | None = Field(None, ge=1, le=INNER_UNITS)  # None: four times hidden_size
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    max_positions: int = Field(513, ge=1, le=POSITIONS)  # learned positions: so many
    norm: Literal["pre", "post"] = "pre"
    qk_norm: bool = True
    tied: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fit(self) -> TransformerTranslatorSettings:
        if "num_heads" in self.model_fields_set and self.hidden_size % self.num_heads:
            raise ValueError(f"num_heads: expected a divisor of hidden_size {self.hidden_size}, got {self.num_heads}")
        if self.positions == "sinusoidal" and self.hidden_size % 2:
            raise ValueError(f"hidden_size: expected an even size for sinusoidal positions, got {self.hidden_size}")
        return self


class TranslationTraining(Optimization):
    """How an encoder-decoder is trained."""

    batch_tokens: int = Field(4096, ge=1)  # of the longer side of a batch, padding included
    epoch_pairs: int = Field(50_000, ge=1, le=10**7)  # of an endless source: what is called an epoch
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    scheduled_sampling: float = Field(0.0, ge=0, le=1)  # at the end: how often a step reads the model's own last token
    metric: Literal["loss", "bleu", "chrf", "exact_match", "accuracy"] = "loss"  # which weights are best
    validation_sentences: int = Field(500, ge=0, le=10**6)  # are translated for the scores among the metrics

    @model_validator(mode="after")
    def _measured(self) -> TranslationTraining:
        if self.metric in ("bleu", "chrf", "exact_match") and not self.validation_sentences:
            raise ValueError(f"metric: expected validation_sentences above 0 for {self.metric}, got 0")
        return self

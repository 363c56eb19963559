"""The settings of each task, a group at a time: frozen, validated, with the value of what is not asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# More of them is no model but a slip of the hand. What the memory holds is checked when all sizes are known.
UNITS, INNER_UNITS, LAYERS, POSITIONS = 1 << 16, 1 << 20, 1 << 10, 1 << 20


class Section(BaseModel):
    """A frozen group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


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


class LSTMSettings(RecurrentSettings):
    """What the LSTM alone has."""

    zoneout_cell: float = Field(0.0, ge=0, lt=1)
    peepholes: bool = False


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

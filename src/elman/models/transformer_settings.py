"""The settings of Transformers: a language model, an encoder-decoder, and an encoder for a head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from elman.errors import UserError
from elman.settings import INNER_UNITS, POSITIONS, Layers, Probability, Section, Units, check_even

# What all three have.
Feedforward = Annotated[
    int | None,
    Field(
        ge=1,
        le=INNER_UNITS,
        description="The width of the inner layer. Left open, four times `hidden_size` (Vaswani et al. 2017).",
    ),
]
NormalisedQueries = Annotated[
    bool,
    Field(
        description="Whether queries and keys are normalised. On, because logits of attention then cannot grow without "
        "bound (Dehghani et al. 2023)."
    ),
]
Recomputation = Annotated[
    bool,
    Field(
        description="Whether backward computes a layer's inner numbers anew: less RAM, about 4/3 of the time. Off, for "
        "most models fit."
    ),
]


class TransformerSettings(Section):
    """A Transformer decoder as a language model, `TransformerLM`."""

    hidden_size: Units = 256
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    num_layers: Layers = 4
    """Layers. 4: attention must build on attention, as an induction head does, and each layer costs time."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. Left open, as many as make them of about 64 units."""
    feedforward_size: Feedforward = None
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """How positions are encoded. `rotary` compares distances and holds beyond the lengths of the training;
    `sinusoidal` is the encoding of the paper."""
    window: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps a layer attends to. Without one, to all earlier steps; left open, half of the width and at least
    64, so that a step of generation costs the same however long the text is."""
    tied: bool = False
    """Whether the output layer is the matrix of the embedding. Recipes tie them, which saves parameters."""
    qk_norm: NormalisedQueries = True
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, 0.07 for each doubling of the passes over the text beyond nine: it
    needs none before (measured on tiny Shakespeare)."""
    recompute: Recomputation = False

    @model_validator(mode="after")
    def _fit(self) -> TransformerSettings:
        check_heads(self)
        return self


class TransformerTranslatorSettings(Section):
    """A Transformer with an encoder and a decoder, `TransformerEncoderDecoder`."""

    hidden_size: Units = 128
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    encoder_layers: Layers = 4
    """Layers of the encoder. 4, the size that the recipes were tried with on Multi30k."""
    decoder_layers: Layers = 4
    """Layers of the decoder, as many as the encoder has."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. 4, of 32 units each at the default width."""
    feedforward_size: Feedforward = None
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How positions are encoded. `sinusoidal` is the encoding of the paper and holds for any length; `learned`
    positions end at `max_positions`."""
    max_positions: int = Field(513, ge=1, le=POSITIONS)
    """The longest sequence of learned positions. 513: 512 tokens and the end."""
    norm: Literal["pre", "post"] = "pre"
    """Where a layer is normalised. `pre`, before what it adds, trains without a long warm-up; `post` is the paper's."""
    qk_norm: NormalisedQueries = True
    tied: bool = True
    """Whether both embeddings and the output layer are one matrix. On, which saves most of the parameters of a small
    model."""
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, 0.08 for each doubling of the passes over the pairs beyond three."""
    recompute: Recomputation = False

    @model_validator(mode="after")
    def _fit(self) -> TransformerTranslatorSettings:
        check_heads(self)
        return self


class TransformerEncoderSettings(Section):
    """Transformer layers that read a sequence for a head, `TransformerEncoder`."""

    hidden_size: Units = 128
    """The width of a layer. Left open, the largest width whose parameters the budget can teach."""
    num_layers: Layers = 2
    """Layers. 2; recipes of taggers take 3."""
    num_heads: int = Field(4, ge=1)
    """The heads of a layer. Left open, the most up to 4 that divide the width."""
    feedforward_size: Feedforward = None
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """How positions are encoded. `rotary` compares distances and holds beyond the lengths of the training."""
    window: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps a layer of a causal model attends to. Without one, to all earlier steps, for sequences with labels
    are short."""
    is_causal: bool = False
    """Whether a step sees the past alone. Off, because the sequence is there as a whole; on makes a model that answers
    while it arrives."""
    qk_norm: NormalisedQueries = True
    dropout: Probability = 0.0
    """Dropout of what each layer adds. Left open, it follows from the passes over the data, or is the recipe's."""
    recompute: Recomputation = False

    @model_validator(mode="after")
    def _fit(self) -> TransformerEncoderSettings:
        check_heads(self)
        if self.window is not None and not self.is_causal:
            raise UserError("window", expected="a causal model, which looks back", got="is_causal false")
        return self


def check_heads(settings: TransformerSettings | TransformerTranslatorSettings | TransformerEncoderSettings) -> None:
    """Refuse a given number of heads that does not divide hidden_size; recipes choose a number that is not given."""
    size, heads, even = settings.hidden_size, settings.num_heads, settings.positions == "rotary"
    if settings.positions == "sinusoidal":
        check_even(size, "sinusoidal positions")
    if "num_heads" not in settings.model_fields_set or (size % heads == 0 and not (even and size // heads % 2)):
        return
    kind = "heads of an even size that divide" if even else "a divisor of"
    raise UserError("num_heads", expected=f"{kind} hidden_size {size}", got=heads)

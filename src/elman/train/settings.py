"""The settings of every training: frozen, validated, and each with its default."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.settings import Section


class Optimization(Section):
    """How a model is trained, whatever the task.

    >>> settings = Optimization(learning_rate=1e-2, clip="value", clip_threshold=0.1)
    >>> settings.optimizer, settings.schedule
    ('adamw', 'cosine')
    >>> Optimization(clip="none", precision="bfloat16").model_fields_set == {"clip", "precision"}
    True
    """

    seed: int = Field(1, ge=0, lt=2**63)  # the range that torch takes
    accumulate: int = Field(1, ge=1, le=1 << 16)  # batches whose gradients an optimiser step sums
    optimizer: Literal["adamw", "muon", "sgd", "ntasgd"] = "adamw"
    learning_rate: float = Field(4e-3, gt=0)
    muon_rate: float = Field(0.02, gt=0)  # muon: learning rate of the matrices between hidden states
    schedule: Literal["cosine", "linear", "constant", "inverse_sqrt"] = "cosine"
    warmup: float = Field(0.02, ge=0, le=1)  # fraction of the budget
    final: float = Field(0.0, ge=0, le=1)  # fraction of the learning rate that is left at the end
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    momentum: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: Literal["norm", "value", "adaptive", "none"] = "norm"
    clip_threshold: float = Field(1.0, gt=0)  # norm: of the gradient; value: of a component
    clip_percentile: float = Field(10.0, ge=0, le=100)  # adaptive
    average: float = Field(0.0, ge=0, lt=1)  # decay of the exponential average of weights; 0: no average
    nonmonotone: int = Field(5, ge=1)  # ntasgd: validations without a gain before averaging starts
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    patience: int = Field(0, ge=0)  # validations without a gain before training stops; 0: never
    max_bad_steps: int = Field(20, ge=1)  # steps in a row whose loss or gradient is not finite
    validate_every: int = Field(0, ge=0)  # steps; 0: about ten times in the budget
    checkpoint_every: int = Field(0, ge=0)  # steps; 0: at each validation and each half minute

    @model_validator(mode="after")
    def _warmed_up(self) -> Optimization:
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ValueError("warmup: expected more than 0 for the schedule inverse_sqrt, got 0")
        return self

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

    seed: int = Field(1, ge=0, lt=2**63)
    """The number that every draw follows from: weights, order, dropout. It is 1 so that a command makes the same model
    again."""
    accumulate: int = Field(1, ge=1, le=1 << 16)
    """How many batches one optimiser step sums. 1, for more pays only where a batch does not fit into the RAM."""
    optimizer: Literal["adamw", "muon", "sgd", "ntasgd"] = "adamw"
    """The optimiser. `adamw` trains every model; recipes take `muon` for encoder-decoders and Transformer language
    models, whose matrices it serves best; `ntasgd` is that of AWD-LSTM."""
    learning_rate: float = Field(4e-3, gt=0)
    """The greatest learning rate. Left open, it is that of the recipe for the kind of model, and falls with the square
    root of the width."""
    muon_rate: float = Field(0.02, gt=0)
    """The learning rate of the matrices between hidden states under Muon, which makes every step of them of one size.
    0.02 is the value of Muon's paper."""
    schedule: Literal["cosine", "linear", "constant", "inverse_sqrt"] = "cosine"
    """How the learning rate falls over the budget. A cosine stays high for half of the budget and is near `final` when
    it ends, so that the last weights are the best of that budget."""
    warmup: float = Field(0.02, ge=0, le=1)
    """The fraction of the budget over which the learning rate rises. 0.02, for AdamW's first averages are of few
    gradients and must not be followed far."""
    final: float = Field(0.0, ge=0, le=1)
    """The fraction of the learning rate that is left at the end. 0 lets the weights come to rest."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """The decay of AdamW's mean gradient. 0.9 is the value of its paper."""
    beta2: float = Field(0.99, ge=0, lt=1)
    """The decay of AdamW's mean squared gradient. 0.99 averages over 100 steps: the paper's 0.999 would still remember
    the first gradients when a training of minutes ends."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """The momentum of `sgd`. 0 is plain SGD, which NT-ASGD averages."""
    weight_decay: float = Field(0.01, ge=0)
    """How much each step shrinks the matrices, times the learning rate. 0.01 is AdamW's; recipes take more where data
    are read again: 0.1 for texts, 0.05 for pairs and tags."""
    clip: Literal["norm", "value", "adaptive", "none"] = "norm"
    """How a large gradient is made smaller. `norm` keeps its direction, which clipping by `value` turns; `adaptive`
    takes the threshold from the run's own norms."""
    clip_threshold: float = Field(1.0, gt=0)
    """The largest norm, or under `value` the largest component. 1 is the usual start; `metrics.jsonl` has the norm of
    every step before and after, from which another value is read off."""
    clip_percentile: float = Field(10.0, ge=0, le=100)
    """`adaptive` clips at this percentile of the last thousand norms. 10 is the value of its paper (AutoClip)."""
    average: float = Field(0.0, ge=0, lt=1)
    """The decay of an exponential average of the weights, which is then what is validated and kept. 0, no average,
    because a falling learning rate averages too; recipes of tags and series take 0.999."""
    nonmonotone: int = Field(5, ge=1)
    """How many validations without a gain there are before `ntasgd` begins to average. 5 is the value of its paper
    (AWD-LSTM)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The type of the products. Left open, it is `bfloat16` for texts where the machine is measured to be faster with
    it by a fifth, and for pairs and tags where the processor has it; `float32` elsewhere."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model is. Left open, it is the GPU where there is one."""
    reduction: Literal["float32", "bfloat16"] = "float32"
    """The type in which processes send each other gradients. `float32` is exact; `bfloat16` halves what is sent,
    which pays over a slow network."""
    sharded: bool = False
    """Whether each of several processes keeps only its part of weights, gradients and their means. False, for the parts
    are gathered layer by layer in every call, which pays only where a model does not fit beside its optimiser."""
    patience: int = Field(0, ge=0)
    """How many validations without a gain end the training. 0, never, for the best weights are kept in any case and the
    budget is the end that was asked for."""
    max_bad_steps: int = Field(20, ge=1)
    """How many steps in a row may have a loss or a gradient that is not finite. One such step is left out; twenty in a
    row mean that the weights are lost."""
    validate_every: int = Field(0, ge=0)
    """How many steps lie between validations. 0 spreads about ten over the budget, which shows a curve and costs
    little."""
    checkpoint_every: int = Field(0, ge=0)
    """How many steps lie between checkpoints, besides those at each validation and each half minute. 0 writes these
    alone: half a minute is the most that a kill can cost."""

    @model_validator(mode="after")
    def _warmed_up(self) -> Optimization:
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise ValueError("warmup: expected more than 0 for the schedule inverse_sqrt, got 0")
        return self

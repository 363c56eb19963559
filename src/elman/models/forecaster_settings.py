"""The settings of each kind of forecaster; see `models.configuration`. This module imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from elman.errors import UserError
from elman.models.configuration import RecurrentEncoderSettings, TransformerEncoderSettings, of_every_kind
from elman.settings import POSITIONS, Section

LEVELS = (0.1, 0.5, 0.9)  # of the table that `elman predict` writes


class ForecastingHead(Section):
    """How a forecaster reads its window and writes its horizon."""

    form: Literal["direct", "segment", "likelihood"] = "direct"
    """How the horizon is written: all at once (`direct`), segment by segment, or drawn step by step from a
    `likelihood`. Left open, `segment` for recurrent models, which then take few steps, and `direct` for others."""
    segment: int = Field(1, ge=1, le=POSITIONS)
    """The steps that are read, and in the form `segment` written, as one. Left open, a season where the window holds
    two, else a quarter of the window."""
    normalisation: Literal["last", "mean", "none"] = "last"
    """What is subtracted from each window. `last`, its last value, so that a series may drift away from all that was
    seen in training."""
    distribution: Literal["quantiles", "gaussian", "student_t", "negative_binomial"] | None = None
    """What is forecast beside the mean. Left open, quantiles, which suppose no shape; the form `likelihood` has
    Student's t, whose tails forgive outliers."""
    identities: bool = False
    """Whether each series of the training has an embedding, in the form `segment`. Left open, on where there are
    several series."""
    levels: tuple[float, ...] = LEVELS
    """The quantiles. 0.1, 0.5 and 0.9 are the table of `elman predict`: the middle, and an interval of 80 %."""
    point_loss: Literal["mse", "mae", "huber"] = "mae"
    """The loss of the mean, where quantiles are learnt. `mae`, because one outlier does not pull it far."""
    samples: int = Field(200, ge=2, le=100_000)
    """How many paths are drawn of a distribution for its quantiles. 200: twenty of them lie beyond each end of the
    interval of 80 %."""

    @property
    def learnt(self) -> str:
        """The distribution, or what the form has where none is given."""
        return self.distribution or ("student_t" if self.form == "likelihood" else "quantiles")

    def check_head(self, causal: bool) -> None:
        """Raise `UserError` where settings do not fit each other."""
        levels = self.levels
        if not all(0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
            raise UserError("levels", expected="probabilities between 0 and 1 that rise", got=levels)
        if missing := set(LEVELS) - set(levels):
            raise UserError("levels", expected=f"{sorted(missing)} among them", got=levels)
        if self.form == "likelihood":
            if self.learnt == "quantiles":
                remedy = "--set distribution=student_t, gaussian or negative_binomial"
                raise UserError("distribution", expected="one to sample from", got="quantiles", remedy=remedy)
            if self.segment != 1:
                raise UserError("segment", expected="1, for the form likelihood goes step by step", got=self.segment)
        if self.form != "direct" and not causal:
            raise UserError("form", expected="direct, for a model that reads in both directions", got=self.form)


class RecurrentForecasterSettings(ForecastingHead, RecurrentEncoderSettings):
    """A forecaster of one recurrent cell."""

    bidirectional: bool = False
    """Whether the window is read in both directions. Off, so that a forecaster goes on from its state while values
    arrive."""

    @model_validator(mode="after")
    def _head_fits(self) -> RecurrentForecasterSettings:
        self.check_head(not self.bidirectional)
        return self


class TransformerForecasterSettings(ForecastingHead, TransformerEncoderSettings):
    """A forecaster that is a Transformer."""

    @model_validator(mode="after")
    def _head_fits(self) -> TransformerForecasterSettings:
        self.check_head(self.is_causal)
        if self.form == "segment":
            raise UserError("form", expected="direct or likelihood, for a Transformer", got="segment")
        return self


FORECASTER_SETTINGS = of_every_kind(RecurrentForecasterSettings, TransformerForecasterSettings)

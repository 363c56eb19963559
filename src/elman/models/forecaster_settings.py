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
    segment: int = Field(1, ge=1, le=POSITIONS)  # steps read together; and written, in the form segment
    normalisation: Literal["last", "mean", "none"] = "last"  # of each window
    distribution: Literal["quantiles", "gaussian", "student_t", "negative_binomial"] | None = None  # None: by the form
    identities: bool = False  # in the form segment: whether each series of the training has an embedding
    levels: tuple[float, ...] = LEVELS  # of the quantiles
    point_loss: Literal["mse", "mae", "huber"] = "mae"  # of the mean, where quantiles are learnt
    samples: int = Field(200, ge=2, le=100_000)  # of a distribution, for its quantiles

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

"""The settings of forecasting: its series, its training, and the options of the commands that use its runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from elman.settings import POSITIONS, Section
from elman.train.settings import Optimization


def _names(given: Any) -> Any:
    """Names of columns between commas, or a list of them, as a tuple."""
    if isinstance(given, str):
        return tuple(name.strip() for name in given.split(",") if name.strip())
    return tuple(given) if isinstance(given, list) else given


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class SeriesSettings(Section):
    """The series that are read, and their columns; those that are None are found by their usual names."""

    source: str = ""
    """The series: a table, or a named source. It is the argument DATA."""
    valid: str | None = None
    """A table to validate on. Without one, the end of each series is held out."""
    horizon: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps are forecast. Left open, a season, the span that repeats."""
    window: int | None = Field(None, ge=1, le=POSITIONS)
    """How many steps of the past the model reads. Left open, three seasons or two horizons, whichever is longer."""
    season: int | None = Field(None, ge=1, le=POSITIONS)
    """The steps of a season. Left open, the calendar says, such as 24 for hours; where it has none, the past of the
    series does."""
    id_column: str | None = None
    """The column that names the series. Left open, a usual name is looked for, such as `unique_id`."""
    time_column: str | None = None
    """The column of times. Left open, a usual name is looked for, such as `ds` or `date`."""
    target_column: str | None = None
    """The column that is forecast. Left open, a usual name is looked for, such as `y`."""
    past: Names | None = None
    """Further columns that are known up to the present. Left open, all further numbers, for they may help and are read
    for the price of one input each."""
    future: Names = ()
    """Further columns that are known of the steps to come, such as holidays. None, for only you can know which are."""
    static: Names | None = None
    """Further columns that do not change within a series. Left open, all further words."""
    held_out: float = Field(0.15, gt=0, lt=1)
    """The part of the end of each series that is held out for validation. 0.15 leaves most to learn from, and the
    latest past to judge by."""
    fingerprint: str = ""
    """Of the series, written by the training, so that a run goes on with the same series alone."""


class ForecastTraining(Optimization):
    """How a forecaster is trained."""

    batch_windows: int = Field(256, ge=1, le=1 << 20)
    """The windows of a batch. Left open, a thirty-second of all windows, from 16 to 256, so that few windows make
    enough updates too."""
    metric: Literal["loss", "mae", "mse", "quantile_loss"] = "loss"
    """The validation score that decides which weights are kept. `loss` judges the quantiles too and not the middle
    alone."""
    validation_windows: int = Field(8192, ge=1, le=1 << 24)
    """The most windows that a validation reads, evenly spread. 8,192 tell losses apart without reading every window; a
    model that draws samples takes 256."""
    k2: int | None = Field(None, ge=1)
    """How many steps the encoder reads between two cuts of the gradient. Left open, none is cut: a window is short."""


class Backtest(Section):
    """Which windows are scored."""

    windows: int | None = Field(None, ge=1, description="The last N windows of each series.")
    step: int = Field(1, ge=1, description="Steps between windows.")


class ForecastingOptions(Section):
    """How forecasts are written."""

    stream: bool = Field(
        False, description="A value a line, or a row of CSV or JSON; the forecast of the series so far after each."
    )

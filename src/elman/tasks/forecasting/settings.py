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
    valid: str | None = None
    horizon: int | None = Field(None, ge=1, le=POSITIONS)  # steps that are forecast; None: a season
    window: int | None = Field(None, ge=1, le=POSITIONS)  # steps of the past that the model reads; None: chosen
    season: int | None = Field(None, ge=1, le=POSITIONS)  # steps; None: that of the calendar
    id_column: str | None = None
    time_column: str | None = None
    target_column: str | None = None
    past: Names | None = None  # further columns that are known up to the present; None: all further numbers
    future: Names = ()  # further columns that are known of the steps to come
    static: Names | None = None  # further columns that do not change in a series; None: all further words
    held_out: float = Field(0.15, gt=0, lt=1)  # of the end of each series, for validation, where there is no valid
    fingerprint: str = ""


class ForecastTraining(Optimization):
    """How a forecaster is trained."""

    batch_windows: int = Field(256, ge=1, le=1 << 20)
    metric: Literal["loss", "mae", "mse", "quantile_loss"] = "loss"  # decides which weights are best
    validation_windows: int = Field(8192, ge=1, le=1 << 24)  # at most, evenly spread
    k2: int | None = Field(None, ge=1)  # steps that the encoder reads between two cuts of the gradient


class Backtest(Section):
    """Which windows are scored."""

    windows: int | None = Field(None, ge=1, description="The last N windows of each series.")
    step: int = Field(1, ge=1, description="Steps between windows.")


class ForecastingOptions(Section):
    """How forecasts are written."""

    stream: bool = Field(False, description="A value a line; the forecast of the series so far after each.")

"""Forecasting: the steps of a series that come after a window of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from elman.lazy import deferred
from elman.models.forecaster_settings import FORECASTER_SETTINGS
from elman.settings import Section
from elman.tasks.exchange import Sources
from elman.tasks.forecasting.settings import Backtest, ForecastingOptions, ForecastTraining, SeriesSettings
from elman.tasks.places import one_file
from elman.tasks.task import Task
from elman.wording import counted

if TYPE_CHECKING:
    from elman.tasks.configuration import Settings
    from elman.tasks.forecasting.corpus import ForecastCorpus


class Forecasting(Task):
    """The next steps of series, all series by one model."""

    name = "forecasting"
    title = "a forecaster"
    synonyms = "forecast forecaster time_series timeseries time_series_forecasting prediction"
    reads = (
        "Series to forecast: a table of unique_id, ds and y, or of a date and a column for each series (CSV, TSV, "
        "Parquet, JSON lines), or a named source such as sunspots."
    )
    target = "value"
    unit = "error"
    sample = ("these", "windows")
    data = SeriesSettings
    models: ClassVar[Mapping[str, type[Section]]] = FORECASTER_SETTINGS
    kind = "gru"
    train = ForecastTraining
    options: ClassVar[Mapping[str, type[Section]]] = {"evaluate": Backtest, "predict": ForecastingOptions}
    codec_names = ("scaler", "calendar", "columns", "baselines")
    parts = ("forecasts", "gradients", "gates", "clipping")
    usage = """    import elman
    run = elman.load("{run}")
    run.predict(frame)     # a table of unique_id, ds and y

    elman predict {run} FILE
    elman evaluate {run} FILE
"""
    whole = True
    batch = ("batch_windows",)
    scores: ClassVar[Mapping[str, str]] = {"mae": "MAE", "mse": "MSE", "naive_mse": "naive MSE"}
    ranking: ClassVar[Mapping[str, Literal["more", "less"]]] = {"mse": "less"}
    floors: ClassVar[Mapping[str, str]] = {"mse": "naive_mse"}

    corpus = deferred(".corpus.read")
    read_codecs = deferred(".corpus.read_codecs")
    choose = deferred(".sizing.choose")
    model_config = deferred(".sizing.model_config")
    operations = deferred(".sizing.operations")
    build = deferred("elman.models.forecaster.build_forecaster")
    objective = deferred(".objective.future_values")
    measure = deferred(".objective.measurement")
    evaluate = deferred(".evaluation.evaluate_forecasts")
    predict = deferred(".prediction.predict")
    listener = deferred(".listener.SeriesListener")
    recognises_network = deferred(".imported.recognises")
    adopt = deferred(".imported.adopt")
    watch = deferred(".watching.watch")
    looks = deferred(".looks.LOOKS")
    observe = deferred(".subject.open_windows")

    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """A table with a column of times and one of numbers, or a named source of series."""
        from elman.data.structures import series_table

        return series_table(data)

    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """One table of series, and one to validate on."""
        return one_file(data, valid, "one table of series")

    def check(self, settings: Settings) -> None:
        """See that the tables are there."""
        from elman.data.series_sources import check_series

        for place in filter(None, (settings.data.source, settings.data.valid)):
            check_series(place)

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """A list of series, each a list of numbers; or the numbers of one."""
        if targets is not None or not isinstance(data, list | tuple) or not data:
            return None
        data = [data] if all(map(_is_number, data)) else data
        numbers = all(isinstance(row, list | tuple) and all(map(_is_number, row)) for row in data)
        rows = ((number, step, value) for number, row in enumerate(data) for step, value in enumerate(row))
        return ({"unique_id": f"{n}", "ds": step, "y": value} for n, step, value in rows) if numbers else None

    def describe(self, corpus: ForecastCorpus) -> str:
        """How many windows of how many series."""
        panel = corpus.train.panel
        sizes = f"{len(corpus.train):,} training and {len(corpus.valid):,} validation windows"
        return f"{sizes} of {len(panel):,} series: {counted(corpus.horizon, 'step')} from {corpus.window}"

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """With the learning rate, which follows from the number of steps."""
        train = settings.train.model_copy(update={"learning_rate": measured.train.learning_rate})
        return settings.model_copy(update={"train": train})

    def counts(self, corpus: ForecastCorpus) -> dict[str, int]:
        """Series and windows."""
        return {
            "series": len(corpus.train.panel),
            "training_windows": len(corpus.train),
            "validation_windows": len(corpus.valid),
        }

    def training_targets(self, corpus: ForecastCorpus) -> int:
        """The values of an epoch's windows."""
        return corpus.train.targets


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))

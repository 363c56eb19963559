"""The subject of the microscope in forecasting: a run's model, the same model before its training, and windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from elman.data.windows import WindowBatch, Windows, backtest_windows
from elman.errors import UserError
from elman.inspection.look import Observed
from elman.inspection.untrained import untrained
from elman.models.forecaster import SeriesForecaster, build_forecaster
from elman.tasks.configuration import named
from elman.tasks.exchange import Sources, Trained
from elman.tasks.forecasting import corpus
from elman.tasks.forecasting.evaluation import read_given

READ = 256  # windows whose gradients and gates are read


@dataclass(frozen=True)
class SeriesSubject(Observed):
    """A run's forecaster, the same model before its training, and windows that both read."""

    model: SeriesForecaster
    fresh: SeriesForecaster
    run: Trained
    windows: Windows

    def batch(self, most: int) -> WindowBatch:
        """At most so many of the windows, evenly spread."""
        thinned = self.windows.thinned(most)
        return thinned.batch(np.arange(len(thinned)))


def open_windows(run: Trained, data: Sources) -> SeriesSubject:
    """A run with the windows of `data`, or of its validation. Raises `UserError` where there are none."""
    model, settings = run.model, run.settings
    if data:
        panel, name = read_given(run, data), Path(named(str(data[0]), run.path)).name
        windows = backtest_windows(panel, run.scaler, model.past_steps, model.horizon)
    elif settings is None:
        raise UserError(f"{run.path} does not say which data it was trained on", remedy="give a table of series")
    else:
        windows = corpus.read(settings, run.path, lambda line: None, None, run.codecs).valid
        place = settings.data.valid or settings.data.source
        name = Path(named(str(place), run.path)).name
        name = name if settings.data.valid else f"the validation part of {name}"
    windows = windows.observed()
    if not len(windows):
        raise UserError(f"{name} has nothing to look at", expected="a series of two steps or more", got="none")
    fresh_name, fresh = untrained(partial(build_forecaster, model.config), None if settings is None else settings.train)
    count = len(np.unique(windows.series))
    facts = [("series", f"{count:,} of {name}"), ("windows", f"{len(windows):,}")]
    about = {"data": name, "series": count, "windows": len(windows), "untrained": fresh_name}
    return SeriesSubject(run.path, model, fresh, fresh_name, facts, about, run, windows)

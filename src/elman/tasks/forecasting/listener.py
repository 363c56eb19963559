"""A forecaster that many sessions speak to: values go in as they become known, and the steps to come come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch

from elman.data.calendar import NUMBERED
from elman.data.panel import LARGEST, Panel
from elman.data.series_columns import TARGETS, Roles
from elman.data.table import number
from elman.errors import UserError
from elman.tasks.configuration import make_section
from elman.tasks.exchange import NONE, Trained
from elman.tasks.forecasting.cache import ForecastCache
from elman.tasks.forecasting.prediction import TRACKED, level_names, missing_ahead, not_ahead, panel_forecasts
from elman.tasks.forecasting.told import ABOUT, SeriesNotes, Told, panel_of, start_of
from elman.tasks.hearing import (
    Asked,
    FeedRequest,
    WholeMemory,
    check_finite,
    in_batches,
    one_form,
    went_on,
)
from elman.tasks.holding import HeldReaders
from elman.tasks.listening import Listener, Memory, Unit, Work

SHOWN = 100  # series of the training whose ids a client is told


class NextValues(Asked, SeriesNotes):
    """What follows in a series."""

    values: list[Any] | None = None  # numbers, or rows of a number for each of the model's columns; None is missing


class SeriesListener(Listener):
    """The forecast after all that a session has read, which is read again: scales follow from all values.

    A unit is a number, or where the model reads further columns a row of the target, the columns of the past, and those
    that are known ahead. A session tells the latter of the steps to come by rows whose target is missing, as a table of
    `elman predict` does. The first unit may be an object that says more of the series: {"values": row, "ds": …}.
    """

    def __init__(self, run: Trained, options: Mapping[str, Any] = NONE) -> None:
        self.run, columns = run, run.columns
        self.cache = ForecastCache(run.model)
        target = columns.target or TARGETS[0]
        self.roles = Roles("unique_id", "ds", (target,), columns.past or (), columns.future, columns.static or ())
        self.columns = [target, *self.roles.past, *self.roles.future]
        self.runs = HeldReaders(run.model, run.with_model)

    def begin(self) -> Memory:
        """A series without a value."""
        return Memory(WholeMemory(torch.zeros(1, 0, len(self.columns), dtype=torch.float64)), {})

    def check(self, kind: str, asked: Mapping[str, Any]) -> FeedRequest:
        """The rows of {"values"} or {"units"}."""
        form, given = one_form(kind, NextValues, asked, ("values",), self.run.model)
        units = list(getattr(given, form))
        about = {name: asked[name] for name in ABOUT if asked.get(name) is not None}
        first = units[0] if units else None
        if isinstance(first, Mapping):
            if set(first) - {"values", *ABOUT} or "values" not in first:
                raise UserError(form, expected=f"values, {', '.join(ABOUT)}", got=", ".join(map(str, first)))
            about, units[0] = {name: first[name] for name in ABOUT if name in first} | about, first["values"]
        rows = np.array([self._row(form, at, unit) for at, unit in enumerate(units, 1)], np.float64)
        if about:
            self._check_about(about)
            if not units:
                raise UserError(next(iter(about)), expected="a value too, which is the series' first", got="none")
            units[0] = {"values": units[0], **about}
        return FeedRequest(units, rows.reshape(-1, len(self.columns)), given.top, given.set)

    def _row(self, form: str, at: int, unit: Any) -> list[float]:
        row = unit if isinstance(unit, list | tuple) else [unit]
        if len(row) != len(self.columns):
            expected, got = f"{' and '.join(self.columns)} in a row", f"{len(row)} numbers"
            raise UserError(f"{form}: row {at}", expected=expected, got=got)
        values = [None if isinstance(cell, str) else number(cell) for cell in row]
        for cell, value in zip(row, values, strict=True):
            if value is None or abs(value) > LARGEST:
                expected = f"numbers of at most {LARGEST:g}, null where one is missing"
                raise UserError(f"{form}: row {at}", expected=expected, got=repr(cell)[:40])
        return cast("list[float]", values)

    def _check_about(self, about: Mapping[str, Any]) -> None:
        """Raise `UserError` where the model cannot use what is said of a series."""
        make_section(SeriesNotes, dict(about))
        calendar = self.run.codecs.get("calendar")
        if "ds" in about:
            if calendar is None:
                raise UserError("ds", expected="none, for the model knows no calendar", got=repr(about["ds"]))
            start_of(calendar, about["ds"])
        static = about.get("static") or {}
        if not isinstance(static, Mapping) or {*static} - {*self.roles.static}:
            expected = f"an object of {', '.join(self.roles.static) or 'nothing'}"
            raise UserError("static", expected=expected, got=repr(static)[:60])
        for name, cell in static.items():
            if name not in self.run.scaler.words and number(cell) is None:
                raise UserError(f"static: {name}", expected="a number", got=repr(cell)[:40])

    def round(self, works: Sequence[Work]) -> None:
        """Forecast the series of some works."""
        in_batches(works, [self._cost(work) for work in works], self._read_again, once=True)

    def _cost(self, work: Work) -> int:
        """How many steps the model reads for a forecast."""
        model, steps = self.run.model, work.memory.position + work.request.left(work)
        if model.form == "likelihood":
            return int(min(steps, model.past_steps) + model.samples * model.horizon)
        return int(min(steps, model.past_steps) * (1 + min(max(steps - model.past_steps, 0), TRACKED)))

    def _read_again(self, works: Sequence[Work]) -> None:
        run, series = self.runs(works[0].request), [self.series(work) for work in works]
        answers: list[dict[str, Any]] = [{} for _ in works]
        for dated in (False, True):
            at = [
                n
                for n, one in enumerate(series)
                if (one.ds is not None) == dated and not np.isnan(one.rows[:, 0]).all()
            ]
            if at:
                for n, answer in zip(at, self._forecasts(run, [series[n] for n in at]), strict=True):
                    answers[n] = answer
        check_finite(answers)
        for work, one, answer in zip(works, series, answers, strict=True):
            request: FeedRequest = work.request
            notes = {name: value for name in ABOUT if (value := getattr(one, name)) not in (None, {})}
            went_on(work, WholeMemory(torch.from_numpy(one.rows)[None]), notes, request.units)
            missing = {"forecast": None, "expected": f"a number in {self.columns[0]!r}"}
            work.answer = {"position": work.memory.position, **(answer or missing)}

    def series(self, work: Work) -> Told:
        """All that a session has told, this work's units among it."""
        memory, units = work.memory, work.request.units
        about, first = dict(memory.notes), units[0] if units else None
        if isinstance(first, Mapping):
            if memory.position:
                name = next(name for name in ABOUT if name in first)
                raise UserError(name, expected="none, for the series has begun", got=repr(first[name])[:60])
            about = {name: first[name] for name in ABOUT if name in first}
        if lacking := [name for name in self.roles.static if name not in (about.get("static") or {})]:
            remedy = 'give them as "static" with the first values'
            raise UserError("static", expected=" and ".join(lacking), got="none", remedy=remedy)
        rows = np.concatenate((cast(WholeMemory, memory.state).inputs[0].numpy(), work.request.inputs))
        return Told(rows, about.get("ds"), about.get("id"), about.get("static") or {})

    def _forecasts(self, run: Trained, series: Sequence[Told]) -> list[dict[str, Any]]:
        """What is said of each series, all of which have a value, and a first time, or none of which has."""
        panel, horizon = self.panel(series), run.model.horizon
        missing = missing_ahead(run, panel)
        said: list[dict[str, Any]] = [
            {"forecast": None, "expected": str(not_ahead(panel, n, horizon, int(lacks)))}
            for n, lacks in enumerate(missing)
        ]
        if len(able := np.flatnonzero(missing == 0).tolist()):
            whole = panel if len(able) == len(series) else self.panel([series[n] for n in able])
            cache = self.cache if run is self.runs.plain else None  # what a held model says is not kept
            for n, rows in zip(able, panel_forecasts(run, whole, cache), strict=True):
                said[n] = {"forecast": rows}
        return said

    def panel(self, series: Sequence[Told]) -> Panel:
        """The panel that a table of these series is, all of which have a first time, or none of which has."""
        return panel_of(series, self.roles, NUMBERED if series[0].ds is None else self.run.calendar)

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """Each row's numbers on a line of their own."""
        rows = [unit["values"] if isinstance(unit, Mapping) else unit for unit in units]
        return [
            ", ".join("" if cell is None else f"{cell:g}" for cell in (row if isinstance(row, list) else [row])) + "\n"
            for row in rows
        ]

    def check_memory(self, memory: Memory) -> None:
        """As many rows as its position says, and what may be said of a series."""
        self._check_about(memory.notes)
        rows = cast(WholeMemory, memory.state).inputs
        if rows.shape[1] != memory.position or bool((rows.abs() > LARGEST).any()):
            raise UserError("the memory's values", expected=f"{memory.position:,} rows of numbers", got="others")

    def about(self) -> dict[str, Any]:
        """Columns, and what a forecast has."""
        run, calendar = self.run, self.run.codecs.get("calendar")
        return {
            "reads": "values",
            "whole": True,
            "columns": self.columns,
            "past": list(self.roles.past),
            "future": list(self.roles.future),
            "static": list(self.roles.static),
            "window": run.model.past_steps,
            "horizon": run.model.horizon,
            "levels": level_names(run.model.levels),
            "season": run.baselines.season,
            "step": None if calendar is None else calendar.step_name,
            "series": list(run.scaler.scales)[:SHOWN],
        }

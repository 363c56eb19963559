"""Forecasts while series arrive line by line: after each line, that of its series so far."""

from __future__ import annotations

import csv
import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from elman.data.linefile import InputLine
from elman.data.series_columns import IDS, TARGETS, TIMES, SeriesColumns
from elman.data.table import number
from elman.tasks.exchange import Answer, Inputs, Say, Trained
from elman.tasks.forecasting.cache import ForecastCache
from elman.tasks.forecasting.growing import GrowingSeries
from elman.tasks.forecasting.prediction import answered, csv_line, missing_ahead, not_ahead


def streamed(run: Trained, inputs: Inputs, say: Say) -> Iterator[Answer]:
    """An answer for each line but a header: a number, empty where it is missing, or a row of several columns.

    A row of a time that was there before takes its place: the columns that are known ahead come before their values.
    """
    reader, said, begun = RowReader(run.columns), set[str](), False
    series: dict[str, GrowingSeries] = {}
    cache = ForecastCache(run.model)

    def say_once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    for place, line in enumerate((line for block in inputs.arriving for line in block), 1):
        try:
            if (row := reader.read(line)) is None:
                continue
            name, time = reader.place(row, place)
            panel = series.setdefault(name, GrowingSeries(run, inputs.name)).panel(time, row)
        except ValueError as error:
            reason = _without_row(str(error), inputs.name)
            yield Answer(place, None, [""], {"line": place, "error": reason}, reason)
            continue
        if lacking := int(missing_ahead(run, panel).max(initial=0)):
            say_once(f"{inputs.name}: a forecast needs {' and '.join(panel.roles.future)} of the steps to come, too")
            expected = str(not_ahead(panel, 0, run.model.horizon, lacking))
            yield Answer(place, None, [""], {"line": place, "expected": expected})
            continue
        found = [row for each in answered(run, panel, say_once, cache) for row in each]
        header = [] if begun or not found else [csv_line(found[0].keys())]
        begun = begun or bool(found)
        yield Answer(place, found, [*header, *(csv_line(row.values()) for row in found)], {"forecast": found})


def _without_row(error: str, name: str) -> str:
    """An error of a line, without the place that its row has in the table of the series so far.

    >>> _without_row("stdin, row 7, column 'ds': expected a time", "stdin")
    "column 'ds': expected a time"
    """
    return re.sub(rf"^{re.escape(name)}, row \d+(, |: )", "", error)


class RowReader:
    """What the lines say: each is a number, or each is a row, as an object of JSON or as CSV below a header."""

    def __init__(self, columns: SeriesColumns) -> None:
        self.columns = columns
        further = [*(columns.past or ()), *columns.future, *(columns.static or ())]
        self.needed = [columns.target or TARGETS[0], *further] if further else []
        self.header: list[str] | None = None
        self.kind: type | None = None  # of the first line that says something

    def read(self, line: InputLine) -> float | Mapping[str, Any] | None:
        """A number, or a row by its columns; None for a header. Raises `ValueError` for any other line."""
        if line.error:
            raise ValueError(line.error)
        found = self._read(line.text)
        if found is not None and self.kind not in (None, type(found)):
            expected = "a number" if self.kind is float else "a row"
            raise ValueError(f"expected {expected} as before, got {reprlib.repr(line.text)}")
        self.kind = self.kind or (None if found is None else type(found))
        return found

    def _read(self, text: str) -> float | dict[str, Any] | None:
        if text.lstrip().startswith("{"):
            try:
                return dict(json.loads(text))
            except (ValueError, RecursionError):
                raise ValueError(f"expected an object of JSON, got {reprlib.repr(text)}") from None
        cells = [cell.strip() for cell in next(csv.reader([text]), [])]
        if self.header is not None:
            if len(cells) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells as the header has, got {len(cells)}")
            return dict(zip(self.header, cells, strict=True))
        value = number(text)
        names = (*TIMES, *TARGETS, self.columns.target, self.columns.time)
        if value is None and self.kind is None and len({*cells}) == len(cells) > 1 and any(c in names for c in cells):
            self.header = cells
            return None
        if self.needed:
            needed = f"a row of a time and {', '.join(self.needed)}, as an object of JSON or as CSV below a header"
            raise ValueError(f"expected {needed}, got {reprlib.repr(text)}")
        if value is None:
            raise ValueError(f"expected a number, got {reprlib.repr(text)}")
        return value

    def place(self, row: float | Mapping[str, Any], line: int) -> tuple[str, Any]:
        """The series of a row, and its time there: the number of its line where it is but a number."""
        if not isinstance(row, Mapping):
            return "", line
        series, time = _cell(row, self.columns.id, IDS), _cell(row, self.columns.time, TIMES)
        return str(series), line if time is None else str(time)


def _cell(row: Mapping[str, Any], name: str | None, usual: tuple[str, ...]) -> Any:
    """What a row has in the column with a name, or with one of the usual names."""
    return row.get(name or next((each for each in row if each.lower() in usual), ""))

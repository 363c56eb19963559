"""Data frames and arrays as plain values of Python: text, numbers, None where a value is missing, times as ISO text."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.errors import UserError, missing_extra

if TYPE_CHECKING:
    from elman.data.timestamps import Times

LIBRARIES = ("pandas", "polars", "pyarrow", "modin", "narwhals")  # whose frames and columns narwhals reads


def is_frame(data: object) -> bool:
    """Whether an object is a data frame, and not a column of one."""
    return _is_of_a_library(data) and not is_column(data)


def is_column(data: object) -> bool:
    """Whether an object is a column of a data frame."""
    return _is_of_a_library(data) and hasattr(_narwhals().from_native(data, allow_series=True), "to_list")


def with_rows(data: Any, keys: Collection[str]) -> Any:
    """The same data with rows of a pandas frame, which look like columns, as objects by the frame's columns.

    A row is what has one of the `keys` in its index: `frame.iloc[0]` has "text" where a column has numbers of rows.
    """
    if type(data) is list:
        return [with_rows(each, keys) for each in data]
    if not (_is_of_a_library(data) and is_column(data)) or {*keys}.isdisjoint(getattr(data, "index", ())):
        return data
    return dict(data.items())


def plain(data: Any, where: str = "data") -> Any:
    """The same data without numpy, torch and libraries of data frames.

    A frame becomes a list of its rows as dicts, a column or an array the list (of lists) of its values; a missing value
    is None. Times are ISO text, with their offset where they have one. Tuples, lists and dicts stay what they are.

    >>> plain(np.array([[1.0, np.nan], [2.5, 3.0]]))
    [[1.0, None], [2.5, 3.0]]

    Raises:
        UserError: a value `where` it is named is neither text nor a finite number, a time or missing; or narwhals is
            not installed.
    """
    if _is_of_a_library(data):
        return _from_library(data, where)
    if isinstance(data, np.ndarray | np.generic) or hasattr(data, "__array__"):
        return _from_array(data, where)
    if isinstance(data, Mapping):
        return {name: plain(value, where) for name, value in data.items()}
    if type(data) in (list, tuple):
        return type(data)([plain(value, where) for value in data])
    return _value(data, where) if isinstance(data, float | datetime.date | decimal.Decimal) else data


def as_frame(records: Sequence[Mapping[str, Any]], like: Any) -> Any:
    """Rows as a data frame of the library of `like`; texts are times again where `like` has a column of times.

    Times may be written in any way that `parse_times` reads, such as 2024-01-31 09:00 or 2024Q1: a run writes them as
    the table of its training did. A column that `like` has as texts, such as one of ids, stays what it is.
    """
    narwhals = _narwhals()
    frame = narwhals.from_native(_with_index(like))
    schema = frame.collect_schema()
    times = [kind for kind in schema.values() if kind.is_temporal()]
    columns = {name: [record[name] for record in records] for name in (records[0] if records else ())}
    made = narwhals.from_dict(columns, backend=narwhals.get_native_namespace(frame))
    for name, texts in columns.items() if times else ():
        temporal = name not in schema or schema[name].is_temporal()
        if temporal and all(isinstance(text, str) for text in texts) and (found := _times(texts)):
            made = made.with_columns(_as_times(name, found, times[0], made))
    return made.to_native()


def _times(texts: Sequence[str]) -> Times | None:
    """The times that the texts are, None where one is none, or is a number."""
    from elman.data.timestamps import parse_times

    try:
        found = parse_times(texts, str)
    except UserError:
        return None
    return None if found.kind == "integer" else found


def _as_times(name: str, times: Times, kind: Any, frame: Any) -> Any:
    """A column of times of a kind, for a frame of narwhals."""
    from elman.data.timestamps import EPOCH, MICROSECOND

    narwhals = _narwhals()
    zone = getattr(kind, "time_zone", None)
    values = [EPOCH + instant * MICROSECOND for instant in times.instants.tolist()]
    backend = narwhals.get_native_namespace(frame)
    found = narwhals.new_series(name, values, narwhals.Datetime("us"), backend=backend)
    if kind == narwhals.Date:
        return found.dt.date()
    return found.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else found


def _is_of_a_library(data: object) -> bool:
    return type(data).__module__.partition(".")[0] in LIBRARIES


def _narwhals() -> Any:
    try:
        import narwhals
    except ImportError:
        raise missing_extra("narwhals", "tables", "data frames") from None
    return narwhals


def _from_library(data: Any, where: str) -> Any:
    narwhals = _narwhals()
    frame = narwhals.from_native(_with_index(data), allow_series=True)
    if isinstance(frame, narwhals.Series):
        return [_value(value, where) for value in frame.to_list()]
    frame = frame.collect() if isinstance(frame, narwhals.LazyFrame) else frame
    columns = {str(name): plain(frame[name].to_native(), f"column {name}") for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _with_index(frame: Any) -> Any:
    """A pandas frame with its index as columns, where that has names or is of times: others only number the rows."""
    if not (hasattr(frame, "reset_index") and hasattr(frame, "columns")):
        return frame
    if any(name is not None for name in frame.index.names):
        return frame.reset_index()
    return frame.rename_axis("ds").reset_index() if frame.index.dtype.kind == "M" else frame


def _from_array(data: Any, where: str) -> Any:
    array = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    if array.dtype.kind in "biuUS" or (array.dtype.kind == "f" and np.isfinite(array).all()):
        return array.tolist()
    if array.dtype.kind in "fO":
        return plain(array.tolist(), where) if array.ndim else _value(array.item(), where)
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array).astype(object)
        texts[np.isnat(array)] = None
        return texts.tolist()
    raise UserError(where, expected="texts, numbers or times", got=f"an array of {array.dtype}", exit_code=2)


def _value(value: Any, where: str) -> Any:
    """A value of a cell."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | decimal.Decimal):
        if math.isinf(value):
            raise UserError(where, expected="finite numbers, or missing ones", got="an infinite one", exit_code=2)
        return None if math.isnan(value) else float(value)
    kind = type(value).__name__
    if kind in ("NAType", "NaTType"):  # pandas' own None
        return None
    if isinstance(value, datetime.date):  # and datetimes
        return value.isoformat()
    if isinstance(value, list | tuple | Mapping) or hasattr(value, "__array__"):
        return plain(value, where)
    if kind == "Period":
        return str(value)
    raise UserError(where, expected="texts, numbers or times", got=f"a {kind}", exit_code=2)

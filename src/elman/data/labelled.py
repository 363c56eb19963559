"""Examples with a label each, as they stand in files: texts, or series of real numbers."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from elman.data.labels import Kind, Label
from elman.data.table import number
from elman.data.timeseries import Series
from elman.errors import UserError

Part: TypeAlias = Literal["train", "test"]  # of a source that has both


@dataclass(frozen=True)
class LabelColumns:
    """The names of columns or keys, and what separates several labels in one cell."""

    text: str = "text"
    values: str = "values"
    label: str = "label"
    id_column: str = "id"
    time_column: str = "time"
    separator: str = "|"


@dataclass(frozen=True)
class Labelled:
    """N examples: all texts, or all series (T, D) of the same D, with T at least 1.

    `cells` are the labels as they stand in the file; `places` say where each example stands, for errors; `numeric` says
    that the file itself calls its labels numbers.
    """

    name: str
    inputs: list[Any]
    cells: list[Any] | None  # None: the file has no labels
    places: list[str] = field(repr=False)
    numeric: bool = False
    ids: list[str] | None = None  # of the series of a long table

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UserError(f"{self.name} holds no examples", remedy="give some, with different labels")
        if self.series:
            channels = self.inputs[0].shape[1]
            for series, place in zip(self.inputs, self.places, strict=True):
                if series.shape[1] != channels:
                    expected = f"as many channels as in {self.places[0]}, {channels}"
                    raise UserError(place, expected=expected, got=series.shape[1])

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def series(self) -> bool:
        """Whether the inputs are series."""
        return not isinstance(self.inputs[0], str)

    def labels(self, kind: Kind, separator: str = "|") -> list[Label]:
        """The labels as classes, as numbers, or as several classes each.

        Raises `UserError` with the place of a label that is missing, or is none of the kind.
        """
        if self.cells is None:
            remedy = "give a label for each example; in a table, --set data.label=NAME names their column"
            raise UserError(f"{self.name} holds no labels", remedy=remedy)
        placed = zip(self.cells, self.places, strict=True)
        return [label_of(cell, place, kind, separator) for cell, place in placed]


def label_of(cell: Any, place: str, kind: Kind, separator: str = "|") -> Label:
    """A cell as a label. Raises `UserError`, which begins with the place.

    >>> label_of(" a|b ", "", "class"), label_of("a|b", "", "several"), label_of("-1e1", "", "number")
    ('a|b', ('a', 'b'), -10.0)
    """
    if kind == "several":
        parts = cell if isinstance(cell, list | tuple) else [] if cell is None else _name(cell, place).split(separator)
        return tuple(sorted(dict.fromkeys(filter(None, (_name(part, place) for part in parts)))))
    if kind == "number":
        value = number(cell)
        if value is None or math.isnan(value):
            remedy = "" if value is None else "leave out the examples whose label is not known"
            raise UserError(place, expected="a label that is a number", got=reprlib.repr(cell), remedy=remedy)
        return value
    name = "" if cell is None else _name(cell, place)
    if not name:
        remedy = "leave it out, or name a class for those without a label"
        raise UserError(place, expected="a label", got="none", remedy=remedy)
    return name


def _name(cell: Any, place: str) -> str:
    if not isinstance(cell, str | int | float):
        several = isinstance(cell, list | tuple)
        remedy = "--set data.multilabel=true where an example has several labels" if several else ""
        raise UserError(place, expected="one label", got=reprlib.repr(cell), remedy=remedy)
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell).strip()


def series_of(cell: Any, place: str) -> Series:
    """The values of a series (T, D) from nested lists or an array: T numbers, or T rows of D; None and NaN are missing.

    Raises `UserError`, which begins with the place.
    """
    expected = "a list of numbers, or of rows of equally many numbers"
    try:
        values = np.array(cell, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        ragged = "inhomogeneous" in str(error)
        got = "rows of different lengths" if ragged else reprlib.repr(cell)
        remedy = "write null where a value is missing" if ragged else ""
        raise UserError(place, expected=expected, got=got, remedy=remedy) from None
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        got = "no values" if not values.size else f"{values.ndim} levels of lists"
        raise UserError(place, expected=expected, got=got)
    if np.isinf(values).any():
        raise UserError(
            place, expected="finite numbers", got="an infinite one", remedy="write null where it is missing"
        )
    return values


def records(data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
    """Data in memory as lines of JSON: as many labels as texts or series, or objects of both; None for other data.

    Raises `UserError` where there are not as many labels as inputs.
    """
    if not isinstance(data, list | tuple) or not data:
        return None
    if targets is None:
        both = all(isinstance(each, Mapping) and "label" in each and {"text", "values"} & {*each} for each in data)
        return data if both else None
    if not isinstance(targets, list | tuple):
        return None
    texts = all(isinstance(each, str) for each in data)
    if not texts and not all(isinstance(each, list | tuple) and _is_series(each) for each in data):
        return None
    if len(targets) != len(data):
        raise UserError("targets", expected=f"as many as there are inputs, {len(data):,}", got=f"{len(targets):,}")
    key = "text" if texts else "values"
    return ({key: each, "label": label} for each, label in zip(data, targets, strict=True))


def _is_series(steps: Sequence[Any]) -> bool:
    """Whether a list begins as a series does: with a number or a missing one, or a row of these."""
    first = steps[0] if steps else ""
    return all(isinstance(each, int | float | None) for each in (first if isinstance(first, list | tuple) else [first]))

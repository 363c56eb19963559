"""Series as sessions tell them, and the panel that a table of them would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Floats
from elman.data.calendar import Calendar
from elman.data.panel import Panel
from elman.data.series_columns import Roles
from elman.data.timestamps import parse_times
from elman.errors import UserError
from elman.settings import Section

ABOUT = ("ds", "id", "static")  # what a feed may say of the series, before its first value


class SeriesNotes(Section):
    """What a session has said of its series."""

    ds: str | int | None = None  # the time of its first value; None: steps are counted from 0
    id: str | None = None  # one of the training's series has the scale that it had there
    static: dict[str, Any] | None = None  # columns that do not change


class Told(NamedTuple):
    """A series as a session has told it."""

    rows: Floats  # (T, C)
    ds: str | int | None
    id: str | None
    static: Mapping[str, Any]


def panel_of(series: Sequence[Told], roles: Roles, calendar: Calendar) -> Panel:
    """The panel that a table of these series is: each begins with its first value, and ends with its last.

    Each has a value. Columns that are known ahead go on beyond the last one.
    """
    there = [np.flatnonzero(~np.isnan(one.rows[:, 0])) for one in series]
    kept = [one.rows[at[0] : None if roles.future else at[-1] + 1] for one, at in zip(series, there, strict=True)]
    begun = [(0, 0) if one.ds is None else start_of(calendar, one.ds) for one in series]
    values, past = np.concatenate(kept), 1 + len(roles.past)
    return Panel(
        "a session",
        calendar,
        tuple(one.id or "" for one in series),
        np.array([start + int(at[0]) * calendar.step for (start, _), at in zip(begun, there, strict=True)]),
        np.array([offset for _, offset in begun]),
        np.cumsum([0, *map(len, kept)]),
        np.array([at[-1] - at[0] + 1 for at in there]),
        values[:, 0],
        values[:, 1:past],
        values[:, past:],
        {name: [one.static[name] for one in series] for name in roles.static},
        roles,
    )


def start_of(calendar: Calendar, ds: str | int) -> tuple[int, int]:
    """The place of a time on the line of a calendar, and how far its clock is ahead of UTC."""
    times = parse_times([ds], lambda row: "ds")
    position = calendar.positions(times, "ds")
    if not calendar.fits(times).all():
        raise UserError("ds", expected=calendar.day_name, got=repr(ds))
    return int(position[0]), int(times.offsets[0])

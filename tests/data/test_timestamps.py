"""Times as people write them, and the calendars of series."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.calendar import Calendar, find_calendar
from elman.data.timestamps import DAY, SECOND, Times, parse_times, written
from elman.errors import UserError

HOUR = 3600 * SECOND


def place(row: int) -> str:
    return f"f.csv, line {row + 2}"


def parsed(*cells: object) -> Times:
    return parse_times(cells, place)


def calendar_of(cells: list[str], series: list[int] | None = None) -> Calendar:
    times = parse_times(cells, place)
    return find_calendar(times, np.array(series or [0] * len(cells)), "f.csv")


@given(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)), st.sampled_from([" ", "T"]))
def test_iso_times_are_read_as_python_reads_them(time: datetime, separator: str) -> None:
    text = time.isoformat(separator)
    times = parsed(text)
    assert times.kind == "naive"
    assert timedelta(microseconds=int(times.wall[0])) == time - datetime(1970, 1, 1)
    assert written(int(times.wall[0]), text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01", "2024-03-01"),
        ("2024/3/1 09:30", "2024-03-01 09:30"),
        ("2024-03", "2024-03-01"),
        ("2024Q3", "2024-07-01"),
        ("2024-03-01T09:30:00.000000000", "2024-03-01 09:30"),
    ],
)
def test_other_unambiguous_forms(text: str, expected: str) -> None:
    assert parsed(text).wall[0] == (datetime.fromisoformat(expected) - datetime(1970, 1, 1)) / timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["2024-01-01", "03/04/2024"], ["line 3", "day and month look alike", "write the year first"]),
        (["2024-01-01", "soon"], ["line 3", "'soon'", "expected a time"]),
        (["2024-01-01", ""], ["line 3", "got none"]),
        (["2024-01-01", None], ["line 3", "got none"]),
        (["2024-02-30"], ["line 2", "2024-02-30"]),
        (["2024-01-01", "7"], ["line 2", "of one kind", "'7' in f.csv, line 3"]),
        (["2024-01-01T00:00", "2024-01-01T01:00+01:00"], ["line 2", "line 3", "offset from UTC behind each"]),
        (["20240131", "20240201"], ["line 2", "a number or a day", "write 2024-01-31"]),
        ([True, False], ["line 2", "'True'"]),
        (["99999999999999999999"], ["line 2", "expected a time"]),
        (["2024-01-01", "9999-12-31"], ["line 3", "expected a time"]),
    ],
)
def test_times_that_are_none_or_one_of_two_are_refused(cells: list[object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parsed(*cells)
    assert all(word in str(error.value) for word in words), error.value


def test_whole_numbers_are_times_as_well() -> None:
    assert parsed("3", -4, 5.0).wall.tolist() == [3, -4, 5]
    assert parsed(1700, 1701).kind == "integer"


def test_hours_with_offsets_over_changes_of_the_clock_are_all_there() -> None:
    """In Lisbon's hours of 2024, in UTC: no hour is missing in March, none is double in October."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    hours = [(begin + timedelta(hours=n)).astimezone(ZoneInfo("Europe/Lisbon")).isoformat() for n in range(366 * 24)]
    calendar = calendar_of(hours)
    assert (calendar.unit, calendar.step, calendar.local, calendar.season(9999)) == ("microsecond", HOUR, False, 24)
    assert set(np.diff(calendar.positions(parsed(*hours))).tolist()) == {HOUR}
    last = int(calendar.positions(parsed(hours[-1]))[0])
    assert calendar.texts(last, 2, 0) == ["2025-01-01T00:00:00+00:00", "2025-01-01T01:00:00+00:00"]


def test_days_with_offsets_are_days_of_the_wall() -> None:
    """Midnights of Berlin are 23 and 25 hours apart when clocks are changed."""
    days = [datetime(2024, 3, 25, tzinfo=ZoneInfo("Europe/Berlin")) + timedelta(days=n) for n in range(14)]
    texts = [day.isoformat() for day in days]
    assert len({text[-6:] for text in texts}) == 2
    calendar = calendar_of(texts)
    assert (calendar.step, calendar.local, calendar.season(99)) == (DAY, True, 7)
    assert set(np.diff(calendar.positions(parsed(*texts))).tolist()) == {DAY}
    assert calendar.texts(int(parsed(texts[-1]).wall[0]), 1, 2 * HOUR) == ["2024-04-08T00:00:00+02:00"]


MONTH_ENDS = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]


@pytest.mark.parametrize(
    ("cells", "name", "season", "after"),
    [
        (["2024-01-01", "2024-02-01", "2024-03-01"], "1 month", 12, ["2024-04-01", "2024-05-01"]),
        (MONTH_ENDS, "1 month", 12, ["2024-05-31", "2024-06-30"]),
        (["2024-01-31", "2024-04-30", "2024-07-31"], "3 months", 4, ["2024-10-31", "2025-01-31"]),
        (["2024-11", "2024-12"], "1 month", 12, ["2025-01", "2025-02"]),
        (["2023Q3", "2023Q4"], "3 months", 4, ["2024Q1", "2024Q2"]),
        (["2020-01-01", "2021-01-01"], "12 months", 1, ["2022-01-01", "2023-01-01"]),
        (["2024-01-01", "2024-01-02"], "1 day", 7, ["2024-01-03", "2024-01-04"]),
        (["2024-01-06", "2024-01-13"], "1 week", 52, ["2024-01-20", "2024-01-27"]),
        (["2024-01-01 00:00", "2024-01-01 00:15"], "15 minutes", 96, ["2024-01-01 00:30", "2024-01-01 00:45"]),
        (["2024-01-01T00:00Z", "2024-01-01T06:00Z"], "6 hours", 4, ["2024-01-01T12:00Z", "2024-01-01T18:00Z"]),
        (["1700", "1701", "1703"], "1 step", 1, ["1704", "1705"]),
        (["0", "10", "20", "40"], "10 steps", 1, ["50", "60"]),
    ],
)
def test_the_step_of_a_calendar_and_its_season(cells: list[str], name: str, season: int, after: list[str]) -> None:
    for _ in range(3):
        calendar = calendar_of(cells)
        assert (calendar.step_name, calendar.season(10**6)) == (name, season)
        last = max(calendar.positions(parsed(*cells)).tolist())
        assert calendar.texts(last, 2, 0) == after
        assert calendar.season(1) == 1, "a series of one step has no season"
        random.shuffle(cells)


def test_business_days_have_no_weekends() -> None:
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(26)]
    texts = [day.isoformat() for day in days if day.weekday() < 5]
    calendar = calendar_of(texts)
    assert (calendar.unit, calendar.season(99)) == ("business day", 5)
    assert np.diff(calendar.positions(parsed(*texts))).tolist() == [1] * 19
    assert calendar.texts(int(calendar.positions(parsed(texts[-1]))[0]), 2, 0) == ["2024-01-29", "2024-01-30"]
    assert not calendar.fits(parsed("2024-01-27"))[0]
    assert calendar_of(texts[:9]).unit == "microsecond", "too few days to tell"


@settings(max_examples=30)
@given(st.integers(1, 50), st.sets(st.integers(0, 40), min_size=2), st.integers(-(10**6), 10**6))
def test_steps_that_are_missing_do_not_change_the_step(step: int, kept: set[int], start: int) -> None:
    whole = [start + step * n for n in (*range(50, 100), *sorted(kept))]
    assert calendar_of([str(each) for each in whole]).step == step


def test_one_time_between_two_steps_does_not_make_a_half_of_them_missing() -> None:
    assert calendar_of([str(n) for n in (0, 2, 4, 6, 8, 9, 10, 12, 14, 16, 18, 20)]).step == 2


def test_a_calendar_needs_two_steps() -> None:
    with pytest.raises(UserError, match="expected a series of two steps or more, got one step of each"):
        calendar_of(["2024-01-01", "2024-01-02"], [0, 1])
    with pytest.raises(UserError, match="got several rows of a series at one time; name the column of the series' ids"):
        calendar_of(["2024-01-01", "2024-01-01"], [0, 0])

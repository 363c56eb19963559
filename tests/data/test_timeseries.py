from pathlib import Path

import numpy as np
import pytest

from elman.data.timeseries import read_ts
from elman.errors import UserError

HEADER = "# a comment\n@problemName x\n@timeStamps false\n\n@equalLength false\n@classLabel true A a yes? -1\n@data\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.ts"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_labels_and_values_are_as_they_were_written(tmp_path: Path) -> None:
    """Other readers lower-case labels, drop signs and exponents, and make yesNaN of yes?."""
    text = HEADER + "-1.5,2e-3,?:+4,NaN, 6 :A\r\n% a comment\n7:8:a\n1,2:3,4: yes? \n\n?,?:0,0:-1"
    found = read_ts(write(tmp_path, text))
    assert found.labels == ["A", "a", "yes?", "-1"]
    assert found.lines == [8, 10, 11, 13]
    nan = np.nan
    for series, expected in zip(
        found.series,
        ([[-1.5, 4], [2e-3, nan], [nan, 6]], [[7, 8]], [[1, 3], [2, 4]], [[nan, 0], [nan, 0]]),
        strict=True,
    ):
        np.testing.assert_array_equal(series, np.array(expected, np.float64))
    assert not found.numeric


def test_lengths_may_differ_where_the_header_promises_nothing(tmp_path: Path) -> None:
    found = read_ts(write(tmp_path, "@CLASSLABEL FALSE\n@DATA\n1,2,3\n4\n"))
    assert [len(series) for series in found.series] == [3, 1]
    assert found.labels is None


def test_targets_are_numbers(tmp_path: Path) -> None:
    found = read_ts(write(tmp_path, "@targetLabel true\n@data\n1,2:-0.5\n"))
    assert (found.labels, found.numeric) == (["-0.5"], True)


def test_large_values_keep_their_last_digits(tmp_path: Path) -> None:
    assert read_ts(write(tmp_path, "@data\n1700000001,1700000002\n")).series[0].tolist() == [[1700000001], [1700000002]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@timeStamps true\n@data\n", "line 1: expected series without time stamps, got time stamps; write the values"),
        ("@data\n(0,1.5),(1,2)\n", "line 2: expected series without time stamps"),
        (HEADER + "1,2:3:A\n", "line 8, channel 2: expected 2 values as in channel 1, got 1; write ? where"),
        (HEADER + "1,x:A\n", "line 8, channel 1: expected a number or ? for each step, got 'x'"),
        (HEADER + "1,,2:A\n", "line 8, channel 1: expected a number or ? for each step, got ''"),
        (HEADER + "1,inf:A\n", "got 'inf'"),
        (HEADER + ":A\n", "line 8, channel 1: expected a number"),
        (HEADER + "1,2\n", "line 8: expected channels and a label, with : before it, got '1,2'"),
        (HEADER + "1,2:\n", "line 8: expected channels and a label"),
        (HEADER + "1,2:B\n", "line 8: expected one of the labels that the header names (A, a, yes?, -1), got 'B'"),
        (HEADER + "1:2:A\n1:A\n", "line 9: expected 2 channels, got 1"),
        ("@dimensions 3\n@data\n1:2\n", "line 3: expected 3 channels, got 2"),
        ("@univariate true\n@data\n1:2\n", "line 3: expected 1 channel, got 2"),
        ("@equalLength true\n@data\n1,2\n1\n", "line 4: expected 2 steps as the header promises, got 1; write @equalL"),
        ("@seriesLength 3\n@data\n1,2\n", "line 3: expected 3 steps as the header promises, got 2"),
        ("@seriesLength x\n@data\n1,2\n", "line 1, @serieslength: expected a positive whole number, got x"),
        ("1,2:A\n", "line 1: expected a line of the header, which begins with @, got '1,2:A'"),
        ("@data\n", "expected series below @data, got none"),
        ("", "expected a line @data, and series below it, got none"),
        (b"@data\n\xff", "is not UTF-8 text: line 2, byte 6"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        read_ts(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)

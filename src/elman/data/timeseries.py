"""Series in files of the .ts format, as the UCR and UEA archives have them.

@timeStamps false
@classLabel true yes no
@data
1.5,?,2:0,0,1:yes        # channels between colons, values between commas, "?" where one is missing, the label last
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elman.data.table import number
from elman.data.textfile import decode, decompress, lines, open_binary
from elman.errors import UserError
from elman.wording import counted

Series = npt.NDArray[np.float64]  # (T, D), NaN where a value is missing

MISSING = "?"


@dataclass(frozen=True)
class SeriesFile:
    """The content of a .ts file. `labels` is None where the header promises none; `numeric` where they are targets."""

    series: list[Series]
    labels: list[str] | None
    lines: list[int]
    numeric: bool


@dataclass
class Header:
    """What the lines that begin with @ promise."""

    dimensions: int | None = None
    length: int | None = None
    equal: bool = False
    classes: list[str] | None = None  # an empty list: any
    numeric: bool = False


def read_ts(path: Path) -> SeriesFile:
    """The series of a .ts file, and their labels as they are spelt there.

    Raises `UserError` with the line that is malformed, or that does not keep what the header promises; and where the
    values have time stamps.
    """
    with open_binary(path) as raw:
        return _read(enumerate(lines(decode(decompress(raw, path), path)), 1), path)


def _read(numbered: Iterable[tuple[int, str]], path: Path) -> SeriesFile:
    header, within = Header(), False
    series, labels, places = list[Series](), list[str](), list[int]()
    for line, text in numbered:
        where, text = f"{path}, line {line}", text.strip()
        if not text or text.startswith(("#", "%")):
            continue
        if not within:
            within = _read_header(text, header, where)
            continue
        *channels, label = text.split(":") if header.classes is not None else [*text.split(":"), ""]
        if header.classes is not None and (not channels or not label.strip()):
            raise UserError(where, expected="channels and a label, with : before it", got=reprlib.repr(text))
        if header.classes and label.strip() not in header.classes:
            expected = f"one of the labels that the header names ({', '.join(header.classes[:8])})"
            raise UserError(where, expected=expected, got=reprlib.repr(label.strip()))
        one = _channels(channels, where)
        _check_shape(one, series, header, where)
        series.append(one)
        labels.append(label.strip())
        places.append(line)
    if not series:
        expected = "series below @data" if within else "a line @data, and series below it"
        raise UserError(f"{path}", expected=expected, got="none")
    return SeriesFile(series, None if header.classes is None else labels, places, header.numeric)


def _read_header(text: str, header: Header, where: str) -> bool:
    """Take a line of the header; whether the data begin below it."""
    name, *values = text.split()
    name, word = name.lower(), values[0].lower() if values else ""
    if not name.startswith("@"):
        raise UserError(where, expected="a line of the header, which begins with @", got=reprlib.repr(text))
    if name == "@data":
        return True
    if name == "@timestamps" and word == "true":
        raise _time_stamped(where)
    if name in ("@dimensions", "@dimension", "@serieslength"):
        if not word.isdecimal() or not int(word):
            raise UserError(f"{where}, {name}", expected="a positive whole number", got=word or "nothing")
        field = "length" if name == "@serieslength" else "dimensions"
        setattr(header, field, int(word))
    elif name == "@univariate" and word == "true":
        header.dimensions = 1
    elif name == "@equallength":
        header.equal = word == "true"
    elif name in ("@classlabel", "@targetlabel") and word == "true":
        header.classes, header.numeric = values[1:], name == "@targetlabel"
    return False


def _channels(channels: list[str], where: str) -> Series:
    """Values of every channel, of equally many steps: (T, D)."""
    if any("(" in channel for channel in channels):
        raise _time_stamped(where)
    values = []
    for at, channel in enumerate(channels, 1):
        cells = channel.split(",")
        found = [number("" if cell.strip() == MISSING else cell or "empty") for cell in cells]
        if None in found:
            expected, got = f"a number or {MISSING} for each step", repr(cells[found.index(None)].strip())
            raise UserError(f"{where}, channel {at}", expected=expected, got=got)
        values.append(found)
        if len(found) != len(values[0]):
            expected = f"{len(values[0])} values as in channel 1"
            remedy = f"write {MISSING} where a value is missing"
            raise UserError(f"{where}, channel {at}", expected=expected, got=len(found), remedy=remedy)
    return np.array(values, np.float64).T


def _check_shape(one: Series, before: list[Series], header: Header, where: str) -> None:
    steps, channels = one.shape
    dimensions = header.dimensions or (before[0].shape[1] if before else channels)
    if channels != dimensions:
        raise UserError(where, expected=counted(dimensions, "channel"), got=channels)
    length = header.length or (before[0].shape[0] if before and header.equal else steps)
    if steps != length:
        remedy = "write @equalLength false, without @seriesLength, where lengths differ"
        raise UserError(where, expected=f"{length} steps as the header promises", got=steps, remedy=remedy)


def _time_stamped(where: str) -> UserError:
    remedy = "write the values alone, one for each step (and @timeStamps false), or a long table of id, time and values"
    return UserError(where, expected="series without time stamps", got="time stamps", remedy=remedy)

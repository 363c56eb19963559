"""The wire format of protocol buffers, read with bounds.

A message is a number of fields: a varint with the field's number and its type of wire, then the value. Nothing is
allocated for a size that a header claims: what is read are slices of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from elman.reading import Unreadable

DEEPEST = 16  # messages in messages
MOST = 500_000  # fields of all messages together

Kind: TypeAlias = Literal["int", "text", "bytes"]


class Field(NamedTuple):
    """A field of a message: its name, what it holds, and whether there may be several."""

    name: str
    kind: Kind | str  # else the name of a message
    repeated: bool = False


Schema: TypeAlias = Mapping[str, Mapping[int, Field]]
"""The fields of messages by their numbers; a field without a name here is passed over."""
Message: TypeAlias = dict[str, Any]
"""The values of the fields that are there by name, of repeated ones as lists."""


class WireReader:
    """Reads messages of a schema from bytes. Errors: `Unreadable`, which begins with `where`."""

    def __init__(self, schema: Schema, data: memoryview, where: str) -> None:
        self._schema, self._data, self._where, self._fields = schema, data, where, 0

    def message(self, name: str) -> Message:
        """The whole data as one message."""
        return self._message(name, 0, len(self._data), DEEPEST)

    def _message(self, name: str, start: int, end: int, deep: int) -> Message:
        if not deep:
            raise self._damaged(f"messages nested deeper than {DEEPEST}")
        fields, found = self._schema[name], Message()
        for number, wire, value in self._raw(start, end):
            field = fields.get(number)
            if field is None:
                continue
            values = list(self._values(field, wire, value, deep))
            if field.repeated:
                found.setdefault(field.name, []).extend(values)
            elif values:
                found[field.name] = values[-1]
        return found

    def _raw(self, at: int, end: int) -> Iterator[tuple[int, int, int | tuple[int, int]]]:
        """Number, wire type and value of each field: a number, or where the field begins and ends."""
        while at < end:
            self._fields += 1
            if self._fields > MOST:
                raise self._damaged(f"more than {MOST} fields")
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, at = self._varint(at, end)
                yield number, wire, value
                continue
            if wire == 2:
                length, at = self._varint(at, end)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise self._damaged(f"a field of the unknown type {wire}")
            if length > end - at:
                raise self._damaged(f"a field of {length} bytes where {end - at} are left")
            yield number, wire, (at, at + length)
            at += length

    def _values(self, field: Field, wire: int, value: int | tuple[int, int], deep: int) -> Iterator[Any]:
        """The values of one field on the wire; of a packed one, all."""
        if isinstance(value, int):
            if field.kind == "int":
                yield _signed(value)
                return
        else:
            start, end = value
            if field.kind == "bytes":  # numbers of a fixed size, too, one or several
                yield self._data[start:end]
                return
            if wire == 2 and field.kind in self._schema:
                yield self._message(field.kind, start, end, deep - 1)
                return
            if wire == 2 and field.kind == "text":
                yield self._text(start, end)
                return
            if wire == 2:
                yield from self._packed(start, end)
                return
        raise self._damaged(f"{field.name} is of another type")

    def _packed(self, at: int, end: int) -> Iterator[int]:
        self._fields += end - at
        if self._fields > MOST:
            raise self._damaged(f"more than {MOST} fields")
        while at < end:
            value, at = self._varint(at, end)
            yield _signed(value)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """A number of 64 bits, seven in a byte, and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at
        raise self._damaged("a number without an end")

    def _text(self, start: int, end: int) -> str:
        try:
            return str(self._data[start:end], "utf-8")
        except UnicodeDecodeError:
            raise self._damaged("a name that is no UTF-8") from None

    def _damaged(self, complaint: str) -> Unreadable:
        return Unreadable(f"{self._where} is damaged ({complaint})")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value

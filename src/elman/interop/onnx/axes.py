"""The axes of a value of a graph: which dimension is the batch, which is time, and which are features.

A value of a `LayeredModel` is (B, T, F) or (B, F). The same value stands in an ONNX graph in any order of axes, its
features split into several dimensions (directions and units), or several axes in one dimension (batch and time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple, TypeAlias


class Atom(NamedTuple):
    """A part of an axis that is in one dimension."""

    axis: str  # "batch", "time", "reversed" (time from its end), or "features"
    size: int = 0  # of features
    stride: int = 0  # of features: how far their numbers lie apart in F


Dims: TypeAlias = tuple[tuple[Atom, ...], ...]
"""The atoms of each dimension, the outermost first; a dimension without atoms is of size 1."""
BATCH, TIME, REVERSED = Atom("batch"), Atom("time"), Atom("reversed")
SYMBOLS = {"batch": "batch", "time": "time", "reversed": "time"}  # whose size an axis has


class Size(NamedTuple):
    """A size that may be a multiple of the batch's or of the time's."""

    number: int
    symbols: tuple[str, ...] = ()  # sorted

    def times(self, other: Size) -> Size:
        """The product."""
        return Size(self.number * other.number, tuple(sorted(self.symbols + other.symbols)))

    def over(self, other: Size) -> Size | None:
        """The quotient, if it is one."""
        symbols = list(self.symbols)
        for symbol in other.symbols:
            if symbol not in symbols:
                return None
            symbols.remove(symbol)
        if not other.number or self.number % other.number:
            return None
        return Size(self.number // other.number, tuple(symbols))


ONE = Size(1)


def features(size: int) -> tuple[Atom, ...]:
    """The atoms of all features."""
    return () if size == 1 else (Atom("features", size, 1),)


def joined(atoms: Sequence[Atom]) -> tuple[Atom, ...]:
    """Neighbours that lie behind one another in F as one.

    >>> joined((Atom("features", 2, 3), Atom("features", 3, 1)))
    (Atom(axis='features', size=6, stride=1),)
    """
    found: list[Atom] = []
    for atom in atoms:
        if atom.axis == "features" and atom.size == 1:
            continue
        if found and (last := found[-1]).axis == atom.axis == "features" and last.stride == atom.size * atom.stride:
            found[-1] = Atom("features", last.size * atom.size, atom.stride)
        else:
            found.append(atom)
    return tuple(found)


def size_of(atoms: Sequence[Atom], known: dict[str, int]) -> Size:
    """The size of a dimension, where `known` has the sizes of batch and time that are fixed."""
    size = ONE
    for atom in atoms:
        if atom.axis == "features":
            size = size.times(Size(atom.size))
        else:
            symbol = SYMBOLS[atom.axis]
            size = size.times(Size(known[symbol]) if symbol in known else Size(1, (symbol,)))
    return size


def reshaped(dims: Dims, target: Sequence[Size], known: dict[str, int]) -> tuple[Dims, dict[str, int]] | None:
    """The dimensions after a reshape to sizes, of which one may be -1, and the sizes that the graph fixes by it.

    None where the sizes cut through an axis of batch or time, or do not fit.
    """
    target = [_fixed(size, known) for size in target]
    atoms = joined([atom for dim in dims for atom in dim])
    wanted: list[Size | None] = [None if size == Size(-1) else size for size in target]
    if None in wanted:
        others = ONE
        for size in wanted:
            others = others.times(size or ONE)
        inferred = [size_of(atoms, known).over(others) if size is None else size for size in wanted]
        found = None if None in inferred else min(_partitions(atoms, inferred, known), key=_cost(dims), default=None)
        if found is not None and not found[1]:
            return found
    return min(_partitions(atoms, wanted, known), key=_cost(dims), default=None)


def _cost(dims: Dims) -> Callable[[tuple[Dims, dict[str, int]]], tuple[int, int]]:
    """Prefers what fixes no size, and keeps dimensions as they are."""
    return lambda found: (len(found[1]), -sum(a == b for a, b in zip(found[0], dims, strict=False)))


def _fixed(size: Size, known: dict[str, int]) -> Size:
    number = size.number * prod(known.get(symbol, 1) for symbol in size.symbols)
    return Size(number, tuple(symbol for symbol in size.symbols if symbol not in known))


def _partitions(
    atoms: tuple[Atom, ...], target: Sequence[Size | None], known: dict[str, int]
) -> Iterator[tuple[Dims, dict[str, int]]]:
    """Every way to cut the atoms into dimensions of the sizes; features may be cut into factors."""
    if not target:
        if not atoms:
            yield (), {}
        return
    for dim, rest, fixed in _taken(atoms, target[0], known):
        for dims, others in _partitions(rest, target[1:], known | fixed):
            yield (dim, *dims), fixed | others


def _taken(
    atoms: tuple[Atom, ...], size: Size | None, known: dict[str, int]
) -> Iterator[tuple[tuple[Atom, ...], tuple[Atom, ...], dict[str, int]]]:
    """Every beginning of the atoms of a size (None: of any), the rest, and the sizes that are fixed by it."""
    if size is None:
        yield from ((atoms[:n], atoms[n:], {}) for n in range(len(atoms) + 1))
        return
    if size == ONE:
        yield (), atoms, {}
    if not atoms:
        return
    first, rest = atoms[0], atoms[1:]
    if first.axis == "features":
        if not size.symbols and 0 < size.number < first.size and first.size % size.number == 0:
            inner = first.size // size.number
            yield (
                joined([Atom("features", size.number, first.stride * inner)]),
                (*joined([Atom("features", inner, first.stride)]), *rest),
                {},
            )
        remaining = size.over(Size(first.size))
    else:
        symbol = SYMBOLS[first.axis]
        if symbol not in known and not size.symbols and size.number > 0:
            yield (first,), rest, {symbol: size.number}
            return
        remaining = size.over(size_of([first], known))
    if remaining is not None:
        for more, after, others in _taken(rest, remaining, known):
            yield (first, *more), after, others

"""How listeners hear many sessions at once: which works are read together, and each row's memory before and after.

A model that keeps the state contract reads pieces of what is new, from the states of all sessions side by side. A model
that needs the whole reads again all that a session has read, which is then its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from elman.data.batches import cut_batches
from elman.data.tokenizers import StreamDecoder, Tokenizer
from elman.errors import UserError
from elman.lens.intervention import check_interventions
from elman.settings import Section
from elman.state import State, concatenate, entries, row_of
from elman.strict_json import finite
from elman.tasks.configuration import make_section
from elman.tasks.holding import HoldingOptions, HoldingRequest, Interventions
from elman.tasks.listening import Memory, Unit, Work

T = TypeVar("T")
CHUNK = 256  # units of a work that are read in a round, so that a long one keeps nobody waiting
TOGETHER = 8192  # units that are read together, padding included


class WholeMemory(NamedTuple):
    """The memory of a model that needs the whole: all that the session has read, as the model takes it."""

    inputs: Tensor  # (1, T, D)

    @property
    def stepwise(self) -> tuple[str, ...]:
        """What grows with every step."""
        return ("inputs",)


@dataclass(eq=False)
class FeedRequest(HoldingRequest):
    """The request of a feed, which is one work's own: its units, and what was said of those that were read."""

    units: Sequence[Unit]
    inputs: Any = None  # of each unit, as the model takes it
    top: int | None = None  # how many of the most probable names an answer has
    interventions: Interventions = ()
    before: Memory | None = None  # of the session, once the work has begun
    said: list[Any] = field(default_factory=list)  # of each piece

    def left(self, work: Work) -> int:
        """How many units are still to be read."""
        return len(self.units) - len(work.units)


class Asked(HoldingOptions):
    """What every feed may ask for."""

    units: list[Any] | None = Field(None, description="What a session has read before, to be read again.")
    top: int | None = Field(None, ge=0, description="How many of the most probable names an answer has.")


def one_form(
    kind: str, section: type[Asked], asked: Mapping[str, Any], forms: Sequence[str], model: nn.Module
) -> tuple[str, Any]:
    """The one form in which a feed is given, and the checked request.

    Raises `UserError` for another kind of work, an unknown key, a wrong value, no form, several forms, and for what
    cannot be held of the model.
    """
    if kind != "feed":
        raise UserError(kind, expected="a model that writes", got="one that reads", remedy="feed it")
    made = make_section(section, asked)
    given = [name for name in (*forms, "units") if getattr(made, name) is not None]
    if len(given) != 1:
        expected, got = f"one of {', '.join((*forms, 'units'))}", " and ".join(given) or "none"
        raise UserError("feed", expected=expected, got=got)
    check_interventions(model, made.set)
    return given[0], made


def in_batches(
    works: Sequence[Work], sizes: Sequence[int], read: Callable[[Sequence[Work]], None], *, once: bool = False
) -> None:
    """Call `read` with works of nearly equal sizes, at most `TOGETHER` units with padding; `once`: with the first ones.

    All works of a call hold the same. Works whose `read` fails are read by themselves, so that an error is that of its
    own work alone: such a work has its memory from before it again. `read` changes a work only where it does not fail.
    """
    for work in works:
        work.request.before = work.request.before or work.memory
    if once:  # those that have waited longest
        ends = np.maximum.accumulate(np.maximum(sizes, 1)) * np.arange(1, len(works) + 1)
        count = max(1, int(np.searchsorted(ends, TOGETHER, side="right")))
        works, sizes = works[:count], sizes[:count]
    lengths = np.maximum(np.array(sizes, np.int64), 1)
    for _, same in together_by(range(len(works)), lambda row: works[row].request.interventions):
        order = np.array(same)[np.argsort(lengths[same], kind="stable")]
        for rows in cut_batches(order, lengths[order], TOGETHER):
            _read_apart([works[row] for row in rows], read)


def together_by(items: Iterable[T], key: Callable[[T], Any]) -> list[tuple[Any, list[T]]]:
    """Items with the same key, in their order.

    >>> together_by("abAc", str.lower)
    [('a', ['a', 'A']), ('b', ['b']), ('c', ['c'])]
    """
    found: dict[Any, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.items())


def read_due(
    works: Sequence[Work],
    chunk: int,
    read_on: Callable[[Sequence[Work]], None],
    read_again: Callable[[Sequence[Work]], None] | None,
) -> None:
    """A round: a piece of each work, of `chunk` units at most; or, of a model that must, some works all again."""
    left = [work.request.left(work) for work in works]
    if read_again is None:
        in_batches(works, [min(chunk, count) for count in left], read_on)
    else:
        sizes = [work.memory.position + count for work, count in zip(works, left, strict=True)]
        in_batches(works, sizes, read_again, once=True)


def _read_apart(works: Sequence[Work], read: Callable[[Sequence[Work]], None]) -> None:
    try:
        read(works)
    except Exception as error:  # whatever a memory from outside makes torch raise
        if len(works) == 1:
            fail(works[0], error)
        else:
            middle = len(works) // 2
            _read_apart(works[:middle], read)
            _read_apart(works[middle:], read)


def fail(work: Work, error: Exception) -> None:
    """End a work with its error, its session's memory as it was before."""
    work.memory = work.request.before or work.memory
    work.units.clear()
    if not isinstance(error, UserError):
        wrong = UserError("the session's memory does not fit the model", got=f"{type(error).__name__}: {error}")
        wrong.__cause__ = error
        error = wrong
    work.error = error


@torch.no_grad()
def read_pieces(
    states: Sequence[State], lengths: Sequence[int], read: Callable[[State, Tensor | None], tuple[Any, State]]
) -> tuple[Any, list[State]]:
    """What a model says of a piece of each row, read from the row's state, and the states after the pieces.

    `read(state, lengths)` reads padded pieces (B, T) from the B rows of a state; lengths are None where all are equal.
    """
    same = min(lengths) == max(lengths) > 0
    said, after = read(concatenate(states), None if same else torch.tensor(lengths))
    sizes = [entries(state) + length for state, length in zip(states, lengths, strict=True)]
    return said, [row_of(after, row, size) for row, size in enumerate(sizes)]


def padded(pieces: Sequence[npt.NDArray[Any]]) -> Tensor:
    """Pieces (T, …) of any lengths as rows (B, T, …) of one step at least, with zeros behind."""
    rows = np.zeros((len(pieces), max(1, *map(len, pieces)), *pieces[0].shape[1:]), pieces[0].dtype)
    for row, piece in zip(rows, pieces, strict=True):
        row[: len(piece)] = piece
    return torch.from_numpy(rows)


def went_on(work: Work, state: State, notes: Mapping[str, Any], units: Sequence[Unit]) -> None:
    """A work has read units: its memory after them."""
    work.memory = Memory(state, notes, work.memory.position + len(units))
    work.units.extend(units)


def check_finite(said: Sequence[Mapping[str, Any]]) -> None:
    """Raise `UserError` where a number that a model said is none."""
    if any(finite(each) != each for each in said):
        remedy = "the values that were fed may be too large, or the session's memory holds such numbers"
        raise UserError("the model's answer", expected="numbers", got="one that is not finite", remedy=remedy)


def check_notes(memory: Memory, section: type[Section]) -> None:
    """Raise `UserError` where the notes of a memory from outside are not those of a section."""
    try:
        make_section(section, dict(memory.notes))
    except UserError as error:
        raise UserError(f"the memory's notes: {error}") from None


def texts_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[str]:
    """The text that each of some tokens adds to a text."""
    decoder = StreamDecoder(tokenizer)
    return [decoder.push(token) for token in tokens]


def most_probable(probabilities: Mapping[str, float], top: int | None) -> dict[str, float]:
    """The `top` most probable names, or all in their order.

    >>> most_probable({"a": 0.2, "b": 0.7, "c": 0.1}, 2)
    {'b': 0.7, 'a': 0.2}
    """
    if top is None:
        return dict(probabilities)
    return dict(sorted(probabilities.items(), key=lambda pair: -pair[1])[:top])

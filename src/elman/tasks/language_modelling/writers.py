"""What a session lets a language model write: tokens, drawn some at a time, and their text up to a stop string."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from elman.arrays import Floats
from elman.decode.arena import Draw
from elman.decode.stops import beginning, whole_tokens
from elman.tasks.configuration import make_section
from elman.tasks.holding import HoldingOptions, HoldingRequest, Interventions
from elman.tasks.language_modelling.settings import WritingOptions
from elman.tasks.language_modelling.turns import SPACING, Turn
from elman.tasks.listening import Memory

Alternatives = list[dict[str, Any]]
MOST_TOLD = 20  # alternatives that are told of a token


class ToldOptions(HoldingOptions):
    """What a request to write says beside `WritingOptions`."""

    stop: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field([], max_length=4)
    log_probabilities: int | None = Field(None, ge=0, le=MOST_TOLD)  # are told, with so many other tokens each
    drawn: int = Field(0, ge=0, lt=2**53)  # tokens that were drawn before with the seed, to go on as if at once


@dataclass(frozen=True)
class WritingRequest(HoldingRequest):
    """A checked request to write."""

    options: WritingOptions
    told: ToldOptions
    seed: int

    @property
    def interventions(self) -> Interventions:  # noqa: D102
        return self.told.set


def check_writing(asked: Mapping[str, Any]) -> WritingRequest:
    """The options of a request; tokens are 100 where nobody says how many. Raises `UserError` where it is not right."""
    told = {name: asked[name] for name in ToldOptions.model_fields if name in asked}
    options = make_section(WritingOptions, {"tokens": 100} | {key: asked[key] for key in asked if key not in told})
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    return WritingRequest(options, make_section(ToldOptions, told), seed)


@dataclass(eq=False)
class Tokens:
    """What was drawn of a text in a round."""

    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    top: list[Alternatives] = field(default_factory=list)
    ended: bool = False  # by the end of the document, or
    failed: bool = False  # because no token has a probability

    def add(self, ids: list[int], log_p: list[float], count: int, end: int | None) -> None:
        """Of these tokens, the first `count` were drawn."""
        whole = count == len(ids)
        self.ids += ids if whole else ids[:count]
        self.log_p += log_p if whole else log_p[:count]
        self.ended = not whole or self.ids[-1] == end
        self.failed = not whole and not (count and self.ids[-1] == end)


@dataclass(eq=False)
class Writer(Turn):
    """A text in writing.

    Text that may be the beginning of a stop string is held back. Where a stop string is found, the session's memory is
    the one before the token in which the string begins: it is read anew from a memory of a round before.
    """

    symbol: Callable[[int], str]
    stream: np.random.Generator
    finished: str = ""  # "length", "end" or "stop", at last
    tokens: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    top: list[Alternatives] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # how long the text is after each token; kept where there are stops
    shown: list[str] = field(default_factory=list)  # the text of each event
    length: int = 0  # of all that was shown
    held: str = ""  # text that was not shown yet
    told: int = 0  # how many tokens were
    before: deque[Memory] = field(default_factory=deque)  # memories before the tokens that were not told, and after

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start = self.position  # before the first token
        self.before.append(self.work.memory)

    @property
    def left(self) -> int:
        """How many tokens may still be drawn."""
        left: int = self.work.request.options.tokens - len(self.tokens)
        return left

    def numbers(self, steps: int) -> Floats:
        """The next numbers of the seed."""
        return self.stream.random(steps)

    def draw(self, numbers: Floats) -> Draw:
        """How tokens are drawn with these numbers."""
        o = self.work.request.options
        return Draw(numbers, o.temperature, o.top_k, o.top_p, o.min_p)

    def take(self, drawn: Tokens, end: int | None) -> None:
        """These tokens were drawn and read in a round: tell of them, and answer if they are the last."""
        work, stops = self.work, self.work.request.told.stop
        if stops:
            pieces, total = list(map(self.decoder.push, drawn.ids)), self.length + len(self.held)
            self.ends += [total + length for length in accumulate(map(len, pieces))]
            self.held += "".join(pieces)
        else:
            self.held = self.decoder.extend(drawn.ids)
        self.tokens += drawn.ids
        self.log_p += drawn.log_p
        self.top += drawn.top
        work.units += drawn.ids
        self.finished = "end" if drawn.ended else "" if self.left else "length"
        self.keep(0 if self.finished else SPACING)
        found = min((at for at in map(self.held.find, stops) if at >= 0), default=-1)
        if found >= 0:
            self._stop(found)
        elif stops and not self.finished:
            self._hold(len(self.held) - len(beginning(self.held, stops)))
        else:
            self._show(len(self.held), all_tokens=True)
        if self.finished:
            work.answer = self.answer()

    def _hold(self, length: int) -> None:
        """Show so much of the text that is held; keep the memories from which the rest can be read anew."""
        self._show(length)
        if self.before[-1] is not self.work.memory:
            self.before.append(self.work.memory)
        while len(self.before) > 1 and self.before[1].position <= self.start + self.told:
            self.before.popleft()

    def _stop(self, at: int) -> None:
        """A stop string begins at a place of the text that is held: forget it, and all after it."""
        kept = whole_tokens(self.ends, self.length + at)
        for of_tokens in (self.tokens, self.log_p, self.top, self.ends):
            del of_tokens[kept:]
        del self.work.units[self.start + kept - self.begun :]
        self.return_to(max((m for m in self.before if m.position <= self.position), key=lambda m: m.position))
        self.keep()
        self.finished = "stop"
        self.held = self.held[:at]
        self._show(at)
        self.held = ""

    def _show(self, length: int, *, all_tokens: bool = False) -> None:
        """An event with so much of the text that is held, and the tokens that are in it."""
        text, self.held = self.held[:length], self.held[length:]
        self.length += length
        first, self.told = self.told, len(self.tokens) if all_tokens else whole_tokens(self.ends, self.length)
        if not text and self.told == first:
            return
        self.shown.append(text)
        self.work.events.append({"text": text, **self._of(first, self.told), "position": self.start + self.told})

    def _of(self, first: int, last: int) -> dict[str, Any]:
        ids, asked = self.tokens[first:last], self.work.request.told.log_probabilities
        told: dict[str, Any] = {"tokens": list(map(self.symbol, ids)), "ids": ids}
        if asked is not None:
            told["log_probabilities"] = self.log_p[first:last]
        return told | ({"top": self.top[first:last]} if asked else {})

    def cancel(self) -> None:
        """No more will be drawn: tell what is held."""
        self.finished = "cancelled"
        self._show(len(self.held), all_tokens=True)

    def answer(self) -> dict[str, Any]:
        """All that was written."""
        request = self.work.request
        return {
            "text": "".join(self.shown),
            **self._of(0, len(self.tokens)),
            "finished": self.finished,
            "seed": request.seed,
            "drawn": request.told.drawn + len(self.tokens),
            "position": self.position,
        }

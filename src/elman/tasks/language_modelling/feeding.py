"""What a session feeds a language model: tokens, read a piece at a time, and what they told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, model_validator

from elman.data.tokenizers import Tokenizer
from elman.errors import UserError
from elman.tasks.configuration import make_section
from elman.tasks.holding import HoldingOptions, HoldingRequest, Interventions
from elman.tasks.language_modelling.turns import SPACING, Turn


class FeedOptions(HoldingOptions):
    """A request to read: a text, or tokens by their numbers."""

    text: str | None = None
    tokens: list[int] | None = None
    units: list[int] | None = None  # another name of `tokens`
    top: int = Field(5, ge=0, le=100)  # how many of the next tokens are told
    surprise: bool = True  # whether each token's surprise is told, which costs the output layer for each

    @model_validator(mode="after")
    def _one(self) -> FeedOptions:
        if sum(form is not None for form in (self.text, self.tokens, self.units)) != 1:
            raise ValueError('a feed: expected one of "text", "tokens" and "units"')
        return self


@dataclass(frozen=True)
class Feed(HoldingRequest):
    """A checked request to read."""

    ids: Sequence[int]
    options: FeedOptions

    @property
    def interventions(self) -> Interventions:  # noqa: D102
        return self.options.set


def check_feed(tokenizer: Tokenizer, asked: Mapping[str, Any]) -> Feed:
    """The tokens of a request. Raises `UserError` where it is not right."""
    options = make_section(FeedOptions, asked)
    if options.text is not None:
        return Feed(tokenizer.encode_array(options.text).tolist(), options)
    ids = (options.tokens or []) + (options.units or [])
    beyond = next((token for token in ids if not 0 <= token < tokenizer.vocab_size), None)
    if beyond is not None:
        raise UserError("tokens", expected=f"numbers from 0 to {tokenizer.vocab_size - 1}", got=beyond)
    return Feed(ids, options)


@dataclass(eq=False)
class Feeding(Turn):
    """A feed that is under way."""

    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    surprise: list[float | None] = field(default_factory=list)

    @property
    def has_read(self) -> bool:
        """Whether the session has read anything."""
        return bool(self.work.memory.state or self.work.units)

    @property
    def done(self) -> bool:
        """Whether all was read."""
        return len(self.pieces) == len(self.ids)

    def next(self, limit: int, eod: int | None) -> list[int]:
        """The tokens that are read next, at most `limit`; an `<eod>` is the first of them, or comes later."""
        start = len(self.pieces)
        piece = self.ids[start : start + limit]
        if eod is not None and eod in piece[1:]:
            return piece[: piece.index(eod, 1)]
        return piece

    def take(self, tokens: Sequence[int], log_probabilities: Iterable[float]) -> None:
        """These tokens were read."""
        self.pieces += map(self.decoder.push, tokens)
        if self.work.request.options.surprise:
            self.surprise += (None if math.isnan(p) else -p for p in log_probabilities)
        self.work.units += tokens
        self.keep(0 if self.done else SPACING)

    def answer(self, unknown: int) -> dict[str, Any]:
        """What is told of the whole feed, but for the next tokens."""
        told: dict[str, Any] = {
            "position": self.position,
            "read": len(self.ids),
            "unknown": unknown,
            "pieces": self.pieces,
        }
        return told | ({"surprise": self.surprise} if self.work.request.options.surprise else {})

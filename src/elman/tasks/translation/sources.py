"""What a session of an encoder-decoder reads: sources, and tokens of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman.data.tokenizers import Tokenizer
from elman.errors import UserError
from elman.settings import Section
from elman.tasks.hearing import Asked
from elman.tasks.listening import Unit


class SourceText(Asked):
    """A source."""

    text: str | None = None
    tokens: list[Any] | None = None


class PairNotes(Section):
    """What a session remembers beside its state."""

    source: list[int]
    target: list[int]


def check_unit(form: str, unit: Unit, source: Tokenizer, target: Tokenizer, longest: int) -> None:
    """Raise `UserError` where that is neither a source of so many tokens with its end nor a token of a target."""
    if not isinstance(unit, list):
        _check_token(form, unit, target)
        return
    for token in unit:
        _check_token(form, token, source)
    if not unit:
        raise UserError(form, expected="a source of a token or more", got="an empty one")
    if len(unit) >= longest:
        got, remedy = f"{len(unit) + 1:,} with its end", "split it"
        raise UserError(form, expected=f"a source of at most {longest:,} tokens", got=got, remedy=remedy)


def last_source(units: Sequence[Unit], notes: Mapping[str, Any]) -> tuple[Sequence[int], list[int], bool]:
    """The newest source, the given tokens of its target, and whether the source is among the units.

    Raises `UserError` where there is no source.
    """
    places = [at for at, unit in enumerate(units) if isinstance(unit, list)]
    if places:
        return units[places[-1]], list(units[places[-1] + 1 :]), True
    if "source" not in notes:
        raise UserError("feed", expected="a source before the tokens of a target", got="none")
    return notes["source"], list(units), False


def size_of(unit: Unit) -> int:
    """How many tokens a unit has."""
    return len(unit) if isinstance(unit, list) else 1


def _check_token(form: str, token: Any, tokenizer: Tokenizer) -> None:
    """Raise `UserError` where that is no token of a text."""
    if type(token) is not int or not 0 <= token < tokenizer.vocab_size or token == tokenizer.eod:
        expected = f"numbers of tokens, from 0 to {tokenizer.vocab_size - 1}, without {tokenizer.eod}, the end"
        raise UserError(form, expected=expected, got=repr(token)[:40])

"""Errors that are meant for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from elman.remedies import remedy_for_reader, subject_for_reader


class UserError(ValueError):
    """An error that a person can mend, in one line: what is wrong, what was expected, what was given, and the remedy.

    The command line prints the line without a traceback and exits with `exit_code`. Where a remedy names options of
    commands, as an option may begin the line, Python is told the arguments that they are there.

    >>> str(UserError("hidden_size", expected="a positive integer", got=0, remedy="give at least 1"))
    'hidden_size: expected a positive integer, got 0; give at least 1'
    """

    def __init__(
        self, what: str, *, expected: object = None, got: object = None, remedy: str = "", exit_code: int = 1
    ) -> None:
        text = subject_for_reader(what)
        if expected is not None:
            expected = remedy_for_reader(f"{expected}")
            text += f": expected {expected}"
        if got is not None:
            text += f", got {got}" if expected is not None else f": got {got}"
        if remedy:
            text += f"; {remedy_for_reader(remedy)}"
        super().__init__(text)
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy that names the known word nearest to a misspelt one, or all known words.

    >>> nearest("lstn", ["lstm", "gru"]), nearest("xyzzy", ["lstm", "gru"])
    ("did you mean 'lstm'?", 'known are: gru, lstm')
    """
    known = sorted(known)
    return suggestion(name, known) or f"known are: {', '.join(known)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """A remedy that names the known words for another tool's word, or the nearest one to a misspelt word; else "".

    >>> suggestion("rnn", ["elman", "gru"]), suggestion("gro", ["elman", "gru"]), suggestion("x", ["elman", "gru"])
    ("did you mean 'elman'?", "did you mean 'gru'?", '')
    """
    from elman.synonyms import synonyms

    known = sorted(known)
    meant = [f"'{word}'" for word in synonyms(name, known) or difflib.get_close_matches(name, known, n=1)]
    if not meant:
        return ""
    *others, last = meant
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def missing_extra(package: str, extra: str, purpose: str) -> UserError:
    """The error for an optional dependency that is not installed.

    >>> str(missing_extra("tokenizers", "bpe", "BPE vocabularies"))
    "BPE vocabularies need the package 'tokenizers', which is not installed; pip install 'elman[bpe]'"
    """
    what = f"{purpose} need the package '{package}', which is not installed"
    return UserError(what, remedy=f"pip install 'elman[{extra}]'")

"""A sentence of tagged tokens, and where tokens and tags stand in a file of such sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Form = Literal["conll", "conllu", "parallel", "jsonl"]
"""A token a line in columns; a file of sentences and one of their tags; an object a line."""


class TaggedSentence(NamedTuple):
    """The tokens of a sentence and their tags; no tags where they are unknown."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The form of a file, and the columns that a person chose; None: see `data/conll.py`.

    A column has a number, from 1, or from the end, where -1 is the last; or a name, where the form has names. For JSON
    lines, `column` is the key of the tags.
    """

    form: Form
    column: str | int | None = None
    token_column: str | int | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything about the layout."""
        return asdict(self)

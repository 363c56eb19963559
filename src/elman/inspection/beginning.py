"""The beginning of a text, where there is no room for all of it."""

from __future__ import annotations

BUTTON, TITLE = 18, 72  # characters


def beginning(text: str, most: int = BUTTON) -> str:
    """The first words of a text, short enough for a button, or for a title of at most `most` characters.

    >>> beginning("a man is walking his dog"), beginning("a dog")
    ('a man is walking…', 'a dog')
    """
    if len(text) <= most:
        return text
    cut = text[:most]
    return f"{(cut.rpartition(' ')[0] or cut).rstrip()}…"

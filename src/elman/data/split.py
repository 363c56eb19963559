"""Where a text is cut into a training and a validation part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elman.data.textfile import Piece

VALID_FRACTION = 0.1
MOST_VALID = 2_000_000  # characters: validation stays affordable however long the text is
MOST_ENDS = 1 << 16  # ends of documents remembered


@dataclass(frozen=True)
class Survey:
    """What one pass over a text finds: a digest of it, its length in characters, its documents."""

    digest: str
    characters: int
    documents: int
    ends: list[int]  # where documents end, in characters; thinned out evenly where there are very many


def survey(pieces: Iterable[Piece]) -> Survey:
    """Read a text once, to the end. The digest depends on the documents only, not on files or pieces."""
    digest = hashlib.sha256()
    characters = documents = 0
    ends: list[int] = []
    stride = 1
    for piece in pieces:
        characters += len(piece.text)
        digest.update(b"\xff" if piece.ends else piece.text.encode())  # 0xff is in no UTF-8 text
        if piece.ends:
            documents += 1
            if documents % stride == 0:
                ends.append(characters)
            if len(ends) > MOST_ENDS:
                del ends[::2]
                stride *= 2
    return Survey(digest.hexdigest(), characters, documents, ends)


def tail_cut(text: Survey) -> int:
    """How many characters come before the validation part.

    `int(0.9 * characters)`, or more where that would leave over 2 million; where documents end inside the
    text, the end that is nearest, if no more than half of the validation part is lost or gained by it.

    >>> tail_cut(Survey("", 1_115_394, 1, [1_115_394]))
    1003854
    >>> tail_cut(Survey("", 100, 3, [50, 88, 100]))
    88
    """
    cut = max(int((1 - VALID_FRACTION) * text.characters), text.characters - MOST_VALID)
    near = min(text.ends, key=lambda end: abs(end - cut), default=cut)
    return near if abs(near - cut) <= (text.characters - cut) / 2 else cut


def section(pieces: Iterable[Piece], start: int, stop: int) -> Iterator[Piece]:
    """The characters [start, stop) of a text, and the document ends at (start, stop]."""
    at = 0
    for piece in pieces:
        if piece.ends:
            if start < at <= stop:
                yield piece
            continue
        text = piece.text[max(start - at, 0) : max(stop - at, 0)]
        at += len(piece.text)
        if text:
            yield piece._replace(text=text)
        if at > stop:
            return

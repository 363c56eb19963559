"""A corpus: the training and the validation tokens of a text, in a cache.

Three passes read the text in constant RAM: they survey it, learn the vocabulary from the training part alone, and
encode both parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from elman.data.cache import Cache
from elman.data.sources import Progress, Source, TextData, open_source
from elman.data.textfile import TextPiece
from elman.data.tokenfile import TokenFile
from elman.data.tokenizers import Tokenizer, tokenizer_from_json, train_tokenizer
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.data.pairs import Pair

VALID_FRACTION = 0.1
MOST_VALID = 2_000_000  # characters, so that validation on a long text stays affordable
MOST_UNKNOWN = 0.5  # the largest fraction of a text's tokens that the tokenizer of a run may not know
MOST_ENDS = 1 << 16  # ends of documents that a survey keeps
BPE_SAMPLE = 100_000_000  # characters, spread over the training part, that byte pairs are learnt from

Placed = TypeVar("Placed", "TextPiece", "Pair")


@dataclass(frozen=True)
class Corpus:
    """Tokens to train on. `fingerprint` identifies the text and its split, independently of the files' places."""

    train: TokenFile
    valid: TokenFile
    tokenizer: Tokenizer
    fingerprint: str
    skipped: int  # files of a folder that are not UTF-8 text


class Span(NamedTuple):
    """The characters [start, stop) of the text `source` (0 or 1)."""

    source: int
    start: int
    stop: int


@dataclass(frozen=True)
class Contents:
    """The survey of the texts, as the cache keeps it."""

    fingerprint: str
    spans: list[Span]  # for training and for validation
    several: bool  # whether there are several documents
    skipped: int


@dataclass(frozen=True)
class Survey:
    """The results of one pass over a text."""

    digest: str
    characters: int
    documents: int
    ends: list[int]  # the documents' ends, in characters; of very many, an even sample


def prepare(
    data: TextData,
    cache: Path,
    *,
    valid: TextData | None = None,
    tokenizer: str | Tokenizer = "char",
    max_vocab: int | None = None,
    min_count: int = 1,
    expect: str | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Tokens of `data` for training, and of `valid`, or else of the tail of `data`, for validation.

    `tokenizer` is a kind to learn (with `max_vocab` and `min_count`), or a tokenizer to use as it is. A resumed run
    expects its text to have the `Corpus.fingerprint` `expect`. Files in `cache` of the same text are used again.

    Errors: `UserError` where a text cannot be read, is not the expected one, or the cache cannot be written.
    """
    sources = [open_source(text) for text in (data, valid) if text is not None]
    store = Cache(cache)
    stamps = [source.stamp for source in sources]
    contents = store.recall(Contents, "text", *stamps) or _read(sources, progress)  # unchanged files are not read
    check_expected(sources, contents.fingerprint, expect, "is not the text")
    names = ("train", "valid")
    parts = {n: partial(_pieces, sources, span, progress) for n, span in zip(names, contents.spans, strict=True)}
    if isinstance(tokenizer, str):
        stride = max(1, -(-contents.spans[0].stop // BPE_SAMPLE)) if tokenizer == "bpe" else 1
        texts = (piece.text for piece in parts["train"]("learning the vocabulary") if piece.text)
        sample = islice(texts, 0, None, stride)
        tokenizer = learn(store, tokenizer, sample, contents.fingerprint, max_vocab, min_count, eod=contents.several)
    train, held_out = (
        store.tokens(name, contents.fingerprint, tokenizer, partial(part, "encoding")) for name, part in parts.items()
    )
    store.remember(asdict(contents), "text", *stamps)
    store.remove_others()
    return Corpus(train, held_out, tokenizer, contents.fingerprint, contents.skipped)


def encode_file(data: TextData, tokenizer: Tokenizer, cache: Path, progress: Progress | None = None) -> TokenFile:
    """All tokens of a text, by a given tokenizer. Errors: as for `prepare`."""
    source = open_source(data)
    pieces = partial(watched, source.pieces(), source.size, "encoding", progress)
    return Cache(cache).tokens("whole", source.stamp, tokenizer, pieces)


def learn(
    store: Cache, kind: str, texts: Iterable[str], made_from: object, max_vocab: int | None, min_count: int, eod: bool
) -> Tokenizer:
    """The tokenizer that is learnt from the texts which `made_from` identifies, or kept in the cache."""
    made_from = ("tokenizer", made_from, kind, max_vocab, min_count, eod)
    if kept := store.recall(dict[str, Any], *made_from):
        with contextlib.suppress(UserError):
            return tokenizer_from_json(kept)
    tokenizer = train_tokenizer(kind, texts, max_vocab=max_vocab, min_count=min_count, eod=eod)
    store.remember(tokenizer.to_json(), *made_from)
    return tokenizer


def watched(read: Iterable[Placed], size: int, stage: str, progress: Progress | None) -> Iterator[Placed]:
    """The same pieces or pairs; `progress` is called after each, with its position in a source of that size."""
    for each in read:
        yield each
        if progress:
            progress(stage, each.position / max(size, 1))


def check_expected(sources: Sequence[Any], found: str, expect: str | None, is_not: str) -> None:
    """Refuse other data than a resumed run began with. Errors: `UserError`."""
    if expect not in (None, found):
        names, remedy = " with ".join(source.name for source in sources), "put the old data back, or train a new run"
        raise UserError(f"{names} {is_not} that the run began with", remedy=remedy)


def survey(pieces: Iterable[TextPiece]) -> Survey:
    """Read a text once. The digest depends on the documents, and neither on the files nor on the pieces."""
    digest, ends = hashlib.sha256(), list[int]()
    characters, documents, stride = 0, 0, 1
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
    """The number of characters before the validation part.

    The cut is at `int(0.9 * characters)`, or later, so that at most 2 million characters follow; then at the nearest
    end of a document, if that changes the length of the validation part by no more than half.

    >>> tail_cut(Survey("", 1_115_394, 1, [1_115_394]))
    1003854
    >>> tail_cut(Survey("", 100, 3, [50, 88, 100]))
    88
    """
    cut = max(int((1 - VALID_FRACTION) * text.characters), text.characters - MOST_VALID)
    near = min(text.ends, key=lambda end: abs(end - cut), default=cut)
    return near if abs(near - cut) <= (text.characters - cut) / 2 else cut


def section(pieces: Iterable[TextPiece], start: int, stop: int) -> Iterator[TextPiece]:
    """The characters [start, stop) of a text, and the ends of documents in (start, stop]."""
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


def _read(sources: Sequence[Source], progress: Progress | None) -> Contents:
    """Survey the texts; a single text is cut."""
    found = [survey(watched(source.pieces(), source.size, "reading", progress)) for source in sources]
    if len(found) == 1:
        cut = tail_cut(found[0])
        spans = [Span(0, 0, cut), Span(0, cut, found[0].characters)]
    else:
        spans = [Span(number, 0, text.characters) for number, text in enumerate(found)]
    facts = [[text.digest for text in found], [[start, stop] for _, start, stop in spans]]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return Contents(fingerprint, spans, found[0].documents > 1, sum(source.skipped for source in sources))


def _pieces(sources: Sequence[Source], span: Span, progress: Progress | None, stage: str) -> Iterator[TextPiece]:
    """The text of a span. Errors: `UserError` where the length of the text has changed."""
    source, left = sources[span.source], span.stop - span.start
    for piece in section(watched(source.pieces(), source.size, stage, progress), span.start, span.stop):
        left -= len(piece.text)
        yield piece
    if left:
        raise UserError(f"{source.name} changed while it was read", remedy="try again")

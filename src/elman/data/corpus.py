"""A corpus: a text turned into training and validation tokens, once, in a cache.

Three passes over the text, each in constant memory: survey it, learn the vocabulary from the training part
(never from the validation part), encode both parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from elman import atomic, reading
from elman.data.sources import Source, open_source
from elman.data.split import Survey, section, survey, tail_cut
from elman.data.textfile import Piece
from elman.data.tokenfile import TokenFile, open_tokens, write_json, write_tokens
from elman.data.tokenizers import Tokenizer, load_tokenizer, train_tokenizer
from elman.errors import UserError

FORMAT = 1  # of the cache: another one is made anew
BPE_SAMPLE = 100_000_000  # characters that byte pairs are learnt from, spread over the training part

Progress = Callable[[str, float], None]
"""Is told a stage (such as "encoding") and how much of it is done, from 0 to 1."""


@dataclass(frozen=True)
class Corpus:
    """What training reads. `fingerprint` identifies the text and its split, wherever the files lie."""

    train: TokenFile
    valid: TokenFile
    tokenizer: Tokenizer
    fingerprint: str
    skipped: int  # files of a folder that are not UTF-8 text


@dataclass(frozen=True)
class Facts:
    """What the cache's `corpus.json` says, which is written last: what the tokens were made from, and how."""

    format: int
    stamps: list[str]  # of the files
    fingerprint: str  # of the text and its split
    recipes: list[str]  # that give these tokens
    skipped: int


class Part(NamedTuple):
    """The characters [start, stop) of a source."""

    source: Source
    start: int
    stop: int

    def pieces(self, stage: str, progress: Progress | None) -> Iterator[Piece]:
        """Its text; `progress` is told of the stage."""
        return section(_watched(self.source, stage, progress), self.start, self.stop)


def prepare(
    data: str | Path,
    cache: Path,
    *,
    valid: str | Path | None = None,
    tokenizer: str | Tokenizer = "char",
    max_vocab: int | None = None,
    min_count: int = 1,
    expect: str | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Tokens of `data` for training, and of `valid`, or else of the tail of `data`, for validation.

    `tokenizer` is a kind to learn (with `max_vocab` and `min_count`), or a tokenizer to use as it is.
    `expect` is the `Corpus.fingerprint` that the text must have (a run that goes on). What `cache` holds
    already, made from the same text in the same way, is used again.

    Errors: `UserError` where a text cannot be read, is not the expected one, or the cache cannot be written.
    """
    sources = [open_source(path) for path in (data, valid) if path is not None]
    stamps = [source.stamp for source in sources]
    recipe = f"{tokenizer} max_vocab={max_vocab} min_count={min_count}"
    if isinstance(tokenizer, Tokenizer):
        recipe = tokenizer.fingerprint

    corpus = _reuse(cache, recipe, "stamps", stamps)  # untouched files are not even read
    if corpus is not None:
        _check_expected(sources, corpus.fingerprint, expect)
        return corpus
    surveys = [survey(_watched(source, "reading", progress)) for source in sources]
    parts = _parts(sources, surveys)
    fingerprint = _fingerprint(surveys, parts)
    _check_expected(sources, fingerprint, expect)
    corpus = _reuse(cache, recipe, "fingerprint", fingerprint)  # moved or touched, but the same text
    if corpus is None:
        if isinstance(tokenizer, str):
            sample = _sample(parts[0], BPE_SAMPLE if tokenizer == "bpe" else None, progress)
            several = surveys[0].documents > 1
            tokenizer = train_tokenizer(tokenizer, sample, max_vocab=max_vocab, min_count=min_count, eod=several)
        corpus = _build(cache, tokenizer, parts, fingerprint, progress)
    recipes = sorted({recipe, corpus.tokenizer.fingerprint})
    facts = Facts(FORMAT, stamps, fingerprint, recipes, corpus.skipped)
    write_json(cache / "corpus.json", asdict(facts))
    return corpus


def encode_file(data: str | Path, tokenizer: Tokenizer, cache: Path, progress: Progress | None = None) -> TokenFile:
    """All tokens of a text, by a tokenizer that is there already: what evaluation reads.

    Errors: as `prepare`.
    """
    source = open_source(data)
    path = cache / f"{source.stamp[:16]}.bin"
    made = open_tokens(path)
    if made and made.tokenizer == tokenizer.fingerprint and made.source == source.stamp:
        return made
    return write_tokens(path, _watched(source, "encoding", progress), tokenizer, source.stamp)


def _parts(sources: list[Source], surveys: list[Survey]) -> list[Part]:
    """The training part and the validation part, which is the tail where no text is given for it."""
    if len(sources) == 1:
        cut, end = tail_cut(surveys[0]), surveys[0].characters
        return [Part(sources[0], 0, cut), Part(sources[0], cut, end)]
    return [Part(source, 0, text.characters) for source, text in zip(sources, surveys, strict=True)]


def _build(cache: Path, tokenizer: Tokenizer, parts: list[Part], fingerprint: str, progress: Progress | None) -> Corpus:
    files = ("corpus.json", "tokenizer.json", "train.bin", "train.json", "valid.bin", "valid.json")
    atomic.check_replaceable(*(cache / name for name in files))
    with atomic.told(cache):
        (cache / "corpus.json").unlink(missing_ok=True)  # from here on, and until all is whole, there is no corpus
    train, valid = (
        _write_part(cache / f"{name}.bin", part, tokenizer, fingerprint, progress)
        for name, part in zip(["train", "valid"], parts, strict=True)
    )
    write_json(cache / "tokenizer.json", tokenizer.to_json())
    skipped = sum({part.source.name: part.source.skipped for part in parts}.values())
    return Corpus(train, valid, tokenizer, fingerprint, skipped)


def _write_part(path: Path, part: Part, tokenizer: Tokenizer, fingerprint: str, progress: Progress | None) -> TokenFile:
    made = write_tokens(path, part.pieces("encoding", progress), tokenizer, fingerprint)
    if made.characters != part.stop - part.start:
        raise UserError(f"{part.source.name} changed while it was read", remedy="try again")
    return made


def _reuse(cache: Path, recipe: str, key: Literal["stamps", "fingerprint"], value: object) -> Corpus | None:
    """What is in the cache, if it is whole, and made by the recipe from what `key` says."""
    try:
        facts = reading.read_json(cache / "corpus.json", Facts)
        tokenizer = load_tokenizer(cache / "tokenizer.json")
    except UserError:
        return None
    if facts.format != FORMAT or recipe not in facts.recipes or getattr(facts, key) != value:
        return None
    train, valid = open_tokens(cache / "train.bin"), open_tokens(cache / "valid.bin")
    if train is None or valid is None:
        return None
    made_by = (facts.fingerprint, tokenizer.fingerprint)
    if any((file.source, file.tokenizer) != made_by for file in (train, valid)):
        return None
    return Corpus(train, valid, tokenizer, facts.fingerprint, facts.skipped)


def _sample(part: Part, most: int | None, progress: Progress | None) -> Iterator[str]:
    """The part's text, or every k-th piece of it, so that about `most` characters are left."""
    stride = 1 if most is None else max(1, -(-part.stop // most))
    texts = (piece.text for piece in part.pieces("learning the vocabulary", progress) if piece.text)
    return islice(texts, 0, None, stride)


def _watched(source: Source, stage: str, progress: Progress | None) -> Iterator[Piece]:
    for piece in source.pieces():
        yield piece
        if progress:
            progress(stage, piece.position / max(source.size, 1))


def _fingerprint(surveys: list[Survey], parts: list[Part]) -> str:
    facts = [[text.digest for text in surveys], [[part.start, part.stop] for part in parts]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _check_expected(sources: list[Source], fingerprint: str, expect: str | None) -> None:
    if expect not in (None, fingerprint):
        names = " with ".join(source.name for source in sources)
        raise UserError(
            f"{names} is not the text that the run began with",
            remedy="put that text back, or train a new run on this one",
        )

"""The cache of a parallel corpus: vocabularies, the encoded training part and the texts of the validation part.

`pairs.json` is written last and removed first: without it there is no corpus.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from elman import atomic, reading
from elman.data.encoding import Texts
from elman.data.pairs import Pair
from elman.data.sequences import PairPart, Sequences
from elman.data.textfile import Piece
from elman.data.tokenfile import TokenFile, open_tokens, write_json, write_tokens
from elman.data.vocabularies import NAMES, Tokenizers, load_tokenizers
from elman.errors import UserError

FORMAT = 1  # of the cache: another one is made anew
SIDES = ("source", "target")


@dataclass(frozen=True)
class Facts:
    """What the cache's `pairs.json` says: of the pairs, and of what was made from them."""

    fingerprint: str  # of the pairs and their split
    empty: int  # pairs with an empty side
    first_empty: str  # where the first one is
    encoded: bool = False  # there is a training part in the cache
    valid: int = 0  # pairs to validate on
    stamps: list[str] = field(default_factory=list)  # of the files
    recipes: list[str] = field(default_factory=list)  # that give these tokens
    format: int = FORMAT


@dataclass(frozen=True)
class Cached:
    """What a cache holds. `train` is None for an endless source."""

    tokenizers: Tokenizers
    train: PairPart | None
    valid: Texts
    facts: Facts


def reuse(cache: Path, recipe: str, key: Literal["stamps", "fingerprint"], value: object) -> Cached | None:
    """What is in the cache, if it is whole, and made by the recipe from what `key` says."""
    try:
        facts = reading.read_json(cache / "pairs.json", Facts)
        if facts.format != FORMAT or recipe not in facts.recipes or getattr(facts, key) != value:
            return None
        tokenizers = load_tokenizers(cache)
        valid = list(reading.read_json_lines(cache / "valid.jsonl", tuple[str, str]))
    except UserError:
        return None
    train = _training_part(cache, tokenizers, facts.fingerprint) if facts.encoded else None
    if len(valid) != facts.valid or (facts.encoded and train is None):
        return None
    return Cached(tokenizers, train, valid, facts)


def write(
    cache: Path,
    tokenizers: Tokenizers,
    valid: Texts,
    facts: Facts,
    train: Callable[[str], Iterable[Pair]] | None,
) -> Cached:
    """Make the cache anew, all but its `pairs.json`, which `seal` writes.

    `train` gives the training pairs, at a stage that progress is told of; None: they are made, not read.
    Errors: `UserError` where the cache cannot be written.
    """
    encoded = [cache / f"train.{side}.bin" for side in SIDES]
    others = [cache / name for name in ("pairs.json", "valid.jsonl", *(f"{name}.json" for name in NAMES))]
    atomic.check_replaceable(*encoded, *(path.with_suffix(".json") for path in encoded), *others)
    with atomic.told(cache):
        (cache / "pairs.json").unlink(missing_ok=True)
    part = None
    if train is not None:
        for side, tokenizer in enumerate(tokenizers):
            write_tokens(encoded[side], _pieces(train("encoding"), side), tokenizer, facts.fingerprint)
        part = _training_part(cache, tokenizers, facts.fingerprint)
        if part is None:
            raise UserError("the pairs changed while they were read", remedy="try again")
    tokenizers.save(cache)
    atomic.write_text(cache / "valid.jsonl", "".join(json.dumps(pair) + "\n" for pair in valid))
    return Cached(tokenizers, part, valid, replace(facts, encoded=part is not None, valid=len(valid)))


def seal(cache: Path, made: Cached, recipe: str, stamps: list[str]) -> None:
    """Write down that the cache is whole, and what it was made from."""
    recipes = sorted({recipe, made.tokenizers.fingerprint})
    write_json(cache / "pairs.json", asdict(replace(made.facts, stamps=stamps, recipes=recipes)))


def _training_part(cache: Path, tokenizers: Tokenizers, fingerprint: str) -> PairPart | None:
    files: list[TokenFile] = []
    for side, tokenizer in zip(SIDES, tokenizers, strict=True):
        file = open_tokens(cache / f"train.{side}.bin")
        if file is None or (file.source, file.tokenizer) != (fingerprint, tokenizer.fingerprint):
            return None
        files.append(file)
    if files[0].documents != files[1].documents:
        return None
    source, target = (Sequences(file, tokenizer.eod) for file, tokenizer in zip(files, tokenizers, strict=True))
    return PairPart(source, target)


def _pieces(pairs: Iterable[Pair], side: int) -> Iterator[Piece]:
    for pair in pairs:
        yield Piece((pair.source, pair.target)[side], False, pair.position)
        yield Piece("", True, pair.position)

"""Tokenizers in the files of other programs, told apart by their content."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from elman.data.tokenizers import FOREIGN, TOKENIZERS, tokenizer_from_json
from elman.data.tokenizers.library import LibraryTokenizer
from elman.data.tokenizers.tokenizer import Tokenizer
from elman.data.tokenizers.vocabulary import PLACEHOLDER, UNKNOWN_NAMES, VocabularyTokenizer
from elman.errors import UserError
from elman.reading import read_text

Say = Callable[[str], None]

MOST_BYTES = 1 << 28
KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # of keras.preprocessing.text.Tokenizer
SPECIAL = re.compile(r"<.*>|\[.*\]")  # names of tokens that are no words
FORMS = "elman's tokenizer.json, one of Hugging Face's tokenizers, a token a line, or a word_index of Keras as JSON"


def read_tokenizer(path: Path, size: int, say: Say) -> Tokenizer:
    """The tokenizer in a file, for a model of `size` tokens; `say` is told what was guessed.

    Raises `UserError` where the file cannot be read, holds none of `FORMS`, or that of another model.
    """
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path}", expected=f"at most {MOST_BYTES:,} bytes", got=path.stat().st_size)
    text = read_text(path)
    given: Any = None
    if text.lstrip()[:1] in ("{", "["):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None  # tokens a line, the first of which is a bracket
    made = _of_json(given, path, size, say) if given is not None else _of_lines(text.split("\n"), path, size, say)
    if made.vocab_size != size:
        raise UserError(f"{path}", expected=f"the {size:,} tokens of the model", got=f"{made.vocab_size:,}")
    return made


def _of_json(given: Any, path: Path, size: int, say: Say) -> Tokenizer:
    if isinstance(given, list) and all(isinstance(token, str) for token in given):
        return _of_lines(given, path, size, say)
    if isinstance(given, dict) and given.get("kind") in {**TOKENIZERS, **FOREIGN}:
        return tokenizer_from_json(given, f"{path}")
    if isinstance(given, dict) and isinstance(given.get("model"), dict):
        try:
            return LibraryTokenizer(given, size)
        except UserError:
            raise
        except Exception as error:  # the library raises bare Exception for a model it cannot read
            raise UserError(f"{path}: the tokenizers library cannot read it ({error})") from None
    if isinstance(given, dict) and isinstance(config := given.get("config"), dict) and "word_index" in config:
        index = config["word_index"]
        try:
            index = json.loads(index) if isinstance(index, str) else index
        except ValueError:
            index = None
        if _is_index(index):
            return _of_index(index, path, size, say, config)
    if _is_index(given):
        return _of_index(given, path, size, say, None)
    raise UserError(f"{path}", expected=FORMS, got="other JSON")


def _is_index(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and bool(given)
        and all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in given.values())
    )


def _of_index(
    index: Mapping[str, int], path: Path, size: int, say: Say, config: Mapping[str, Any] | None
) -> VocabularyTokenizer:
    """Tokens with a number each. Those of Keras begin with 1; `config` is that of its Tokenizer."""
    tokens = [PLACEHOLDER.format(number) for number in range(size)]
    for token, number in index.items():
        if number < size:
            tokens[number] = token
    if beyond := sum(number >= size for number in index.values()):
        say(f"{beyond:,} of the {len(index):,} tokens of {path} are not among the {size:,} of the model: unknown")
    if config is None and min(index.values()) == 0:
        return _guessed(tokens, index, say)
    options = config or {}
    lower = bool(options.get("lower", _is_lower(index)))
    oov = options.get("oov_token")
    unknown = index.get(oov) if isinstance(oov, str) else _unknown(tokens)
    read = (token for token, number in index.items() if number != unknown)  # "<OOV>" is in no text
    usual = "" if any(c in KERAS_FILTERS for token in read for c in token) else KERAS_FILTERS
    filters = str(options.get("filters", usual))
    characters = bool(options.get("char_level", _are_characters(index)))
    if config is None:
        say(f"words are looked up as Keras's Tokenizer does: lower={lower}, filters={filters!r}")
    if unknown is None:
        say("the vocabulary has no token for unknown words: they are left out, as Keras does")
    return VocabularyTokenizer(
        tokens,
        unknown=unknown if unknown is not None and unknown < size else None,
        characters=characters,
        lowercase=lower,
        ignored="" if characters else filters,
        skips=unknown is None,
    )


def _of_lines(lines: list[str], path: Path, size: int, say: Say) -> VocabularyTokenizer:
    """A token a line."""
    tokens = [line.removesuffix("\r") for line in lines]
    if tokens and not tokens[-1] and len(tokens) > size:  # the end of the last line
        tokens = tokens[:-1]
    if len(tokens) > size:
        raise UserError(f"{path}", expected=f"at most the {size:,} tokens of the model", got=f"{len(tokens):,}")
    if len(tokens) < size:
        say(f"{path} has {len(tokens):,} tokens, the model {size:,}: the others have numbers for names")
    return _guessed(tokens + [PLACEHOLDER.format(number) for number in range(len(tokens), size)], tokens, say)


def _guessed(tokens: list[str], named: Iterable[str], say: Say) -> VocabularyTokenizer:
    named = list(named)
    unknown, characters, lower = _unknown(tokens), _are_characters(named), _is_lower(named)
    parts = "characters" if characters else "words between white space"
    case = ", in lower case, as it has no capital letter" if lower else ""
    rest = "others are refused" if unknown is None else f"{tokens[unknown]} stands for others"
    say(f"the tokens of the vocabulary are {parts}{case}; {rest}")
    return VocabularyTokenizer(tokens, unknown=unknown, characters=characters, lowercase=lower)


def _unknown(tokens: list[str]) -> int | None:
    return next((tokens.index(name) for name in UNKNOWN_NAMES if name in tokens), None)


def _are_characters(tokens: Iterable[str]) -> bool:
    """Whether all tokens that are no special names are single characters."""
    plain = [token for token in tokens if token and not SPECIAL.fullmatch(token) and token not in UNKNOWN_NAMES]
    return bool(plain) and all(len(token) == 1 for token in plain)


def _is_lower(tokens: Iterable[str]) -> bool:
    """Whether tokens that are no special names have letters, and no capital ones."""
    plain = "".join(token for token in tokens if not SPECIAL.fullmatch(token) and token not in UNKNOWN_NAMES)
    return plain == plain.lower() != plain.upper()

"""Tokenizers of the package `tokenizers`, as elman uses them."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import numpy as np

from elman_runner.errors import RunnerError
from elman_runner.reading import take
from elman_runner.tokenizers import Ids, Tokenizer

BLOCK = 1 << 14  # characters that are encoded at a time


class BytePairs(Tokenizer):
    """Byte pair encoding."""

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self._library = _from_library(take(data, "model", dict, where), where)
        super().__init__(self._library.get_vocab_size(), eod=take(data, "eod", bool, where))
        of_byte = _byte_of_character()
        try:
            tokens = [self._library.id_to_token(token) for token in range(self._library.get_vocab_size())]
            self._bytes = [bytes(of_byte[character] for character in token) for token in tokens]
        except (KeyError, TypeError):
            raise RunnerError(f"{where} is damaged (a token that is no bytes)") from None

    def encode(self, text: str) -> Ids:
        """The numbers after all merges."""
        blocks = _blocks(text.encode("utf-8", "replace").decode())
        found = self._library.encode_batch_fast(blocks, add_special_tokens=False)
        return np.fromiter(chain.from_iterable(part.ids for part in found), np.int64)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The token's bytes."""
        return self._bytes[token]


class AnyOfLibrary(Tokenizer):
    """A `tokenizer.json` of Hugging Face, without the special tokens that its template adds.

    The model may have more tokens than the tokenizer.
    """

    def __init__(self, data: dict[str, Any], where: str) -> None:
        model = take(data, "model", dict, where)
        self._library = _from_library(model, where)
        inner, decoder = model.get("model") or {}, model.get("decoder") or {}
        unk = inner.get("unk_id")
        if unk is None and inner.get("unk_token"):
            unk = self._library.token_to_id(inner["unk_token"])
        super().__init__(take(data, "size", int, where), unk=unk, eod=take(data, "eod", bool, where))
        self._bytes = _byte_of_character() if decoder.get("type") == "ByteLevel" else {}
        self._added = {token["id"]: token["content"] for token in model.get("added_tokens") or ()}

    def encode(self, text: str) -> Ids:
        """The numbers of the text."""
        text = text.encode("utf-8", "replace").decode()
        return np.array(self._library.encode(text, add_special_tokens=False).ids, np.int64)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The bytes that the token adds: of a byte level its own, else what it adds to the library's own decoding."""
        name = self._library.id_to_token(token)
        if name is None:
            return f"<{token}>".encode()
        if token in self._added:
            return str(self._added[token]).encode()
        if self._bytes and all(character in self._bytes for character in name):
            return bytes(self._bytes[character] for character in name)
        known = previous is not None and self._library.id_to_token(previous) is not None
        before = [previous] if known else []
        begun = self._library.decode(before, skip_special_tokens=False)
        whole = self._library.decode([*before, token], skip_special_tokens=False)
        return str(whole.removeprefix(begun)).encode()

    @property
    def start(self) -> int:
        """A line's end where that is one token, else 0."""
        newline = self.encode("\n")
        return int(newline[0]) if len(newline) == 1 and newline[0] != self.unk else 0


def _from_library(model: dict[str, Any], where: str) -> Any:
    try:
        from tokenizers import Tokenizer as Library
    except ImportError:
        raise RunnerError("byte pairs need the package tokenizers: pip install 'elman-runner[bpe]'") from None
    try:
        return Library.from_str(json.dumps(model))
    except Exception:  # the library raises bare Exception
        raise RunnerError(f"{where} is damaged (no byte pairs)") from None


def _blocks(text: str) -> list[str]:
    """A text in pieces that end at a line's end, else before a space; else anywhere."""
    found, rest = [], ""
    for start in range(0, len(text), BLOCK):
        piece = rest + text[start : start + BLOCK]
        at = max(piece.rfind("\n") + 1 or piece.rfind(" "), 0) or len(piece)
        found.append(piece[:at])
        rest = piece[at:]
    return [*found, rest] if rest else found


def _byte_of_character() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 characters stand for themselves, the other bytes for U+0100 onward."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}

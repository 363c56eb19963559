"""Any tokenizer of the `tokenizers` library, by its own JSON."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from elman.data.tokenizers.bpe import byte_of_character, library
from elman.data.tokenizers.tokenizer import Ids, Tokenizer
from elman.data.tokenizers.vocabulary import PLACEHOLDER
from elman.errors import UserError


class LibraryTokenizer(Tokenizer):
    """The ids of a `tokenizer.json` of Hugging Face, without the special tokens that its template adds.

    `size` is that of the model's vocabulary, which may be larger than the tokenizer's own. Raises `UserError` where it
    is smaller.

    >>> import tokenizers
    >>> theirs = tokenizers.Tokenizer(tokenizers.models.WordLevel({"the": 0, "cat": 1, "?": 2}, unk_token="?"))
    >>> theirs.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    >>> tokenizer = LibraryTokenizer(json.loads(theirs.to_str()), size=3)
    >>> tokenizer.encode("the fat cat"), tokenizer.unk
    (tensor([0, 2, 1]), 2)
    """

    kind = "library"
    contents: ClassVar = {"model": dict[str, Any], "size": int}

    def __init__(self, model: dict[str, Any], size: int, *, eod: bool = False):
        self.model, self.size = model, size
        self._library = library().Tokenizer.from_str(json.dumps(model))
        known = 1 + max(self._library.get_vocab().values(), default=-1)
        if known > size:
            raise UserError("tokenizer", expected=f"at most the {size} tokens of the model", got=known)
        inner = model.get("model") or {}
        unk = inner.get("unk_id")
        if unk is None and inner.get("unk_token"):
            unk = self._library.token_to_id(inner["unk_token"])
        super().__init__(size, unk=unk, eod=eod)
        decoder = model.get("decoder") or {}
        self._bytes = byte_of_character() if decoder.get("type") == "ByteLevel" else None
        self._added = {token["id"]: token["content"] for token in model.get("added_tokens") or ()}

    def encode_array(self, text: str) -> Ids:
        """The ids of the text."""
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate would stop the library
        return np.array(self._library.encode(text, add_special_tokens=False).ids, self.dtype)

    def spell(self, token: int, previous: int | None) -> bytes:
        """The bytes that the token adds: of a byte level its own, else what it adds to the library's own decoding."""
        name = self._library.id_to_token(token)
        if name is None:
            return PLACEHOLDER.format(token).encode()
        if token in self._added:
            return str(self._added[token]).encode()
        if self._bytes is not None and all(character in self._bytes for character in name):
            return bytes(self._bytes[character] for character in name)
        known = previous is not None and self._library.id_to_token(previous) is not None
        before = [previous] if known else []
        begun = self._library.decode(before, skip_special_tokens=False)
        whole = self._library.decode([*before, token], skip_special_tokens=False)
        return str(whole.removeprefix(begun)).encode()

    @property
    def start(self) -> int:
        """The token that generation without a prompt reads first: that of a line's end, else id 0."""
        newline = self.encode_array("\n")
        return int(newline[0]) if len(newline) == 1 and newline[0] != self.unk else 0

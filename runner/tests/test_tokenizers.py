"""The runner's tokenizers are elman's: the same numbers, the same text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from elman.data.ngrams import WordNgrams
from elman.data.tokenizers import train_tokenizer
from elman.data.tokenizers.library import LibraryTokenizer
from elman.data.tokenizers.vocabulary import VocabularyTokenizer
from elman_runner.ngrams import WordNgrams as Ngrams
from elman_runner.tokenizers import StreamDecoder, Tokenizer, make_tokenizer

TEXTS = ["the cat — sät, ön 'a' mat!\n\tend <unk> <eos>", "é" * 9, "words words \u2028 \x85 𝔘nicode"]


def from_library() -> list[LibraryTokenizer]:
    """Tokenizers of the kinds whose spelling differs; the model has more tokens than each of them."""
    made = []
    for model, trainer, before, decoder in (
        (models.BPE(), trainers.BpeTrainer(vocab_size=300), pre_tokenizers.ByteLevel(), decoders.ByteLevel()),
        (models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"]),
         pre_tokenizers.Whitespace(), decoders.WordPiece()),
        (models.Unigram(), trainers.UnigramTrainer(vocab_size=40, unk_token="<unk>", special_tokens=["<unk>"]),
         pre_tokenizers.Metaspace(), decoders.Metaspace()),
    ):  # fmt: skip
        library = Library(model)
        library.pre_tokenizer, library.decoder = before, decoder
        library.train_from_iterator(TEXTS * 3, trainer)
        made.append(LibraryTokenizer(json.loads(library.to_str()), library.get_vocab_size() + 3, eod=not made))
    return made


KINDS: list[dict[str, Any]] = [
    {"kind": kind, "eod": eod, **more}
    for eod in (False, True)
    for kind, more in (("char", {}), ("byte", {}), ("word", {}), ("word", {"punctuation": True}), ("bpe", {}))
]
BOTH = [(ours := train_tokenizer(texts=TEXTS, **each), make_tokenizer(ours.to_json(), "it")) for each in KINDS]
BOTH += [
    (ours, make_tokenizer(ours.to_json(), "it"))
    for ours in (
        VocabularyTokenizer(["<pad>", "<unk>", "the", "cat", "<eos>", "the"], unknown=1, lowercase=True, ignored="!,"),
        VocabularyTokenizer(["\n", "t", "h", "e", "é"], characters=True, skips=True),
    )
]
BOTH += [(ours, make_tokenizer(ours.to_json(), "it")) for ours in from_library()]
NAMES = [f"{ours.to_json()['kind']}{at}" for at, (ours, _) in enumerate(BOTH)]  # alike in every process
TEXT = st.one_of(st.text(), st.text("the cat\n,!é<unk>"))


@pytest.mark.parametrize("both", BOTH, ids=NAMES)
@given(text=TEXT)
def test_texts(both: tuple[Any, Tokenizer], text: str) -> None:
    ours, theirs = both
    ids = theirs.encode(text).tolist()
    assert ids == ours.encode_array(text).tolist()
    assert theirs.decode(ids) == ours.decode(ids)
    assert (theirs.vocab_size, theirs.unk, theirs.eos, theirs.eod) == (ours.vocab_size, ours.unk, ours.eos, ours.eod)
    assert theirs.start == ours.start


@pytest.mark.parametrize("both", BOTH, ids=NAMES)
@given(draws=st.lists(st.integers(0, 10**6), max_size=20))
def test_any_numbers_in_pieces(both: tuple[Any, Tokenizer], draws: list[int]) -> None:
    ours, theirs = both
    ids = [draw % ours.vocab_size for draw in draws]
    text, previous, unfinished = "", None, b""
    for token in ids:
        decoder = StreamDecoder(theirs, previous, unfinished)
        text += decoder.push(token)
        previous, unfinished = token, decoder.unfinished
    assert text + StreamDecoder(theirs, previous, unfinished).finish() == ours.decode(ids)


def test_a_long_text_of_byte_pairs() -> None:
    text = "the cat sät " * 5_000 + "x" * 40_000 + "\n the end"
    for ours, theirs in (both for both, each in zip(BOTH, KINDS, strict=False) if each["kind"] == "bpe"):
        assert theirs.encode(text).tolist() == ours.encode_array(text).tolist()


@given(text=TEXT)
def test_ngrams(text: str) -> None:
    ours = WordNgrams(97)
    assert Ngrams(ours.to_json(), "it").encode(text).tolist() == ours.encode_array(text).tolist()
    long = text + "internationalisation" * 3
    assert Ngrams(ours.to_json(), "it").encode(long).tolist() == ours.encode_array(long).tolist()

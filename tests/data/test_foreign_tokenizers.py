"""Tokenizers in the files of other programs: what they are taken for, and that they do what those programs do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elman.data.tokenizers import Tokenizer, tokenizer_from_json, train_tokenizer
from elman.data.tokenizers.foreign import read_tokenizer
from elman.errors import UserError


def read(path: Path, content: object, size: int) -> tuple[Tokenizer, list[str]]:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    said: list[str] = []
    made = read_tokenizer(path, size, said.append)
    again = tokenizer_from_json(json.loads(json.dumps(made.to_json())))
    assert again.fingerprint == made.fingerprint
    assert made.vocab_size == size
    return made, said


def test_elmans_own(tmp_path: Path) -> None:
    own = train_tokenizer("char", ["to be or not"])
    made, said = read(tmp_path / "tokenizer.json", own.to_json(), own.vocab_size)
    assert made.to_json() == own.to_json()
    assert said == []


def test_a_token_a_line(tmp_path: Path) -> None:
    made, said = read(tmp_path / "vocab.txt", "<pad>\n[UNK]\nthe\ncat\n", 6)
    assert made.encode_array("The dog\ncat").tolist() == [2, 1, 3]
    assert made.decode([2, 3]) == "the cat"
    assert made.decode([2, 5]) == "the <5>"
    assert "numbers for names" in said[0]
    assert "in lower case" in said[1]


def test_characters_and_line_ends(tmp_path: Path) -> None:
    made, _ = read(tmp_path / "vocab.json", ["<unk>", "\n", " ", "a", "B"], 5)
    assert made.encode_array("aB a\nx").tolist() == [3, 4, 2, 3, 1, 0]
    assert made.decode([3, 2, 4, 1]) == "a B\n"
    assert made.start == 1
    words, _ = read(tmp_path / "words.txt", "<unk>\n<eos>\ncat\nBig", 4)
    assert words.encode_array("cat Big\ncat").tolist() == [2, 3, 1, 2]
    assert words.decode([2, 3, 1, 2]) == "cat Big\ncat"


def test_numbers_refuse_what_is_none() -> None:
    from elman.data.tokenizers.vocabulary import numbered

    tokenizer = numbered(12)
    assert tokenizer.encode_array("11 0\n3").tolist() == [11, 0, 3]
    for text in ("12", "a", "-1", "1.0"):
        with pytest.raises(UserError, match=r"numbers of tokens, from 0 to 11, with blanks"):
            tokenizer.encode_array(f"3 {text}")


def test_word_index_of_keras(tmp_path: Path) -> None:
    made, said = read(tmp_path / "index.json", {"the": 1, "cat": 2, "sat": 3, "mat": 4}, 4)
    # As keras.preprocessing.text.Tokenizer(num_words=4): lower case, marks are blanks, others are left out.
    assert made.encode_array("The cat, sat; on THE mat!").tolist() == [1, 2, 3, 1]
    assert any("1 of the 4 tokens" in line for line in said)
    assert any("left out" in line for line in said)
    # The name of unknown words has marks, and is in no text: the marks are blanks all the same.
    made, _ = read(tmp_path / "index.json", {"<OOV>": 1, "the": 2, "cat": 3}, 4)
    assert made.encode_array("The cat! A <cat>").tolist() == [2, 3, 1, 3]
    with_oov = {
        "class_name": "Tokenizer",
        "config": {
            "num_words": 4, "filters": "!", "lower": False, "char_level": False, "oov_token": "?",
            "word_index": json.dumps({"?": 1, "The": 2, "cat": 3, "sat": 4}),
        },
    }  # fmt: skip
    made, said = read(tmp_path / "tokenizer.json", with_oov, 4)
    assert made.encode_array("The!cat the sat").tolist() == [2, 3, 1, 1]
    assert len(said) == 1


def test_vocabulary_that_begins_with_0(tmp_path: Path) -> None:
    made, _ = read(tmp_path / "vocab.json", {"[PAD]": 0, "[UNK]": 1, "Cat": 2}, 3)
    assert made.encode_array("Cat cat").tolist() == [2, 1]


@pytest.mark.parametrize("kind", ["bytes", "wordpiece", "metaspace"])
def test_tokenizers_of_the_library(tmp_path: Path, kind: str) -> None:
    library = pytest.importorskip("tokenizers")
    texts = ["the cat sat on a mat", "déjà vu, the cats sat"] * 5
    if kind == "bytes":
        made = library.Tokenizer(library.models.BPE())
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = library.decoders.ByteLevel()
        alphabet = library.pre_tokenizers.ByteLevel.alphabet()
        trainer = library.trainers.BpeTrainer(
            vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
        )
    elif kind == "wordpiece":
        made = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
        made.pre_tokenizer = library.pre_tokenizers.Whitespace()
        made.decoder = library.decoders.WordPiece()
        trainer = library.trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False)
    else:
        made = library.Tokenizer(library.models.BPE(unk_token="<unk>"))
        made.pre_tokenizer = library.pre_tokenizers.Metaspace()
        made.decoder = library.decoders.Metaspace()
        trainer = library.trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>"], show_progress=False)
    made.train_from_iterator(texts, trainer)
    size = made.get_vocab_size() + 3  # models round the size up
    tokenizer, _ = read(tmp_path / "tokenizer.json", json.loads(made.to_str()), size)
    text = "the cats sat on déjà" if kind != "wordpiece" else "the cats sat on a mat"
    ids = made.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode_array(text).tolist() == ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode([size - 1]) == f"<{size - 1}>"
    with pytest.raises(UserError, match="at most the 5 tokens"):
        read_tokenizer(tmp_path / "tokenizer.json", 5, print)


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        ("a\nb\nc", 2, "at most the 2 tokens of the model"),
        ({"kind": "byte", "eod": False}, 3, "3 tokens of the model, got 256"),
        ({"kind": "char", "eod": False}, 3, "damaged"),
        ({"a": "b"}, 3, "a token a line"),
        ({"a": True}, 3, "a token a line"),
        ([1, 2], 3, "a token a line"),
        ({"model": {"type": "Nonsense"}}, 3, "cannot read it"),
        ({"kind": "vocabulary", "eod": False, "tokens": ["a"], "unknown": 7, "characters": False,
          "lowercase": False, "ignored": "", "skips": False}, 1, "from 0 to 0"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(tmp_path: Path, content: object, size: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        read(tmp_path / "file", content, size)
    assert "\n" not in str(raised.value)


def test_foreign_tokenizers_are_not_learnt() -> None:
    for kind in ("vocabulary", "library"):
        with pytest.raises(UserError, match="is not learnt"):
            train_tokenizer(kind, ["a"])

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data.tokenizers import (
    TOKENIZERS,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    StreamDecoder,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
    train_tokenizer,
)
from elman.errors import UserError

SAMPLE = "To be, or not to be: that is the question.\nWhether 'tis nobler — naïve 漢字 🙂\n" * 9
TRAINED = [train_tokenizer(kind, [SAMPLE], eod=eod, max_vocab=300) for kind in TOKENIZERS for eod in (False, True)]
TEXT = st.text(st.characters(codec="utf-8"))  # whatever UTF-8 can spell
every_tokenizer = pytest.mark.parametrize("tokenizer", TRAINED, ids=lambda t: f"{t.kind}-{t.eod is not None}")


@given(TEXT)
def test_char_round_trip(text: str) -> None:
    tokenizer = CharTokenizer.train([text[:5], text[5:]], max_vocab=1 << 16)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.characters == "".join(sorted(set(text)))
    # The same ids as the dictionary that every tutorial makes.
    ids = {character: token for token, character in enumerate(sorted(set(text)))}
    assert tokenizer.encode(text).tolist() == [ids[character] for character in text]


@given(TEXT)
def test_byte_round_trip(text: str) -> None:
    tokenizer = ByteTokenizer(eod=True)
    assert tokenizer.encode(text).tolist() == list(text.encode())
    assert tokenizer.decode(tokenizer.encode(text)) == text


BPE = TRAINED[-1]


@given(TEXT | st.text("to be\n'isT "))
def test_bpe_round_trip(text: str) -> None:
    assert isinstance(BPE, BPETokenizer)
    assert BPE.decode(BPE.encode(text)) == text


@given(st.text("ab <>unkeos\n\t\u2028é"))
def test_word_round_trip_up_to_white_space(text: str) -> None:
    tokenizer = WordTokenizer.train([text], max_vocab=1000)
    again = tokenizer.decode(tokenizer.encode(text))
    expected = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    assert again == "\n".join(" ".join(line.split()) for line in expected.replace("<eos>", "\n").split("\n"))


@every_tokenizer
def test_ids_are_in_range_and_typed(tokenizer: Tokenizer) -> None:
    text = SAMPLE + "unseen \x07 ψ"
    ids = tokenizer.encode_array(text)
    assert ids.dtype == tokenizer.dtype == np.uint16
    read = tokenizer.encode(text)
    assert (read.dtype, read.shape) == (torch.int64, (len(ids),))
    assert read.tolist() == ids.tolist()
    assert ids.max() < tokenizer.vocab_size <= 300
    assert (tokenizer.eod is None) or tokenizer.eod == tokenizer.vocab_size - 1
    assert tokenizer.eod not in ids.tolist()
    assert tokenizer.encode("").tolist() == []
    assert tokenizer.encode_array("").dtype == tokenizer.dtype


@every_tokenizer
def test_no_text_spells_the_end_of_a_document(tokenizer: Tokenizer) -> None:
    assert tokenizer.eod not in tokenizer.encode("<eod> <|endoftext|>").tolist()


@every_tokenizer
def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    again = load_tokenizer(path)
    assert type(again) is type(tokenizer)
    assert again.to_json() == tokenizer.to_json()
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode(SAMPLE).tolist() == tokenizer.encode(SAMPLE).tolist()
    specials = [(t.unk, t.eos, t.eod, t.vocab_size, t.start) for t in (again, tokenizer)]
    assert specials[0] == specials[1]


def test_fingerprints_differ() -> None:
    assert len({tokenizer.fingerprint for tokenizer in TRAINED}) == len(TRAINED)


@every_tokenizer
def test_every_symbol_can_be_shown(tokenizer: Tokenizer) -> None:
    for token in range(tokenizer.vocab_size):
        symbol = tokenizer.symbol(token)
        assert symbol
        assert symbol.isprintable()
        assert not any(character.isspace() for character in symbol)
    shown = {tokenizer.symbol(token) for token in range(tokenizer.vocab_size)}
    assert ("<eod>" in shown) == (tokenizer.eod is not None)
    assert ("<unk>" in shown) == (tokenizer.unk is not None)


@every_tokenizer
@given(data=st.data())
def test_decoding_token_by_token(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    stream = StreamDecoder(tokenizer)
    parts = [stream.push(token) for token in ids]
    assert "".join(parts) + stream.finish() == tokenizer.decode(ids)


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_a_character_is_held_back_until_it_is_whole(kind: str) -> None:
    tokenizer = train_tokenizer(kind, ["abc"])
    stream = StreamDecoder(tokenizer)
    ids = tokenizer.encode("a漢🙂").tolist()
    assert [stream.push(token) for token in ids] == ["a", "", "", "漢", "", "", "", "🙂"]
    assert stream.finish() == ""
    stream.push(ids[1])
    assert stream.finish() == "\ufffd"


def test_start() -> None:
    starts = {(t.kind, t.eod is not None): t.symbol(t.start) for t in TRAINED}
    assert {symbol for (_, eod), symbol in starts.items() if eod} == {"<eod>"}
    assert starts["char", False] == starts["byte", False] == starts["bpe", False] == "↵"
    assert starts["word", False] == "<eos>"
    assert CharTokenizer("abc").start == 0


def test_char_vocabulary() -> None:
    text = "aaaa bbb cc d"
    assert CharTokenizer.train([text], max_vocab=4).characters == " ab"
    assert CharTokenizer.train([text], max_vocab=5, eod=True).characters == " ab"
    assert CharTokenizer.train([text], max_vocab=99, min_count=3).characters == " ab"
    rare = CharTokenizer.train([text], max_vocab=4)
    assert rare.decode(rare.encode("abcd\U0010ffff\ud800")) == "ab" + 4 * "\ufffd"
    assert CharTokenizer.train([], max_vocab=9).encode("a").tolist() == [0]
    assert CharTokenizer.train(["\0a"], max_vocab=9).characters == "\0a"


def test_word_vocabulary() -> None:
    tokenizer = WordTokenizer.train(["b a b\n<unk> b a <eos> c <eod>", " c\nd"], max_vocab=99)
    symbols = [tokenizer.symbol(token) for token in range(tokenizer.vocab_size)]
    assert symbols == ["<eos>", "<unk>", "b", "a", "c", "<eod>", "d"]
    assert tokenizer.encode("b\nzz <unk> <eos> <eos>d").tolist() == [2, 0, 1, 1, 0, 1]
    assert WordTokenizer.train(["b a b c"], max_vocab=5, eod=True).words == ["b", "a"]
    assert WordTokenizer.train(["b a b c"], max_vocab=99, min_count=2).words == ["b"]


def test_word_counting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.data.tokenizers.word.MOST_WORDS", 100)
    texts = (f"often often w{number} " for number in range(1000))
    tokenizer = WordTokenizer.train(texts, max_vocab=1000)
    assert tokenizer.symbol(2) == "often"
    assert tokenizer.vocab_size <= 103


def test_bpe_is_the_librarys() -> None:
    import tokenizers

    ours = BPETokenizer.train([SAMPLE], max_vocab=290)
    library = tokenizers.Tokenizer.from_str(json.dumps(ours.model))
    library.decoder = tokenizers.decoders.ByteLevel()
    assert ours.encode(SAMPLE).tolist() == library.encode(SAMPLE).ids
    for token in range(ours.vocab_size):
        assert ours.decode([token]) == library.decode([token])
    assert ours.vocab_size == 290
    assert "␣t" in {ours.symbol(token) for token in range(ours.vocab_size)}
    assert BPETokenizer.train([SAMPLE], max_vocab=290).fingerprint == ours.fingerprint


def test_long_texts_encode_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.data.tokenizers.bpe.BLOCK", 64)
    assert BPE.decode(BPE.encode(SAMPLE * 5)) == SAMPLE * 5


@pytest.mark.parametrize(("kind", "least"), [("char", 2), ("word", 3), ("bpe", 256)])
def test_vocabularies_that_are_too_small(kind: str, least: int) -> None:
    with pytest.raises(UserError, match=f"max_vocab: expected at least {least} .*, got {least - 1}") as caught:
        train_tokenizer(kind, [SAMPLE], max_vocab=least - 1)
    assert caught.value.exit_code == 2
    assert train_tokenizer(kind, [SAMPLE], max_vocab=least).vocab_size == least


def test_unknown_kind() -> None:
    with pytest.raises(UserError, match="no such tokenizer: chars; did you mean 'char'"):
        train_tokenizer("chars", [])


@every_tokenizer
def test_damaged_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    whole = path.read_text(encoding="utf-8")
    without = {key: value for key, value in json.loads(whole).items() if key in ("kind", "eod")}
    damaged = ["", whole[: len(whole) // 2], "[]", "{}", json.dumps({**without, "kind": "other"})]
    if tokenizer.kind != "byte":
        damaged += [json.dumps(without), json.dumps({**without, "characters": 3, "words": 3, "model": {}})]
        damaged += [json.dumps({**without, "characters": [1], "words": [1, {}], "model": [[]]})]
    for text in damaged:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="is damaged"):
            load_tokenizer(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is damaged"):
        load_tokenizer(path)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        load_tokenizer(path)


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"pip install 'elman\[bpe\]'"):
        train_tokenizer("bpe", [SAMPLE])


def test_surrogates_from_a_command_line_do_no_harm() -> None:
    for tokenizer in TRAINED:
        assert "the" in tokenizer.decode(tokenizer.encode("the \udcff the"))


def test_a_class_is_imported_when_it_is_needed() -> None:
    code = """if True:
        import sys
        from elman.data import tokenizers
        tokenizers.train_tokenizer("char", ["a text"])
        print(*sorted(name for name in sys.modules if name.startswith("elman.data.tokenizers.")))
        assert tokenizers.ByteTokenizer.kind == "byte"
        assert not hasattr(tokenizers, "OtherTokenizer")
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["elman.data.tokenizers.char", "elman.data.tokenizers.tokenizer"]


def test_symbols_are_what_tokens_spell_made_visible() -> None:
    assert [ByteTokenizer(eod=True).symbol(token) for token in (10, 65, 92, 200, 256)] == [
        "↵",
        "A",
        "\\",
        "\\xc8",
        "<eod>",
    ]
    assert [CharTokenizer("\t é", eod=True).symbol(token) for token in range(5)] == ["⇥", "␣", "é", "<unk>", "<eod>"]


def test_marks_around_words_are_words_where_punctuation_is_asked_for(tmp_path: Path) -> None:
    texts = ['"Don\'t!" she said, 3.5 $ (see e-mail)...\n<unk> हिन्दी ño', "--"]
    tokenizer = train_tokenizer("word", texts, punctuation=True)
    words = ['"', "Don't", "!", '"', "she", "said", ",", "3.5", "$", "(", "see", "e-mail", ")", ".", ".", "."]
    found = [tokenizer.symbol(int(token)) for token in tokenizer.encode_array(texts[0])]
    assert found == [*words, "<eos>", "<unk>", "हिन्दी", "ño"]
    assert [tokenizer.symbol(int(token)) for token in tokenizer.encode_array("--")] == ["-", "-"]
    tokenizer.save(tmp_path / "t.json")
    again = load_tokenizer(tmp_path / "t.json")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode_array(texts[0]).tolist() == tokenizer.encode_array(texts[0]).tolist()
    plain = train_tokenizer("word", texts)
    assert "punctuation" not in plain.to_json()  # as earlier files of tokenizers
    assert plain.fingerprint != tokenizer.fingerprint
    assert "said," in plain.to_json()["words"]

"""Tagged sentences from files of every form, and what is said of a file that is none."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.number_words import NUMBERS
from elman.data.sources import NAMED_TAGGED
from elman.data.tagged import Layout, TaggedSentence
from elman.data.tagged_files import check_files, find_layout, layout_like, read_tagged
from elman.errors import UserError

TWO = [TaggedSentence(("No", "fim"), ("ADP", "NOUN")), TaggedSentence(("Ja",), ("ADV",))]


def conllu(*words: tuple[str, str]) -> str:
    return "".join(f"{n}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for n, (word, tag) in enumerate(words, 1))


FORMS = {
    "a.conll": "No ADP\nfim NOUN\n\nJa ADV\n",
    "a.txt": "No\tADP\nfim\tNOUN\n \n\nJa\tADV",
    "numbered.txt": "1 No _ ADP\n2 fim _ NOUN\n\n1 Ja _ ADV",
    "a.conllu": "# text = No fim\n" + conllu(("No", "ADP"), ("fim", "NOUN")) + "\n" + conllu(("Ja", "ADV")),
    "unnamed": conllu(("No", "ADP"), ("fim", "NOUN")) + "\n" + conllu(("Ja", "ADV")) + "\n\n",
    "a.jsonl": '{"tokens": ["No", "fim"], "tags": ["ADP", "NOUN"]}\n\n{"tags": ["ADV"], "tokens": ["Ja"], "id": 7}\n'
    '{"tokens": [], "tags": []}',
}


def write(path: Path, text: str, ends: str = "\n") -> str:
    data = text.replace("\n", ends).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def sentences(*files: str, column: str | int | None = None) -> list[TaggedSentence]:
    return list(read_tagged(files, find_layout(files, column)))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("compressed", ["", ".gz"])
def test_a_file_is_read_in_its_form(name: str, ends: str, before: str, compressed: str, tmp_path: Path) -> None:
    assert sentences(write(tmp_path / (name + compressed), before + FORMS[name], ends)) == TWO


def test_two_files_are_read_line_by_line(tmp_path: Path) -> None:
    files = write(tmp_path / "seq.in", "No  fim \n\nJa\n", "\r\n"), write(tmp_path / "seq.out", "ADP NOUN\n\nADV ")
    assert sentences(*files) == TWO
    assert find_layout(files) == Layout("parallel")


def test_a_key_of_json_has_the_tags(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", json.dumps({"tokens": ["a"], "ner": ["O"]}))
    assert sentences(file, column="ner") == [TaggedSentence(("a",), ("O",))]


MALFORMED = {
    "a.conll": ("a N\nb V\n\nc\n", "{0}, line 4: expected 2 columns, parted by spaces, got 1; every token"),
    "a.conllu": (conllu(("a", "N")) + "2\tb\n", "{0}, line 2: expected 10 columns, parted by tabs, got 2; "),
    "b.conll": (b"a N\nb \xff\n", "{0}, line 2: expected UTF-8 text, got byte 2 (invalid start byte); iconv"),
    "c.conll": (b"a N\nb\0 V\n", "{0}, line 2: expected text, got NUL at byte 1; give a text file"),
    "a.jsonl": ('{"tokens": ["a"], "tags": ["N"]}\n{"tokens"', "{0}, line 2: expected JSON, got a line that is none ("),
    "b.jsonl": (
        '\n{"tokens": ["a", "b"], "tags": ["N"]}',
        "{0}, line 2: expected a tag for each of 2 tokens, got 1; write",
    ),
    "c.jsonl": (
        '{"tokens": ["a"], "tags": [3]}',
        '{0}, line 1: expected words in "tags", got 3; write each as a string',
    ),
    "d.jsonl": ('{"tokens": ["a", ""], "tags": ["N", "N"]}', "{0}, line 1: expected words in \"tokens\", got ''; "),
    "e.jsonl": (
        '{"tokens": ["a"], "ner": ["N"]}',
        '{0}, line 1: expected an object with the lists "tokens" and "tags", got the keys tokens, ner; column=KEY',
    ),
    "f.jsonl": (
        '{"tokens": "a b", "tags": ["N"]}',
        '{0}, line 1: expected an object with the lists "tokens" and "tags", got "tokens": \'a b\'; ',
    ),
    "g.jsonl": ("[1]", "{0}, line 1: expected an object, got list; write an object a line"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_is_named(name: str, tmp_path: Path) -> None:
    data, message = MALFORMED[name]
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UserError) as told:
        sentences(str(path))
    assert str(told.value).startswith(message.format(path))
    assert "\n" not in str(told.value)


WORD = b"1\tw\t_\tX\t_\t_\t_\t_\t_\t_"
PIECES = [
    b"a N",
    b"\t",
    b" ",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"#",
    WORD,
    b"1-2",
    b"2.1",
    b"\xff",
    b"\0",
    b"-DOCSTART-",
    b"\x85",
]
PIECES += [b'{"tokens": ["a"], "tags": ["N"]}', b"{", b"# global.columns = ID", b"\xef\xbb\xbf"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=15).map(b"".join),
    st.sampled_from(["x.conll", "x.conllu", "x.jsonl", "x"]),
)
def test_a_file_is_read_or_refused_in_one_line(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        for files in ([str(path)], [str(path), str(path)]):
            told = str(path)
            try:
                for tokens, tags in read_tagged(files, find_layout(files)):
                    assert len(tokens) == len(tags) > 0
                    assert all(map(len, (*tokens, *tags)))
            except UserError as error:
                told = str(error)
            assert "\n" not in told
            assert str(path) in told or "data.column" in told


def test_further_files_have_the_columns_of_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a.conll", "a X N\nb X V\n"), write(tmp_path / "b.txt", "a X N")
    layout = find_layout(first[:1], 2)
    assert layout_like([first[1]], layout) is layout
    assert layout_like([write(tmp_path / "a.jsonl", FORMS["a.jsonl"])], layout) == Layout("jsonl")


def test_files_that_are_not_in_step_are_refused(tmp_path: Path) -> None:
    words, tags, short = (
        write(tmp_path / n, t) for n, t in (("in", "a b\nc\nd\n"), ("out", "N\nV\nV\n"), ("short", "N N\n"))
    )
    with pytest.raises(
        UserError, match=rf"{words}, line 1: expected a tag for each of 2 tokens, got 1 in {tags}; spaces part"
    ):
        sentences(words, tags)
    with pytest.raises(
        UserError, match=rf"expected as many lines in both, got 3 and 1; line 2 of {words} is the first"
    ):
        sentences(words, short)
    (tmp_path / "latin").write_bytes(b"N N\n\xe9\nN\n")
    with pytest.raises(UserError, match=rf"{tmp_path / 'latin'}, line 2: expected UTF-8"):
        sentences(words, str(tmp_path / "latin"))
    with pytest.raises(UserError, match=r"data\.column and data\.token_column out"):
        sentences(words, tags, column=2)


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for files, message in {
        ("number-words-eN",): "did you mean 'number-words-en'",
        (str(tmp_path),): "expected a file of tagged sentences, got a folder; give one of its files",
        ("a", "b", "c"): "one file of tagged tokens, or one of sentences and one of tags, got 3",
        ("number-words-en", "number-words-en"): "no such file",
    }.items():
        with pytest.raises(UserError, match=message) as told:
            check_files(files)
        assert told.value.exit_code == 2
    (tmp_path / "utf16.conll").write_bytes("a N\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"utf16.conll is UTF-16 text; iconv"):
        sentences(str(tmp_path / "utf16.conll"))


@pytest.mark.parametrize(
    ("name", "spelt"),
    [("number-words-en", {"one thousand two hundred and forty five": "1 1000 2 100 0 40 5", "zero": "0"}),
     ("number-words-pt_BR", {"mil duzentos e quarenta e cinco": "1000 200 0 40 0 5", "cem": "100",
                             "cento e um": "100 0 1"})],
)  # fmt: skip
def test_number_words_have_their_values(name: str, spelt: dict[str, str]) -> None:
    pytest.importorskip("num2words")
    assert name in NAMED_TAGGED
    found = {" ".join(words): " ".join(tags) for words, tags in sentences(name)}
    assert len(found) == NUMBERS
    assert {words: found[words] for words in spelt} == spelt
    for tags in found.values():  # the values add up, those before a hundred or a thousand as its multiples
        assert all(tag.isdigit() for tag in tags.split())


def test_the_values_of_number_words_add_up() -> None:
    pytest.importorskip("num2words")
    for number, (_, tags) in enumerate(sentences("number-words-en")):
        total = group = 0
        for value in map(int, tags):
            group = max(group, 1) * value if value in (100, 1000) else group + value
            total, group = (total + group, 0) if value == 1000 else (total, group)
        assert total + group == number
    assert all(
        sum(map(int, tags)) == number
        for number, (_, tags) in enumerate(sentences("number-words-pt_BR"))
        if number < 2000
    )

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from elman.data.pairs import PairSource, holds_pairs, open_pairs, pairs_in_memory
from elman.data.sources import open_source
from elman.errors import UserError

PAIRS = [("a dog", "ein Hund"), ("one\u2028line", "é"), ("two  cats", "zwei Katzen")]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    compress = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(compress(data))
    return path


def forms(folder: Path, ending: str) -> dict[str, list[Path]]:
    sources, targets = ("".join(f"{pair[side]}\n" for pair in PAIRS) for side in (0, 1))
    tsv = "\r\n".join("\t".join(pair) for pair in PAIRS)
    records = "\n\n".join(json.dumps({"target": b, "source": a, "id": 7}) for a, b in PAIRS)
    return {
        "parallel": [write(folder / f"x.en{ending}", sources), write(folder / f"x.de{ending}", targets)],
        "tsv": [write(folder / f"x.TSV{ending}", "\ufeff" + tsv)],
        "jsonl": [write(folder / f"x.jsonl{ending}", records + "\n")],
    }


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["parallel", "tsv", "jsonl"])
def test_every_form_gives_the_same_pairs(tmp_path: Path, form: str, ending: str) -> None:
    files = forms(tmp_path, ending)[form]
    source = open_pairs(files)
    assert isinstance(source, PairSource)
    assert [(pair.source, pair.target) for pair in source.pairs()] == PAIRS
    assert [pair.line for pair in source.pairs()] == ([1, 3, 5] if form == "jsonl" else [1, 2, 3])
    assert source.empty.count == 0
    assert source.size == sum(path.stat().st_size for path in files)
    assert holds_pairs(files)
    stamp = source.stamp
    assert stamp == open_pairs(list(map(str, files))).stamp
    files[-1].write_bytes(files[-1].read_bytes() + b"\n")
    assert stamp != open_pairs(files).stamp


def test_what_holds_pairs(tmp_path: Path) -> None:
    assert holds_pairs(["a", "b"])
    assert holds_pairs(["dates"])
    assert holds_pairs(["missing.tsv.zst"])
    assert not holds_pairs(["python-stdlib"])
    assert not holds_pairs([str(tmp_path)])
    assert not holds_pairs(["missing.jsonl"])
    for text in ('{"text": "a"}\n', "{", "", '["source", "target"]', '{"source": "a"}', '{"source": "a", "target": 1}'):
        assert not holds_pairs([write(tmp_path / "x.jsonl", text)])
    assert not holds_pairs([write(tmp_path / "x.jsonl", b"\xff")])
    assert holds_pairs([write(tmp_path / "x.jsonl", '\n{"source": "a", "target": ""}')])


def test_pairs_with_an_empty_side_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "a\tb\n\n\t\n \t \nc\t\n\td\ne\tf\n")
    source = open_pairs(path)
    assert isinstance(source, PairSource)
    for _ in range(2):  # counted anew each time
        assert [pair[:3] for pair in source.pairs()] == [("a", "b", 1), ("e", "f", 7)]
        assert (source.empty.count, source.empty.first) == (2, 5)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("1\n2\n3\n4\n", "1\n2\n", "as many lines in both, got 4 and 2; line 3 of {0} is the first without"),
        ("1\n2", "1\n2\n3\n\n5", "as many lines in both, got 2 and 5; line 3 of {1} is the first without"),
        ("", "1\n", "got 0 and 1; line 1 of {1}"),
        ("1\n2\n", "1\n\xff", "{1} is not UTF-8 text: line 2, byte 2"),
    ],
)
def test_parallel_files_that_are_not(tmp_path: Path, source: str, target: str, said: str) -> None:
    paths = write(tmp_path / "a", source.encode("latin1")), write(tmp_path / "b", target.encode("latin1"))
    with pytest.raises(UserError) as error:
        list(open_pairs(paths).pairs())  # type: ignore[union-attr]
    assert said.format(*paths) in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.tsv", "a\tb\na b\n", "line 2: expected two columns: source<TAB>target, got 1"),
        ("x.tsv", "a\tb\tc\n", "line 1: expected two columns: source<TAB>target, got 3"),
        ("x.jsonl", '{"source": "a", "target": "b"}\n{"source"\n', "line 2: not JSON (Expecting ':' delimiter)"),
        ("x.jsonl", '{"text": "a"}', 'line 1: expected an object with strings "source" and "target", got keys text'),
        ("x.jsonl", "[]", "got list"),
        ("x.jsonl", "[" * 100_000, "line 1: not JSON"),
    ],
)
def test_lines_that_are_no_pairs(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(UserError) as error:
        list(open_pairs(path).pairs())  # type: ignore[union-attr]
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    text = write(tmp_path / "x.txt", "a\n")
    for data, said in [
        ("number-en", "did you mean 'numbers-en'?"),
        (text, "expected a .tsv, a .jsonl, or a named source, got one text; give a second file"),
        ([text, tmp_path / "y"], "no such file"),
        (["numbers-en", text], "numbers-en has targets of its own; give it alone"),
        ([text, tmp_path], "expected a file of pairs, got a folder"),
        (tmp_path, "expected a file of pairs, got a folder"),
        ([text] * 3, "expected one file, or one of sources and one of targets"),
        ([], "expected one file, or one of sources and one of targets"),
        ("x" * 5000, "File name too long"),
    ]:
        with pytest.raises(UserError) as error:
            open_pairs(data)  # type: ignore[arg-type]
        assert said in str(error.value)


def test_a_source_of_pairs_is_no_text() -> None:
    with pytest.raises(UserError, match="numbers-en: expected text, got a source of pairs"):
        open_source("numbers-en")
    with pytest.raises(UserError, match="did you mean 'dates'"):
        open_source("date")


def test_lone_surrogates_are_mended(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", r'{"source": "a\ud800", "target": "b\r\nc"}')
    source = open_pairs(path)
    assert isinstance(source, PairSource)
    assert next(source.pairs())[:2] == ("a\ufffd", "b\nc")


def test_pairs_in_memory() -> None:
    source = pairs_in_memory([("a\r\nb", "c\ud800"), ("", "d"), ("", ""), ("e", "f")])
    assert open_pairs(source) is source
    assert [pair[:3] for pair in source.pairs()] == [("a\nb", "c\ufffd", 1), ("e", "f", 4)]
    assert (source.empty.count, source.empty.first, source.size) == (1, 2, 4)
    assert [pair.position for pair in source.pairs()] == [1, 4]
    assert source.stamp == pairs_in_memory([("a\nb", "c\ufffd"), ("", "d"), ("", ""), ("e", "f")]).stamp
    assert source.stamp != pairs_in_memory([("a\nb", "c\ufffd"), ("e", "f")]).stamp
    for bad in (("a",), ("a", 1), "ab", None):
        with pytest.raises(UserError, match=r"pair 2: expected two strings: \(source, target\)"):
            pairs_in_memory([("a", "b"), bad])  # type: ignore[list-item]

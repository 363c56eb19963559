"""Which structure a file has, by its first lines."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from elman.data.pairs import holds_pairs
from elman.data.sources import NAMED_LABELLED, NAMED_SERIES, NAMED_TAGGED
from elman.data.structures import labelled, read_head, series_table, tagged_tokens

WORDS = {"tokens": tagged_tokens, "labels": labelled, "series": series_table}
LONG = "unique_id,ds,y,price\n" + "".join(f"{i},2024-01-{day:02},{day}.5,3\n" for i in "ab" for day in range(1, 9))
WIDE = "date,HUFL,OT\n" + "".join(
    f"2016-07-{day:02} 00:00:00,5.8,\n2016-07-{day:02} 01:00:00,,-1e-3\n" for day in range(1, 9)
)
TS = "#c\n@problemName Vowels\n@classLabel true a b\n@data\n1.8,1.7:0.1,0.2:a\n"
CONLLU = "# text = Oi\n1\tOi\toi\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
REVIEW = "A film, a play, " * 400  # so long that the last row of the beginning is cut


@pytest.mark.parametrize(
    ("name", "text", "structure"),
    [
        ("a.conllu", CONLLU, "tokens"),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["X", "Y"]}\n', "tokens"),
        ("a.jsonl", '{"text": "a", "label": 1}\n', "labels"),
        ("a.jsonl", '{"values": [1, 2], "label": "x"}\n', "labels"),
        ("a.csv", "id,text,label\n1,A good film.,pos\n2,Bad,neg\n", "labels"),
        ("a.csv", "text,label\nA good film.,pos", "labels"),
        ("a.csv", "label,text\n" + f'pos,"{REVIEW}"\n' * 99, "labels"),
        ("a.tsv", "text\tlabel\nA good film.\tpos\n", "labels"),
        ("a.ts", TS, "labels"),
        ("a.ts", "@timeStamps false\n@classLabel true a b\n@data\n1.8,1.7:a\n", "labels"),
        ("long.csv", LONG, "series"),
        ("long.csv", "ds,unique_id,y\n1,a,2\n1,b,3\n", "series"),
        ("long.jsonl", '{"unique_id": "a", "ds": 1, "y": 2}\n', "series"),
        ("wide.csv", WIDE, "series"),
        ("wide.txt", WIDE.replace(",", ";"), "series"),
        ("offsets.csv", "at,a\n2024-10-27T02:00:00+02:00,1\n2024-10-27T02:00:00+01:00,2\n", "series"),
        ("numbered.csv", "year,a\n1990,1\n1989,2\n", "series"),
        ("months.tsv", "month\ta\n1990-01\t1\n1990-02\t2\n", "series"),
        # Of none: the times come twice, have no name of times, or a column holds words.
        ("twice.csv", "date,a\n2024-01-01,1\n2024-01-01,2\n", None),
        ("points.csv", "x,y\n1,2\n2,3\n", None),
        ("words.csv", "date,said\n2024-01-01,Yes\n2024-01-02,No\n", None),
        ("a.ts", TS.replace("true a b", "false"), None),
        ("a.txt", "text, label\nRoses, red,\n", None),
        ("a.tsv", "a cat\teine Katze\na dog\tein Hund\n", None),
        ("a.jsonl", '{"source": "a", "target": "b"}\n', None),
        ("a.jsonl", "[1]\n", None),
        ("empty.csv", "", None),
    ],
)
def test_structures(name: str, text: str, structure: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    zipped = tmp_path / f"{name}.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    for place in (path, str(path), zipped):
        reasons = {other: function([place]) for other, function in WORDS.items()}
        assert [other for other, reason in reasons.items() if reason] == ([structure] if structure else [])
        assert structure is None or reasons[structure].startswith(f"{place} ")  # type: ignore[union-attr]
    assert not (structure and holds_pairs([path]))


def test_parquet_and_arrays(tmp_path: Path) -> None:
    columns: dict[str, dict[str, Any]] = {
        "labels": {"text": ["a"], "label": [1]},
        "series": {"unique_id": ["001"], "ds": np.array(["2024-01-01"], "M8[s]"), "y": [None]},
        "tokens": {"tokens": [["a"]], "tags": [["X"]]},
    }
    for structure, table in columns.items():
        path = tmp_path / f"{structure}.parquet"
        parquet.write_table(pa.table(table), path)
        assert [name for name, function in WORDS.items() if function([path])] == [structure]
    parquet.write_table(pa.table({"time": pa.array(["2024-01-01", "2024-01-02"]), "a": [1.0, 2.0]}), path)
    assert series_table([path]) == f"{path} has times in time, and numbers in a"
    arrays = tmp_path / "a.npz"
    np.savez(arrays, x=np.zeros((2, 3)), y=np.zeros(2), x_test=np.zeros((2, 3)))
    assert labelled([arrays])
    np.savez(arrays, x=np.zeros((2, 3)))
    assert not labelled([arrays])
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut")
    assert not labelled([tmp_path / "b.npz"])


def test_two_files(tmp_path: Path) -> None:
    said = "play a song\nbook a table now\nwhat is on\nplay it again\nbook it\n"
    files = {
        "seq.in": said,
        "seq.out": "O O B-x\nO O B-y O\nO O O\nO O O\nO O\n",
        "label": "play\nbook\nask\nplay\nbook\n".replace("ask", "play"),
        "de": "spiel ein Lied\nbestelle einen Tisch\nwas kommt\nnoch einmal\nbuche es\n",
        "series.csv": "id,time,value\na,1,2.5\na,2,3\nb,1,0\n",
        "labels.csv": "id,label\na,x\nb,y\n",
    }
    place = {name: tmp_path / name for name in files}
    for name, text in files.items():
        place[name].write_text(text)
    source = place["seq.in"]
    assert tagged_tokens([source, place["seq.out"]]) == f"{place['seq.out']} has as many words in each line as {source}"
    assert tagged_tokens([source, place["de"]]) is tagged_tokens([source, place["label"]]) is None
    assert labelled([source, place["label"]])
    assert labelled([source, place["de"]]) is labelled([source, tmp_path / "nowhere"]) is None
    tables = [place["series.csv"], place["labels.csv"]]
    assert labelled(tables) == f"{tables[1]} has a label for each id of {tables[0]}"
    assert not holds_pairs(tables)
    assert holds_pairs([source, place["label"]])


def test_a_folder_of_labels(tmp_path: Path) -> None:
    for label in ("neg", "pos"):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.txt").write_text("A film.")
    assert labelled([tmp_path]) == f"{tmp_path} holds 2 folders of texts, such as neg"
    code = tmp_path / "neg" / "2.py"
    code.touch()
    assert not labelled([tmp_path])
    code.unlink()
    (tmp_path / "README.txt").touch()
    assert not labelled([tmp_path])


def test_names() -> None:
    named = {"tokens": NAMED_TAGGED, "labels": NAMED_LABELLED, "series": NAMED_SERIES}
    for structure, names in named.items():
        for name in names:
            assert [other for other, function in WORDS.items() if function([name])] == [structure]
    assert [function(["nowhere"]) for function in WORDS.values()] == [None] * 3


def test_a_row_that_does_not_fit_is_left_to_the_reader_of_tables(tmp_path: Path) -> None:
    for name, text, rows in (
        ("a.csv", "text, label\na,b\nc\n", [["a", "b"]]),
        ("a.tsv", 'text\tlabel\n"a\tb\n', [['"a', "b"]]),
    ):
        (tmp_path / name).write_text(text)
        head = read_head(tmp_path / name)
        assert head is not None
        assert (head.names, head.rows) == (["text", "label"], rows)
    (tmp_path / "a.txt").write_text("text,label\na,b\nc\n")
    assert read_head(tmp_path / "a.txt") is None
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    assert read_head(tmp_path / "a.csv") is None

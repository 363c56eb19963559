import gzip
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from elman.data.table import DataTable, is_table, number, read_table, table_of
from elman.errors import UserError

COLUMNS = {"id": ["001", "NA"], "text": ['say "no", or\nnot', " NULL "], "é": ["", "1e3"]}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes({".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)(data))
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_table(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_csv_keeps_every_cell_as_it_was_written(tmp_path: Path, separator: str, ending: str) -> None:
    rows = ['id,text,"é"', '001,"say ""no""# or', 'not",', "", "NA, NULL ,1e3"]
    text = "\r\n".join(rows).replace(",", separator).replace("#", ",")
    table = read_table(write(tmp_path / f"x.csv{ending}", "\ufeff" + text))
    assert table.columns == COLUMNS
    assert table.lines == [2, 5]
    assert table.place(1) == f"{tmp_path / f'x.csv{ending}'}, line 5"


def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "x.tsv", 'text\tlabel\n"5 inch\tNA\n\n3" pipe\tnull\n'))
    assert table.columns == {"text": ['"5 inch', '3" pipe'], "label": ["NA", "null"]}
    assert table.lines == [2, 4]


def test_json_lines_keep_their_types_and_their_order(tmp_path: Path) -> None:
    lines = ['{"b": [1, null], "a": "x\\ud800"}', "", '{"a": 1.5, "c": true}']
    table = read_table(write(tmp_path / "x.jsonl.zst", "\n".join(lines)))
    assert table.columns == {"b": [[1, None], None], "a": ["x\ufffd", 1.5], "c": [None, True]}
    assert list(table.columns) == ["b", "a", "c"]
    assert table.lines == [1, 3]


def test_parquet_has_plain_cells(tmp_path: Path) -> None:
    utc = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    made = pa.table(
        {
            "s": pa.array(["001", None]).dictionary_encode(),
            "n": [1, 2],
            "x": pa.array([math.nan, Decimal("1.5")], pa.decimal128(3, 1))
            if False
            else pa.array([Decimal("2.5"), None]),
            "at": pa.array([utc, None], pa.timestamp("ns", "America/Sao_Paulo")),
            "day": pa.array([utc.date(), None]),
            "list": [[1.0, None], []],
        }
    )
    parquet.write_table(made, tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet")
    assert table.columns == {
        "s": ["001", None],
        "n": [1, 2],
        "x": [2.5, None],
        "at": ["2024-03-30T22:30:00-03:00", None],
        "day": ["2024-03-31", None],
        "list": [[1.0, None], []],
    }
    assert table.place(1).endswith("x.parquet, row 2")


def test_the_index_that_pandas_adds_to_parquet_is_no_column(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"y": [1.0, 2.0]})[lambda frame: frame.y > 1].to_parquet(tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").columns == {"y": [2.0]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", "a,b\n1,2\n3\n", "line 3: expected 2 columns as in the header, got 1; quote a cell"),
        ("x.csv", 'a,b\n"1\n2",3,4\n', "line 2: expected 2 columns as in the header, got 3"),
        ("x.csv", 'a,b\n1,2\n\n3,"4\n5,6\n', "line 4: not CSV (unexpected end of data); close each quotation mark"),
        ("x.csv", 'a,b\n1,"4"5\n', "line 2: not CSV ("),
        ("x.csv", "a,b,a\n1,2,3\n", "line 1: expected different names of columns, got 'a' twice"),
        ("x.csv", "a,,\n1,2,3\n", "line 1: expected different names of columns, got '' twice"),
        ("x.csv", "a,b\n", "holds no rows"),
        ("x.csv", "", "holds no rows"),
        ("x.csv", b"a,b\n1,\xe9\n", "is not UTF-8 text: line 2, byte 6"),
        ("x.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16 text; iconv"),
        ("x.tsv", "a\tb\n1\t2\t3\n", "line 2: expected 2 columns as in the header, got 3; separate the cells by tabs"),
        ("x.jsonl", '{"a": 1}\n{"a": 1, "a": 2}\n', "line 2: not JSON (the key 'a' twice)"),
        ("x.jsonl", '{"a": 1}\n[1]\n', "line 2: expected an object, got [1]"),
        ("x.jsonl", '{"a": \n', "line 1: not JSON ("),
        ("x.jsonl", "\n", "holds no rows"),
        ("x.parquet", b"PAR1", "is damaged or no Parquet file"),
        ("x.csv.gz.txt", b"", "expected a table: .csv, .tsv, .jsonl, .ndjson, .parquet, .pq, got a file of the ending"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    assert said in refused(write(tmp_path / name, text))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        assert "cannot read" in refused(tmp_path / name)
        (tmp_path / name).mkdir()
        assert "cannot read" in refused(tmp_path / name)


def test_parquet_of_other_cells_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"b": [b"\xff"]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b.parquet, row 1, column 'b': expected a string, got b"):
        read_table(tmp_path / "b.parquet").texts("b")
    parquet.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), tmp_path / "t.parquet")
    assert "column 't': expected strings, numbers or times, got timestamp[ns]" in refused(tmp_path / "t.parquet")


def test_numbers_of_a_column(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "x.csv", "a;b;c;d\n 1.5;;nan;2\n-3e-2;7;-NaN;x\n"))
    np.testing.assert_array_equal(table.numbers("a"), [1.5, -0.03])
    np.testing.assert_array_equal(table.numbers("b"), [math.nan, 7])
    assert np.isnan(table.numbers("c")).all()
    with pytest.raises(UserError, match=r"x.csv, line 3, column 'd': expected a number, got 'x'; leave the cell empty"):
        table.numbers("d")
    for cell, remedy in (("1,5", "write a decimal point"), ("NA", "empty"), ("inf", ""), ("1_0", ""), (True, "")):
        with pytest.raises(UserError, match=f"row 4, column 'y': expected a number, got {cell!r}.*{remedy}"):
            table_of([(4, {"y": cell})], "memory", "row").numbers("y")


def test_columns_and_texts_by_name() -> None:
    table = table_of([(1, {"text": "a"}), (2, {"label": 3})], "x")
    with pytest.raises(UserError, match="x: expected a column 'lable', got 'text', 'label'; did you mean 'label'"):
        table.column("lable")
    with pytest.raises(UserError, match="x, line 2, column 'text': expected a string, got None"):
        table.texts("text")
    assert DataTable("t", {"a": ["b"]}, [1]).texts("a") == ["b"]


def test_which_names_are_tables() -> None:
    assert all(map(is_table, ("a.CSV", "a.tsv.gz", "a.jsonl.zst", "a.ndjson", "a.PARQUET", "a.pq")))
    assert not any(map(is_table, ("a.txt", "a.parquet.gz", "a.ts", "csv")))


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0\r", codec="utf-8")), min_size=2, max_size=2)))
def test_what_the_csv_writer_writes_is_read_back(rows: list[list[str]]) -> None:
    import csv
    import io
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["a", "b"], *rows])
        path = write(Path(folder) / "x.csv", text.getvalue())
        if rows:
            assert list(map(list, zip(*read_table(path).columns.values(), strict=True))) == rows


@given(st.floats(allow_infinity=False))
def test_a_number_is_the_number_that_was_written(value: float) -> None:
    for cell in (value, repr(value), json.dumps(value)):
        found = number(cell)
        assert found == value or (math.isnan(value) and found is not None and math.isnan(found))


@given(
    st.lists(
        st.sampled_from(["1", "-2.5e3", "", " ", "nan", "inf", "1e999", "1_0", "\u0663", "x", " 4 ", "0x1"]), max_size=4
    )
)
def test_cells_that_are_read_together_are_as_one_by_one(cells: list[str]) -> None:
    table = table_of(enumerate([{"y": cell} for cell in ["1", *cells]], 1), "memory", "row")
    expected = [number(cell) for cell in table.columns["y"]]
    if None in expected:
        with pytest.raises(UserError, match=f"row {1 + expected.index(None)}, column 'y'"):
            table.numbers("y")
    else:
        np.testing.assert_array_equal(table.numbers("y"), np.array(expected, np.float64))

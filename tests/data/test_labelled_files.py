import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from elman.data.labelled import LabelColumns, Labelled, label_of, series_of
from elman.data.labelled_files import read_inputs, read_labelled
from elman.errors import UserError

TEXTS = ["a dog,", '"NA"', "", "x  y\u2028"]
LABELS = ["A", "a", "null", "-1"]


def refused(read: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def forms(folder: Path) -> dict[str, list[Path]]:
    names = ("x.csv", "x.tsv.gz", "x.jsonl", "x.parquet", "x.txt", "y.txt")
    csv, tsv, jsonl, table, texts, labels = (folder / name for name in names)
    rows = list(zip(TEXTS, LABELS, strict=True))
    quoted = ['"' + text.replace('"', '""') + f'",{label}' for text, label in rows]
    csv.write_text("\n".join(["text,label", *quoted]))
    tsv.write_bytes(gzip.compress("\r\n".join(["label\ttext", *(f" {y} \t{x}" for x, y in rows)]).encode()))
    jsonl.write_text("\n".join(json.dumps({"id": 1, "text": x, "label": y}) for x, y in rows))
    parquet.write_table(pa.table({"text": TEXTS, "label": LABELS}), table)
    texts.write_text("".join(f"{text}\n" for text in TEXTS))
    labels.write_text("\r\n".join(LABELS))
    return {"csv": [csv], "tsv": [tsv], "jsonl": [jsonl], "parquet": [table], "parallel": [texts, labels]}


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "parallel"])
def test_every_form_gives_the_same_examples(tmp_path: Path, form: str) -> None:
    found = read_labelled(forms(tmp_path)[form])
    assert found.inputs == TEXTS
    assert found.labels("class") == LABELS
    assert not found.series


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    for path, text in {
        "pos/b.txt": "good\n",
        "pos/in/a.txt": "é",
        "Neg/1": "bad",
        "pos/.hidden": "",
        ".x/a": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = read_labelled([tmp_path])
    assert (found.inputs, found.cells) == (["bad", "good\n", "é"], ["Neg", "pos", "pos"])
    (tmp_path / "readme").write_text("")
    assert "expected a folder for each label, got the file readme" in refused(read_labelled, [tmp_path])
    (tmp_path / "pos" / "c.txt").write_bytes(b"\xff")
    (tmp_path / "readme").unlink()
    assert "c.txt is not UTF-8 text" in refused(read_labelled, [tmp_path])


def test_series_in_json_lines_and_parquet(tmp_path: Path) -> None:
    values = [[1, None, 2.5], [[1, 2], [3, None]]]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"values": each, "label": 7}) + "\n" for each in (values[0], [4])))
    found = read_labelled([path])
    np.testing.assert_array_equal(found.inputs[0], [[1], [np.nan], [2.5]])
    assert found.labels("class") == ["7", "7"]
    parquet.write_table(pa.table({"values": [values[1]], "label": ["x"]}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(read_labelled([tmp_path / "x.parquet"]).inputs[0], [[1, 2], [3, np.nan]])
    path.write_text("".join(json.dumps({"values": each, "label": 7}) + "\n" for each in values))
    assert f"{path}, line 2: expected as many channels as in {path}, line 1, 1, got 2" in refused(read_labelled, [path])


@pytest.mark.parametrize(
    ("cell", "got"),
    [
        ([], "no values"),
        ([[1, 2], [3]], "rows of different lengths; write null"),
        (["x"], "['x']"),
        ([[[1]]], "3 levels of lists"),
        (None, "0 levels of lists"),
        ({"a": 1}, "{'a': 1}"),
        ([float("inf")], "an infinite one; write null"),
        ("text", "'text'"),
        ([10**400], "[1000"),
    ],
)
def test_what_is_no_series(cell: Any, got: str) -> None:
    message = refused(series_of, cell, "f, line 3")
    assert message.startswith("f, line 3: expected ")
    assert f"got {got}" in message


def test_arrays_may_have_the_names_of_scikit_learn(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X=np.ones((3, 4)), y=np.array([1, 0, 1]))
    assert read_labelled([tmp_path / "x.npz"], part="train").labels("class") == ["1", "0", "1"]


def test_arrays(tmp_path: Path) -> None:
    x = np.arange(12).reshape(3, 4)
    np.savez(tmp_path / "x.npz", x=x, y=np.array([1, 0, 2]), x_test=x[:2, :, None] + 0.5, y_test=np.array(["b", "a"]))
    train, test = (read_labelled([tmp_path / "x.npz"], part=part) for part in ("train", "test"))  # type: ignore[arg-type]
    assert [series.shape for series in train.inputs] == [(4, 1)] * 3
    assert train.labels("class") == ["1", "0", "2"]
    assert test.cells == ["b", "a"]
    assert test.inputs[1][:, 0].tolist() == [4.5, 5.5, 6.5, 7.5]
    np.savez_compressed(tmp_path / "m.npz", x=x, y=np.eye(3, dtype=bool)[[0, 2, 2]])
    assert read_labelled([tmp_path / "m.npz"], part="test").labels("several") == [("0",), ("2",), ("2",)]


def test_arrays_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for arrays, said in (
        ({"a": np.ones(2)}, "x.npz: expected arrays x and y, got a"),
        ({"x": np.ones(2), "y": np.ones(2)}, "x: expected numbers (N, T) or (N, T, D), got float64 of shape (2,)"),
        ({"x": np.ones((2, 2)), "y": np.ones(3)}, "y: expected 2 labels as there are series, got 3"),
        ({"x": np.array([[None]]), "y": np.ones(1)}, "is damaged, or no .npz of plain arrays"),
        ({"x": np.array([["a"]]), "y": np.ones(1)}, "x: expected numbers"),
        ({"x": np.ones((0, 3)), "y": np.ones(0)}, "holds no examples"),
        ({"x": np.array([[1, np.inf]]), "y": np.ones(1)}, "x[0]: expected finite numbers"),
    ):
        np.savez(path, **arrays)  # type: ignore[arg-type]
        assert said in refused(read_labelled, [path])
    path.write_bytes(path.read_bytes()[:-30])
    assert "is damaged, or no .npz" in refused(read_labelled, [path])
    path.write_bytes(b"")
    assert "is damaged, or no .npz" in refused(read_labelled, [path])


def test_the_digits_have_a_part_for_testing() -> None:
    train, test = read_labelled(["digits"]), read_labelled(["digits"], part="test")
    assert len(train) + len(test) == 1797
    assert len(test) == pytest.approx(1797 / 5, rel=0.1)
    assert all(len(dict.fromkeys(part.labels("class"))) == 10 for part in (train, test))
    assert train.inputs[0].shape == (8, 8)
    assert not {*train.places} & {*test.places}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "x.csv",
            "review,stars\na,1\n",
            "x.csv: expected a column 'text' of texts, or 'values' of series, got 'review', 'stars'; text=N",
        ),
        (
            "x.jsonl",
            '{"text": "a", "label": "b"}\n{"text": 1, "label": "b"}',
            "line 2, column 'text': expected a string, got 1",
        ),
        ("x.txt", "a\n", "expected a table (.csv, .tsv, .jsonl, .parquet), .ts, .npz"),
        ("x.csv", "text,label\na\n", "line 2: expected 2 columns as in the header, got 1"),
    ],
)
def test_files_without_examples(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    assert said in refused(read_labelled, [tmp_path / name])


def test_places_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a\n")
    for files, said in (
        ([], "expected one file of labelled examples, or two, got none"),
        (["a", "b", "c"], "got a and b and c"),
        (["digit"], "no such file or named source: digit; did you mean 'digits'?"),
        (["digits", tmp_path / "x"], "digits has labels of its own; give it alone"),
        ([tmp_path / "x", tmp_path], "expected a file, got a folder"),
        (["x" * 5000], "cannot read"),
        ([tmp_path], "got the file x"),
    ):
        assert said in refused(read_labelled, files)


def test_parallel_files_that_are_not(tmp_path: Path) -> None:
    texts, labels = tmp_path / "x", tmp_path / "y"
    texts.write_text("a\nb\nc\n")
    labels.write_text("1\n2\n")
    assert "are not parallel: expected as many lines in both, got 3 and 2" in refused(read_labelled, [texts, labels])
    labels.write_text("1\n\n2\n")
    assert f"{labels}, line 2: expected a label, got none" in refused(read_labelled([texts, labels]).labels, "class")


def test_labels_of_every_kind(tmp_path: Path) -> None:
    found = Labelled("f", ["a", "b"], [True, "b|a| "], ["f, line 2", "f, line 3"])
    assert found.labels("class") == ["true", "b|a|"]
    assert found.labels("several") == [("true",), ("a", "b")]
    assert label_of(None, "", "several") == label_of([], "", "several") == label_of("", "", "several") == ()
    assert label_of(["b", "a", "b"], "", "several") == ("a", "b")
    assert label_of("a#b", "", "several", "#") == ("a", "b")
    assert label_of("-2e1", "", "number") == -20
    assert "f, line 2: expected a label that is a number, got True" in refused(found.labels, "number")
    assert "p: expected a label that is a number, got ''; leave out" in refused(label_of, "", "p", "number")
    assert "p: expected one label, got ['a']; multilabel=True" in refused(label_of, ["a"], "p", "class")
    assert "p: expected one label, got b'a'" in refused(label_of, b"a", "p", "class")
    for nothing in (None, " "):
        assert "p: expected a label, got none" in refused(label_of, nothing, "p", "class")
    assert "f holds no labels" in refused(Labelled("f", ["a"], None, [""]).labels, "class")


def test_inputs_to_ask_about_need_no_labels(tmp_path: Path) -> None:
    for name, text, inputs in (
        ("x.txt", "one\n\n two \r\n", ["one", "", " two "]),
        ("x.csv", "text\na\nb\n", ["a", "b"]),
        ("y.csv", "body,label\na,1\n", ["a"]),
        ("x.jsonl", '{"text": "a"}', ["a"]),
    ):
        (tmp_path / name).write_text(text)
        assert (
            read_inputs(tmp_path / name, LabelColumns(text="body") if name == "y.csv" else LabelColumns()).inputs
            == inputs
        )
    (tmp_path / "x.ts").write_text("@classLabel false\n@data\n1,2\n")
    found = read_inputs(tmp_path / "x.ts")
    assert (found.inputs[0].tolist(), found.cells) == ([[1], [2]], None)

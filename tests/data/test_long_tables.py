from pathlib import Path

import numpy as np
import pytest

from elman.data.labelled import LabelColumns, Labelled
from elman.data.labelled_files import read_inputs, read_labelled
from elman.errors import UserError

VALUES = ["001,2,1.5,10", "b,1,,-3", "001,10,2e0,20", "001,1,0.5,nan"]


def write(folder: Path, name: str, head: str, rows: list[str]) -> Path:
    (folder / name).write_text("\n".join([head, *rows]) + "\n")
    return folder / name


def read(folder: Path, values: list[str], labels: list[str], head: str = "id,time,x,y") -> Labelled:
    return read_labelled([write(folder, "v.csv", head, values), write(folder, "l.csv", "id,label", labels)])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_rows_in_any_order_are_the_same_series(tmp_path: Path, order: list[int]) -> None:
    found = read(tmp_path, [VALUES[at] for at in order], ["b,no", "001,yes"])
    assert (found.cells, found.ids) == (["no", "yes"], ["b", "001"])
    nan = np.nan
    np.testing.assert_array_equal(found.inputs[0], [[nan, -3]])
    np.testing.assert_array_equal(found.inputs[1], [[0.5, nan], [1.5, 10], [2, 20]])  # times are numbers: 2 before 10
    assert found.places[1] == f"{tmp_path / 'l.csv'}, line 3"


def test_times_with_offsets_are_moments(tmp_path: Path) -> None:
    values = ["a,2024-03-31T03:00:00+02:00,2,0", "a,2024-03-31T01:30:00+01:00,1,0"]
    assert read(tmp_path, values, ["a,x"]).inputs[0][:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "labels", "said"),
    [
        (
            ["a,1,2,3", "b,1,2,3", "a,1.0,5,6"],
            ["a,x"],
            "v.csv, line 4: expected a row for each id and time, got two rows of 'a', the other in line 2",
        ),
        (["a,1,2,3"], ["a,x", "a,y"], "l.csv, line 3: expected each id once, got 'a' again, after line 2"),
        (["a,1,2,3"], ["a,x", "c,y"], "l.csv, line 3: expected the id of a series in"),
        (["a,1,2,3", "b,1,2,3"], ["a,x"], "v.csv, line 3: expected an id that has a label in"),
        (["a,1,2,3", "a,,2,3"], ["a,x"], "v.csv, line 3, column 'time': expected a number, or a time such as"),
        (
            ["a,2024-01-01,2,3", "a,2024-01-02T00:00Z,2,3"],
            ["a,x"],
            "line 3, column 'time': expected a time of the same form as the first",
        ),
        (["a,1,2,x"], ["a,x"], "v.csv, line 2, column 'y': expected a number, got 'x'"),
        ([" ,1,2,3"], ["a,x"], "v.csv, line 2: expected an id, got none"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, values: list[str], labels: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, values, labels)
    assert said in str(error.value)


def test_columns_by_other_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a column 'time', got 'id', 't', 'x', 'y'; time_column=NAME"):
        read(tmp_path, VALUES, ["b,no", "001,yes"], head="id,t,x,y")
    files = [tmp_path / "v.csv", write(tmp_path, "l.csv", "id,kind", ["b,no", "001,yes"])]
    assert read_labelled(files, LabelColumns(time_column="t", label="kind")).cells == ["no", "yes"]
    with pytest.raises(UserError, match="expected columns of values beside id and time, got none"):
        read(tmp_path, ["a,1"], ["a,x"], head="id,time")


def test_a_long_table_without_labels_can_be_asked_about(tmp_path: Path) -> None:
    found = read_inputs(write(tmp_path, "v.csv", "id,time,x,y", VALUES))
    assert [len(series) for series in found.inputs] == [3, 1]
    assert found.ids == ["001", "b"]
    assert found.cells is None

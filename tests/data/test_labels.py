import json
from pathlib import Path

import numpy as np
import pytest

from elman.data.labels import LabelCodec, are_numbers, learn_labels
from elman.data.lanes import NOT_COUNTED
from elman.errors import UserError


def test_classes_keep_their_case_and_their_signs() -> None:
    codec = learn_labels(["a", "A", "-1", "1", "a"], "class", "f")
    assert codec.names == ("-1", "1", "A", "a")
    assert codec.counts == (1, 1, 1, 2)
    assert codec.encode(["a", "b", "-1"]).tolist() == [3, NOT_COUNTED, 0]
    assert codec.size == 4


def test_classes_that_are_numbers_are_in_their_order() -> None:
    assert learn_labels(["10", "9", "-1"], "class", "f").names == ("-1", "9", "10")


def test_numbers_are_standardised_and_come_back() -> None:
    codec = learn_labels([1.0, 2.0, 6.0], "number", "f")
    targets = codec.encode([1.0, 2.0, 6.0])
    assert targets.dtype == np.float32
    assert targets.mean() == pytest.approx(0, abs=1e-6)
    assert targets.std() == pytest.approx(1)
    assert [codec.number(float(each)) for each in targets] == pytest.approx([1, 2, 6])
    assert codec.size == 1


def test_several_labels_or_none() -> None:
    codec = learn_labels([("b", "a"), (), ("b",)], "several", "f")
    assert (codec.names, codec.counts) == (("a", "b"), (1, 2))
    assert codec.encode([("b", "new"), (), ("a", "b")]).tolist() == [[0, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("labels", "kind", "said"),
    [
        (["a", "a"], "class", "f, labels of the training part: expected at least two different ones, got 'a' alone"),
        ([], "class", "got none"),
        ([(), ()], "several", "at least one, got none"),
        ([], "number", "expected different numbers, got none"),
        ([2.0, 2.0], "number", "f, labels of the training part: expected different numbers, got 2 alone"),
    ],
)
def test_labels_that_leave_nothing_to_learn(labels: list[str], kind: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        learn_labels(labels, kind, "f")  # type: ignore[arg-type]
    assert said in str(error.value)


def test_the_file_of_a_codec(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    for codec in (learn_labels(["é", "\u2028"], "class", "f"), learn_labels([0.1, 0.3], "number", "f")):
        path.write_text(json.dumps(codec.to_json()))
        assert LabelCodec.read(path) == codec
    assert LabelCodec.read(path).form == "text", "as in files that do not say"
    good = learn_labels(["a", "b"], "class", "f").to_json()
    for wrong in (
        {"form": "boolean"},
        {"form": "whole"},
        {"names": ["a"]},
        {"names": [], "counts": []},
        {"deviation": 0.0},
        {"kind": "x"},
        {"mean": "1"},
    ):
        path.write_text(json.dumps(good | wrong))
        with pytest.raises(UserError, match="is damaged"):
            LabelCodec.read(path)


def test_which_labels_are_numbers() -> None:
    """Classes may have numbers for names."""
    assert not are_numbers([str(at % 10) for at in range(1000)])
    assert not are_numbers([at % 100 for at in range(1000)])
    assert not are_numbers([at % 20 / 2 for at in range(100)])
    assert are_numbers([at % 21 / 2 for at in range(100)])
    assert are_numbers(["0.5", "1", "1.5"])
    assert are_numbers([str(at % 300) for at in range(1000)])
    assert not are_numbers([*range(50), "x"])
    assert are_numbers([*range(50), "", "nan", None])  # who reads them names the lines of those that are missing
    assert not are_numbers(["", "nan"])
    assert not are_numbers(["a", "nan", ""])

"""The data of classification: read for a training, and for what a trained model is asked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.data.labelled import records
from elman.errors import UserError
from elman.tasks.classification import corpus
from elman.tasks.classification.settings import ClassifierTraining, LabelledSettings
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Trained


class Sizes:
    """The sizes of a model."""

    def __init__(self, outputs: int, vocab_size: int | None = None, channels: int | None = None):
        self.outputs, self.vocab_size, self.channels = outputs, vocab_size, channels


def settings(**data: Any) -> Settings:
    return Settings.model_construct(data=LabelledSettings(**data), train=ClassifierTraining())


def read(**data: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    return corpus.read(settings(**data), Path("unused"), said.append, None), said


def trained(made: Any, path: Path) -> Trained:
    codecs = {"labels": made.labels, "tokenizer": made.tokenizer, "scaler": made.scaler}
    return Trained(path, None, None, {k: v for k, v in codecs.items() if v is not None}, {})  # type: ignore[arg-type]


def table(path: Path, rows: int = 40) -> Path:
    lines = [json.dumps({"body": f"good day number {at % 4}", "kind": "ab"[at % 2]}) for at in range(rows)]
    path.write_text("\n".join(lines))
    return path


def test_names_of_columns_kinds_and_cuts_are_settings(tmp_path: Path) -> None:
    path = table(tmp_path / "x.jsonl")
    made, said = read(source=str(path), valid=str(path), text="body", label="kind", max_length=3)
    assert (len(made.train), len(made.valid), made.labels.names) == (40, 40, ("a", "b"))
    assert said[0].startswith("tokens are words, read by the n-grams of their characters, because a text has 4 words")
    assert said[1] == "80 sequences are longer than 3 steps: what follows is not read (data.max_length)"
    (tmp_path / "n.csv").write_text("text,label\n" + "".join(f"text {at},{at % 7}\n" for at in range(40)))
    assert read(source=str(tmp_path / "n.csv"))[0].labels.kind == "class"
    assert read(source=str(tmp_path / "n.csv"), label_type="number")[0].labels.kind == "number"
    assert read(source=str(tmp_path / "n.csv"), multilabel=True)[0].labels.kind == "several"
    with pytest.raises(UserError, match="expected a column 'kind', got 'text', 'label'"):
        read(source=str(tmp_path / "n.csv"), label="kind")


def test_a_resumed_run_expects_its_own_examples(tmp_path: Path) -> None:
    path = table(tmp_path / "x.jsonl")
    made, _ = read(source=str(path), valid=str(path), text="body", label="kind")
    data = {"source": str(path), "valid": str(path), "text": "body", "label": "kind", "fingerprint": made.fingerprint}
    assert read(**data)[0].fingerprint == made.fingerprint
    table(path, rows=39)
    with pytest.raises(UserError, match="does not hold the examples that the run began with; put the old data back"):
        read(**data)


def test_what_a_model_of_texts_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\n" + "".join(f"good day {at % 5},{'ab'[at % 2]}\n" for at in range(40)))
    made, _ = read(source=str(tmp_path / "x.csv"))
    run = trained(made, tmp_path)
    (tmp_path / "t.csv").write_text("text,label\ngood,new\n,a\n")
    found = corpus.examples(run, [tmp_path / "t.csv"], print)
    assert found.labels == ["new", "a"]
    assert found.lengths.tolist() == [1, 1]
    assert corpus.unlabelled(run, tmp_path / "t.csv").targets is None
    asked = corpus.in_memory(run, ["good day", "", "good \ud800"])
    np.testing.assert_array_equal(asked.inputs[0], made.tokenizer.encode_array("good day"))
    assert asked.lengths.tolist() == [2, 1, 2]
    with pytest.raises(UserError, match="input 2: expected a text, got a series of numbers"):
        corpus.in_memory(run, ["a", [1.0]])
    (tmp_path / "s.ts").write_text("@data\n1,2\n")
    with pytest.raises(UserError, match=r"s.ts: expected a text, got a series of numbers"):
        corpus.unlabelled(run, tmp_path / "s.ts")


def test_what_a_model_of_series_is_asked(tmp_path: Path) -> None:
    made, _ = read(source="digits")
    run = trained(made, tmp_path)
    assert len(corpus.examples(run, ["digits"], print)) == 378
    rows = np.zeros((3, 8))
    np.testing.assert_array_equal(corpus.in_memory(run, [rows.tolist()]).inputs[0], made.scaler.scale(rows))
    (tmp_path / "v.csv").write_text("id,time,a,b,c,d,e,f,g,h\n" + "007,1,1,2,3,4,5,6,7,8\n" + "x,1" + ",0" * 8)
    asked = corpus.unlabelled(run, tmp_path / "v.csv")
    assert asked.ids == ["007", "x"]
    np.testing.assert_array_equal(asked.inputs[0], made.scaler.scale(np.arange(1.0, 9)[None]))
    with pytest.raises(UserError, match="input 1: expected as many channels as in training, 8, got 1"):
        corpus.in_memory(run, [[1, 2]])
    with pytest.raises(UserError, match="input 1: expected a series of numbers, got a text"):
        corpus.in_memory(run, ["a"])


def test_codecs_are_those_of_their_model(tmp_path: Path) -> None:
    made, _ = read(source="digits")
    for name in ("labels", "scaler"):
        (tmp_path / f"{name}.json").write_text(json.dumps(getattr(made, name).to_json()))
    assert corpus.read_codecs(tmp_path, Sizes(10, channels=8)) == {"labels": made.labels, "scaler": made.scaler}
    for sizes, said in (
        (Sizes(9, channels=8), "labels.json is another model's: expected 9, got 10"),
        (Sizes(10, channels=7), "scaler.json is another model's: expected 7 channels, got 8"),
        (Sizes(10, vocab_size=7), "tokenizer.json is missing"),
    ):
        with pytest.raises(UserError) as error:
            corpus.read_codecs(tmp_path, sizes)
        assert said in str(error.value)


def test_data_in_memory_become_lines() -> None:
    assert list(records(["a", "b"], [1, "x"]) or ()) == [{"text": "a", "label": 1}, {"text": "b", "label": "x"}]
    assert list(records([[1, None], [2.5]], (1, 2)) or ()) == [
        {"values": [1, None], "label": 1},
        {"values": [2.5], "label": 2},
    ]
    rows = [{"text": "a", "label": 1, "more": 2}]
    assert list(records(rows, None) or ()) == rows
    for data, targets in (
        (["a"], None),
        ("a", "b"),
        ([], []),
        ([["a", "b"]], [["X", "Y"]]),  # tokens and tags
        ([{"text": "a"}], None),
        (["a"], "x"),
    ):
        assert records(data, targets) is None
    with pytest.raises(UserError, match="targets: expected as many as there are inputs, 2, got 1"):
        records(["a", "b"], ["x"])

"""`elman inspect` of a classifier: labels, inputs, pooling, gates, clipping."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.inspecting import inspect

import elman
from elman.cli import run as command
from elman.errors import UserError
from elman.models.classifier import build_classifier
from elman.tasks.classification.looks import LOOKS, by_tenth, input_gradients, most_of

MODELS = {
    "words": ["--model=gru", "--set", "pooling=attention"],
    "characters": ["--model=lstm", "--set", "bidirectional=false", "--set", "tokenizer=char"],
    "transformer": ["--model=transformer", "--set", "pooling=mean"],
    "several": ["--model=gru"],
    "numbers": ["--model=gru", "--set", "label_type=number"],
    "series": ["--model=gru", "--set", "pooling=last"],
}


def record(kind: str, row: int) -> dict[str, object]:
    right = row % 2
    if kind == "series":
        values = [[(step if right else -step) / 9, None if step == 3 else row / 99] for step in range(5 + row % 6)]
        return {"values": values, "label": "rising" if right else "falling"}
    label = {"several": ["good"] * right + ["long"] * (row % 3 > 1), "numbers": right + row / 100}
    text = f"this is {'good' if right else 'bad'} {'and long ' * (row % 3 > 1)}as number {row}"
    return {"text": text, "label": label.get(kind, "good" if right else "bad")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of every form."""
    place = tmp_path_factory.mktemp("classifiers")
    for name, options in MODELS.items():
        data = place / f"{name}.jsonl"
        data.write_text("".join(json.dumps(record(name, row)) + "\n" for row in range(80)))
        given = ["train", str(data), "--task", "classification", "-o", str(place / name), "--steps", "40", *options]
        assert command([*given, "--set", "hidden_size=16"]) == 0
    return {name: place / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_has_its_report(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    capsys.readouterr()
    assert command(["inspect", str(runs[name]), "-o", str(page), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert set(numbers) & set(LOOKS) == set(LOOKS) - ({"gates"} if name == "transformer" else set())
    html = page.read_text()
    assert "http" not in html.replace("http://www.w3.org/", "")
    for look in ("inputs", "pooling"):
        for shares in numbers[look]["tenths"].values():
            assert sum(shares) == pytest.approx(1, abs=1e-4)
    T = {row: len(values) for row, values in numbers["inputs"]["examples"].items()}
    for row, one in numbers["decisions"]["examples"].items():
        assert np.shape(one["effect"])[-1] == T[row]  # no example has more steps than are erased one by one
    if name == "series":
        assert all(np.shape(one["effect"])[0] == 2 for one in numbers["decisions"]["examples"].values())
        assert len(numbers["decisions"]["channels"]) == 2
    if name in ("words", "characters", "transformer", "series"):
        matrix = np.array(numbers["labels"]["confusion"]["matrix"])
        assert matrix.sum() == 8  # the validation part
        assert numbers["labels"]["accuracy"] == pytest.approx(100 * matrix.trace() / matrix.sum())
        assert "Confusion matrix" in html


def test_the_pooling_shown_is_the_attention_of_predictions(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "more.jsonl"
    data.write_text(json.dumps({"text": "this is as bad as it gets", "label": "bad"}) + "\n")
    numbers = inspect(runs["words"], str(data), parts=["inputs", "pooling"]).numbers
    capsys.readouterr()
    assert command(["predict", str(runs["words"]), str(data), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tokens"] == ["this", "is", "as", "bad", "as", "it", "gets"]
    assert numbers["pooling"]["examples"]["0"] == pytest.approx(answer["attention"], abs=1e-5)
    assert len(numbers["inputs"]["examples"]["0"]) == 7


@pytest.mark.parametrize("name", ["words", "several", "numbers"])
def test_a_token_did_what_the_answer_lacks_without_it(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    """By the answers that a person gets of the shortened text."""
    words = ["this", "is", "bad", "as", "good"]
    text, label = " ".join(words), {"several": ["good"], "numbers": 1.5}.get(name, "good")
    data = tmp_path / "more.jsonl"
    data.write_text(json.dumps({"text": text, "label": label}) + "\n")
    found = inspect(runs[name], str(data), parts=["decisions"]).numbers["decisions"]["examples"]["0"]
    assert found["tokens"] == words
    run = elman.load(runs[name])
    texts = [text, *(" ".join(words[:at] + words[at + 1 :]) for at in range(len(words)))]
    records = [answer.record for answer in run.answers(texts)]

    def decision(record: Mapping[str, Any]) -> float:
        if name == "numbers":
            return record["value"]
        said, p = records[0], record["probabilities"]
        if name == "words":
            return np.log(p[said["label"]])
        return sum(np.log(value if key in said["labels"] else 1 - value) for key, value in p.items())

    whole, *without = map(decision, records)
    assert found["effect"] == pytest.approx([whole - each for each in without], abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("words", r"good, (rightly )?called \w+: without “\w+” its log p (falls|rises) by [\d.e-]+ nats, without "),
        ("several", r"good, (rightly )?called .+: without “\w+” log p of its labels (falls|rises) by [\d.e-]+ nats, "),
        ("numbers", r"1, called [-\d.]+: without “\w+” the number (falls|rises) by [\d.e-]+, without “\w+” it "),
    ],
)
def test_decisions_are_told_in_sentences(kind: str, said: str, runs: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "more.jsonl"
    label = {"several": ["good"], "numbers": 1}.get(kind, "good")
    data.write_text(json.dumps({"text": "this is bad as good", "label": label}) + "\n")
    found = inspect(runs[kind], str(data), parts=["decisions"])
    [line] = found.lines
    assert re.match(said, line)
    one = found.numbers["decisions"]["examples"]["0"]
    strongest = int(np.abs(one["effect"]).argmax())
    falls = "falls" if one["effect"][strongest] > 0 else "rises"
    assert f"without “{one['tokens'][strongest]}” " in line.partition(f" {falls} by")[0]


def test_scores_have_their_units(runs: dict[str, Path]) -> None:
    found = inspect(runs["words"], parts=["labels"])
    numbers = found.numbers["labels"]
    assert f"accuracy {numbers['accuracy']:.2f} %, macro F1 {numbers['macro_f1']:.2f} %" in found.lines[0]
    assert f"loss {numbers['loss']:.4f} nats a label" in found.lines[0]


def test_the_channels_that_vary_most_are_drawn(tmp_path: Path) -> None:
    """Beside a measure whose factor stands in its name."""
    sizes, rng = (1, 9, 3, 1, 6), np.random.default_rng(0)
    rows = [
        {
            "values": (rng.choice([-1, 1], (24, 5)) * np.array(sizes)[:: row % 2 * 2 - 1]).tolist(),
            "label": "ab"[row % 2],
        }
        for row in range(60)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["train", str(tmp_path / "data.jsonl"), "-o", str(tmp_path / "run"), "--steps", "4", "--model=gru"]
    assert command([*given, "--task", "classification", "--set", "hidden_size=4"]) == 0
    found = inspect(tmp_path / "run", parts=["inputs"])
    figures = found.report.chapters[0].figures[1].parts
    assert len(figures) == len(found.numbers["inputs"]["examples"])
    for (title, figure), norms in zip(figures, found.numbers["inputs"]["examples"].values(), strict=True):
        lines = {line["name"]: np.array(line["y"]) for line in figure.chart.data["lines"]}
        drawn = (2, 3, 5) if "b" in title else (1, 3, 4)
        assert [*lines][:3] == [f"channel {channel}" for channel in drawn]
        assert "Of the 5 channels, the 3 that vary most" in figure.reading
        [(name, values)] = [*lines.items()][3:]
        np.testing.assert_allclose(values, float(name.partition(" × ")[2]) * np.array(norms), rtol=1e-3)
        assert values.max() == pytest.approx(max(np.abs(lines[key]).max() for key in [*lines][:3]), rel=0.06)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (20, "the third tenth of the steps has most of the gradient, 30.0 % (an even share is 10 %)"),
        (19, "the second half of the steps has most of the gradient, 55.0 % (an even share is 50 %)"),
    ],
)
def test_short_sequences_have_no_tenths(steps: int, words: str) -> None:
    shares = np.array([0.0, 0.1, 0.3, 0.05, 0.0, 0.11, 0.11, 0.11, 0.11, 0.11])
    assert most_of(shares, "gradient", np.array([steps] * 3)) == words


def test_labels_that_the_model_does_not_know_are_refused_where_there_are_no_others(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "more.jsonl"
    data.write_text(json.dumps({"text": "a text", "label": "strange"}) + "\n")
    with pytest.raises(UserError, match="does not fit the run: expected some of the labels bad, good"):
        inspect(runs["words"], str(data))


def test_gradients_are_those_of_central_differences() -> None:
    torch.manual_seed(0)
    model = build_classifier({"model": "gru", "channels": 2, "outputs": 3, "hidden_size": 6}).double().eval()
    values, lengths = torch.randn(2, 4, 2, dtype=torch.float64), torch.tensor([4, 3])
    targets = torch.tensor([2, 0])

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    found = input_gradients(model, values, lengths, loss)
    assert [len(row) for row in found] == [4, 3]
    for row, norms in enumerate(found):
        for step, norm in enumerate(norms):
            slopes = []
            for channel in range(2):
                change = torch.zeros_like(values)
                change[row, step, channel] = 1e-5
                with torch.no_grad():
                    up, down = (loss(model(values + sign * change, lengths=lengths)[0]) for sign in (1, -1))
                slopes.append(float(up - down) / 2e-5)
            assert norm == pytest.approx(np.hypot(*slopes), rel=1e-5, abs=1e-9)


def test_tenths_hold_all_of_sequences_of_any_length() -> None:
    rng = np.random.default_rng(1)
    for length in (1, 3, 10, 37):
        assert by_tenth([rng.random(length)]).sum() == pytest.approx(1)
    spike = np.zeros(20)
    spike[13] = 5.0
    assert by_tenth([spike, spike]).tolist() == pytest.approx([0] * 6 + [1] + [0] * 3)

"""Classification as a task: its objective against naive computations, exact resumption, and every command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import elman
from elman.cli import run as command
from elman.data.labelled_corpus import LabelledCorpus
from elman.data.lanes import NOT_COUNTED
from elman.errors import UserError
from elman.models.classifier import Classifier
from elman.preparation import prepare
from elman.tasks import TASKS
from elman.tasks.classification import evaluation
from elman.tasks.classification.objective import balanced, sequence_labels
from elman.tasks.classification.sizing import RECIPES
from elman.tasks.configuration import build
from elman.train.objective import Place
from resuming import assert_interruptions_change_nothing

TASK = TASKS["classification"]
COLOURS = ("red", "green", "blue")
WORDS = ("a", "the", "small", "large", "box", "cat", "of", "and")


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def texts(label: Any, count: int = 120) -> list[dict[str, Any]]:
    """Texts of some words with colours among them, of which `label` makes the label."""
    rng, records = np.random.default_rng(5), []
    for _ in range(count):
        colours = [colour for colour in COLOURS if rng.random() < 0.4]
        words = [*rng.choice(WORDS, rng.integers(2, 6)), *colours]
        rng.shuffle(words)
        records.append({"text": " ".join(words), "label": label(colours)})
    return records


def first(colours: list[str]) -> str:
    return colours[0] if colours else "none"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every kind of labels."""
    place = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(7)
    series = []
    for row in range(90):
        steps, rising = int(rng.integers(6, 15)), row % 3 > 0
        wave = (1 if rising else -1) * np.linspace(-1, 1, steps) + 0.1 * rng.normal(size=steps)
        values = [[float(value), None if rng.random() < 0.1 else 1.0] for value in wave]
        series.append({"values": values, "label": "rising" if rising else "falling"})
    return {
        "class": write(place / "class.jsonl", texts(first)),
        "several": write(place / "several.jsonl", texts(lambda colours: colours)),
        "number": write(place / "number.jsonl", texts(lambda colours: 10.5 * len(colours) - 3)),
        "series": write(place / "series.jsonl", series),
    }


def tree(path: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """Settings of a small training."""
    tree = {"task": "classification", "kind": "gru", "budget": {"amount": 12, "unit": "steps"}}
    tree |= {"model": {"hidden_size": 8}, "data": {"source": str(path)}, "train": {"batch_size": 16}}
    if path.stem == "number":
        tree["data"]["label_type"] = "number"  # type: ignore[index]
    return {name: tree.get(name, {}) | sections[name] if name in sections else value for name, value in tree.items()}


def corpus_of(path: Path, tmp_path: Path, **sections: dict[str, Any]) -> LabelledCorpus:
    return TASK.corpus(build(tree(path, **sections)), tmp_path / "cache", lambda line: None, None)


def model_of(path: Path, tmp_path: Path, **sections: dict[str, Any]) -> tuple[Classifier, LabelledCorpus, Any]:
    corpus, settings = corpus_of(path, tmp_path, **sections), build(tree(path, **sections))
    torch.manual_seed(0)
    return TASK.build(TASK.model_config(settings, corpus)), corpus, settings


KINDS = ("class", "several", "number", "series")


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_each_example_alone(kind: str, data: dict[str, Path], tmp_path: Path) -> None:
    model, corpus, settings = model_of(data[kind], tmp_path, model={"hidden_size": 8, "pooling": "attention"})
    objective = sequence_labels(settings, corpus)
    found = objective.loss(model, Place(2, 1, 0.0), None)
    rows = objective.train.plan(2)[1]
    terms = []
    for row in rows:
        logits = model(torch.from_numpy(corpus.train.inputs[row])[None])[0][0]
        label = corpus.train.labels[row]  # type: ignore[index]
        if kind == "number":
            wanted = (label - corpus.labels.mean) / corpus.labels.deviation
            terms.append(-torch.distributions.Normal(logits[0], 1.0).log_prob(torch.tensor(wanted)))
        elif kind == "several":
            p = logits.sigmoid()
            has = torch.tensor([name in label for name in corpus.labels.names])
            terms.append(-torch.where(has, p, 1 - p).log().sum())
        else:
            terms.append(-logits.log_softmax(-1)[corpus.labels.names.index(label)])
    torch.testing.assert_close(found.mean, torch.stack(terms).mean())
    assert (found.targets, found.state) == (len(rows), None)
    assert sum(len(rows) for rows in objective.train.plan(2)) == objective.training_size == len(corpus.train)


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_calibrates_the_model_and_its_loss_is_of_the_calibrated_one(
    kind: str, data: dict[str, Path], tmp_path: Path
) -> None:
    model, corpus, settings = model_of(data[kind], tmp_path)
    with torch.no_grad():
        model.output.weight.mul_(20)  # as sure as a model that has read its examples too often
        model.eval()
        before = evaluation.losses(model, evaluation.read_logits(model, corpus.valid), corpus.valid).mean()
        metrics = sequence_labels(settings, corpus).validate(model)
    assert float(model.temperature) > 1
    assert metrics["loss"] < before
    logits, targets = (
        torch.from_numpy(evaluation.read_logits(model, corpus.valid)),
        torch.from_numpy(corpus.valid.targets),
    )
    T = model.temperature.double()
    if kind == "number":
        expected = F.gaussian_nll_loss(logits[:, 0], targets.double(), T.expand(len(targets)), full=True)
    elif kind == "several":
        expected = F.binary_cross_entropy_with_logits(logits / T, targets.double()) * corpus.labels.size
    else:
        expected = F.cross_entropy(logits / T, targets)
    assert metrics["loss"] == pytest.approx(float(expected))


def test_logits_do_not_depend_on_the_batch(data: dict[str, Path], tmp_path: Path) -> None:
    model, corpus, _ = model_of(data["series"], tmp_path)
    model.eval()
    many, one = (evaluation.read_logits(model, corpus.valid, batch) for batch in (64, 1))
    np.testing.assert_allclose(many, one, rtol=0, atol=1e-6)
    assert np.isfinite(many).all()


def test_balanced_weights_make_classes_and_labels_count_the_same(data: dict[str, Path], tmp_path: Path) -> None:
    corpus = corpus_of(data["class"], tmp_path)
    N, counts = len(corpus.train), np.array(corpus.labels.counts)
    weights = balanced(corpus.labels, N).numpy()
    np.testing.assert_allclose(weights * counts, N / len(counts), rtol=1e-6)
    several = corpus_of(data["several"], tmp_path)
    counts = np.array(several.labels.counts)
    np.testing.assert_allclose(balanced(several.labels, N).numpy() * counts, N - counts, rtol=1e-6)
    model, corpus, settings = model_of(data["class"], tmp_path, train={"class_weights": "balanced", "batch_size": 16})
    objective = sequence_labels(settings, corpus)
    batch = objective.train.batch(0, 0)
    logits = model(batch.inputs, lengths=batch.lengths)[0]
    by_class = torch.from_numpy(weights)[batch.targets]
    every = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(objective.loss(model, Place(0, 0, 0.0), None).mean, (every * by_class).mean())


@pytest.mark.parametrize("dropout", ["word_dropout", "ngram_dropout"])
def test_words_and_their_ngrams_are_read_as_unknown_in_training(
    dropout: str, data: dict[str, Path], tmp_path: Path
) -> None:
    model, corpus, settings = model_of(data["class"], tmp_path, train={dropout: 0.5, "batch_size": 512})
    objective, seen = sequence_labels(settings, corpus), []
    model.embedding.register_forward_hook(lambda module, given, result: seen.append(given[0]))
    objective.loss(model, Place(0, 0, 0.0), None)
    batch = objective.train.batch(0, 0)
    real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
    ngrams = batch.inputs[real] > 0
    changed = (seen[0][real] != batch.inputs[real]) & ngrams
    assert 0.4 < (changed.sum() / ngrams.sum()) < 0.6
    assert (seen[0][real][changed] == corpus.tokenizer.unk).all()  # type: ignore[union-attr]
    whole = ~changed.any(1) | (changed == ngrams).all(1)  # of a word, all n-grams or none
    assert whole.all() == (dropout == "word_dropout")


@pytest.mark.parametrize("kind", ["class", "series"])
def test_interruptions_change_nothing(kind: str, data: dict[str, Path], tmp_path: Path) -> None:
    train = {"batch_size": 8, "validate_every": 4, "checkpoint_every": 3, "average": 0.9}
    dropouts = {"hidden_size": 8, "dropout": 0.2, "dropout_pooled": 0.2}
    asked = tree(data[kind], train=train, model=dropouts) | {"budget": {"amount": 9, "unit": "steps"}}
    assert_interruptions_change_nothing(asked, tmp_path)


@pytest.mark.parametrize("kind", [*RECIPES, "mingru"])
def test_what_is_left_open_is_chosen_and_what_is_asked_for_stays(
    kind: str, data: dict[str, Path], tmp_path: Path
) -> None:
    asked = tree(data["class"], model={"hidden_size": 12, "pooling": "mean"}, train={"learning_rate": 0.5})
    with prepare(asked | {"kind": kind}, tmp_path / "run") as prepared:
        settings = prepared.settings
    assert (settings.model.hidden_size, settings.model.pooling, settings.train.learning_rate) == (12, "mean", 0.5)
    assert (settings.data.tokenizer, settings.train.batch_size) == ("ngrams", 16)
    # Less than 5 passes over the examples, and more.
    for steps, name, size, average in ((60, "class", 64, 0.998), (12, "series", 64, 0), (60, "series", 128, 0)):
        budget = {"amount": steps, "unit": "steps"}
        asked = tree(data[name]) | {"kind": kind, "model": {}, "budget": budget}
        with prepare(asked, tmp_path / f"{name}{steps}") as prepared:
            chosen = prepared.settings
        assert (chosen.model.hidden_size, chosen.train.average) == (size, average)


@pytest.mark.parametrize(
    ("kind", "train", "complaint"),
    [
        ("number", {"class_weights": "balanced"}, "class_weights: expected classes"),
        ("several", {"label_smoothing": 0.1}, "label_smoothing: expected classes"),
        ("class", {"metric": "mae"}, "metric: expected loss or accuracy or macro_f1, got mae"),
    ],
)
def test_settings_of_other_labels_are_refused(
    kind: str, train: dict[str, Any], complaint: str, data: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=complaint), prepare(tree(data[kind], train=train), tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.fixture(scope="module")
def runs(data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good run of every kind of labels; that of classes reads in one direction, with attention."""
    place, made = tmp_path_factory.mktemp("runs"), {}
    streams = ["--set", "bidirectional=false", "--set", "pooling=attention"]
    options = {
        "class": streams,
        "several": [],
        "number": ["--set", "label_type=number", "--set", "pooling=max"],
        "series": streams[:2],
    }
    for kind, path in data.items():
        made[kind] = place / kind
        given = ["train", str(path), "--task", "classification", "-o", str(made[kind]), "--steps", "150"]
        assert command([*given, "--set", "hidden_size=16", *options[kind]]) == 0
    return made


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_kind_of_labels_is_learnt(
    runs: dict[str, Path], data: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """These data are no others than those of the training: it shows that all is wired, not that it generalises."""
    capsys.readouterr()
    least = {"class": ("accuracy", 90), "several": ("exact_match", 80), "number": ("correlation", 0.9)}
    for kind, run in runs.items():
        assert command(["evaluate", str(run), str(data[kind]), "--json"]) == 0
        (report,) = answers(capsys)
        name, bound = least.get(kind, ("accuracy", 95))
        assert report[name] > bound, (kind, report)
        assert math.isfinite(report["loss"])
        if kind != "number":
            assert 0 <= report["calibration_error"] < 0.3
            assert 0 < report["macro_f1"] <= 100
        assert command(["evaluate", str(run), str(data[kind])]) == 0
        printed = capsys.readouterr().out
        assert "nats a label" in printed
        assert ("true \\ said" in printed) == ("confusion" in report)


def test_a_confusion_matrix_for_people_is_aligned_and_has_the_counts() -> None:
    name = "a name that has many characters"
    lines = evaluation.confusion_lines(["a", name], [[1000, 0], [2, 3]])
    assert [title for title, _ in lines] == ["true \\ said", "  a", "  a name that…"]
    assert [cells.split() for _, cells in lines[1:]] == [["1,000", "0"], ["2", "3"]]
    assert len({len(cells) for _, cells in lines}) == 1


@pytest.mark.parametrize(("kind", "pooling"), [("class", "attention"), ("number", "max"), ("series", "max")])
def test_the_pooling_suits_texts_and_labels(data: dict[str, Path], tmp_path: Path, kind: str, pooling: str) -> None:
    settings = build(tree(data[kind], model={}))
    corpus = TASK.corpus(settings, tmp_path, lambda line: None, None)
    assert TASK.choose(settings, corpus).settings.model.pooling == pooling


def test_a_label_that_training_lacks_counts_as_missed_and_is_named(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = write(tmp_path / "more.jsonl", [{"text": "a red box", "label": "red"}, {"text": "a box", "label": "mauve"}])
    assert command(["evaluate", str(runs["class"]), str(more), "--json"]) == 0
    (report,) = answers(capsys)
    assert (report["accuracy"], report["unknown_labels"]) == (50, {"mauve": 1})
    assert report["confusion"]["labels"][-1] == "mauve"
    assert np.sum(report["confusion"]["matrix"]) == 2
    assert command(["evaluate", str(runs["class"]), str(more)]) == 0
    assert "mauve (1): the model never saw them" in capsys.readouterr().out
    other = write(tmp_path / "other.jsonl", [{"text": "a box", "label": "mauve"}])
    assert command(["evaluate", str(runs["class"]), str(other)]) == 1
    assert capsys.readouterr().err == (
        f"elman: the model knows no label of {other}: expected such as blue, green, none, red, got mauve; "
        "give data with those of the training\n"
    )


def test_lines_are_answered_with_probabilities_and_attention(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("the small red box\na green cat\n\n")
    assert command(["predict", str(runs["class"]), str(lines)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["red", "green"]
    assert command(["predict", str(runs["class"]), str(lines), "--json"]) == 0
    found = answers(capsys)
    assert [one["input"] for one in found] == [1, 2, 3]
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert sum(found[1]["attention"]) == pytest.approx(1, abs=1e-5)
    assert found[1]["tokens"] == ["a", "green", "cat"]
    assert max(zip(found[1]["attention"], found[1]["tokens"], strict=True))[1] == "green"


def test_python_gets_labels(runs: dict[str, Path], data: dict[str, Path]) -> None:
    run = elman.load(runs["class"])
    assert run.predict(["a red cat", "a box"]) == ["red", "none"]
    assert run.predict("a blue box") == "blue"
    assert elman.load(runs["several"]).predict(["a red and green cat"]) == [("green", "red")]
    assert elman.load(runs["number"]).predict("red green blue") == pytest.approx(28.5, abs=6)
    series = elman.load(runs["series"])
    rising = [[value, 1.0] for value in np.linspace(-1, 1, 9)]
    assert series.predict([rising, rising[::-1]]) == ["rising", "falling"]
    with pytest.raises(UserError, match="as many channels as in training, 2, got 1"):
        series.predict([[[1.0], [2.0]]])


def test_a_stream_has_the_label_so_far_and_ends_as_the_whole(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["the", "box", "and", "green", "cat"]
    lines = tmp_path / "stream.txt"
    lines.write_text("\n".join([*words, "", "red"]) + "\n")
    assert command(["predict", str(runs["class"]), str(lines), "--stream", "--json"]) == 0
    found = answers(capsys)
    assert [one["step"] for one in found] == [1, 2, 3, 4, 5, 0, 1]
    run = elman.load(runs["class"])
    prefixes = [" ".join(words[: n + 1]) for n in range(5)]
    assert [one["label"] for one in found[:5]] == run.predict(prefixes)
    assert found[6]["label"] == run.predict("red")
    rows = tmp_path / "rows.txt"
    rows.write_text("-1,1\n0,\nfalling\n1 1\n")
    assert command(["predict", str(runs["series"]), str(rows), "--stream", "--json"]) == 1
    found = answers(capsys)
    assert "expected a row of numbers" in found[2]["error"]
    assert found[3]["step"] == 3
    assert found[3]["label"] == elman.load(runs["series"]).predict([[[-1, 1], [0, None], [1, 1]]])[0]


def test_a_model_of_the_whole_refuses_a_stream(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("red\n")
    assert command(["predict", str(runs["several"]), str(lines), "--stream"]) == 1
    assert "needs the whole sequence" in capsys.readouterr().err


def test_lines_of_series_are_json(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.txt"
    rising = [[value, 1.0] for value in np.linspace(-1, 1, 9)]
    lines.write_text(f"{json.dumps(rising)}\nsome words\n[[1, 2, 3]]\n")
    assert command(["predict", str(runs["series"]), str(lines), "--json"]) == 1
    found = answers(capsys)
    assert found[0]["label"] == "rising"
    assert "a series as a JSON list" in found[1]["error"]
    assert "expected 2 channels, got 3" in found[2]["error"]


def test_a_comparison_measures_every_example_once(data: dict[str, Path], tmp_path: Path) -> None:
    model, corpus, _ = model_of(data["class"], tmp_path)
    times: list[int] = []
    model.encoder.register_forward_hook(lambda *called: times.append(len(called[1][0])))
    reading = TASK.measure(model.eval(), corpus)
    assert sum(times) == len(corpus.valid)
    assert reading.targets.tolist() == [1] * len(corpus.valid)
    assert set(reading.scores) <= {*TASK.scores, "calibration_error"}
    for kind in ("class", "several", "number"):
        other, read, _ = model_of(data[kind], tmp_path / kind)
        found = TASK.measure(other.eval(), read)
        ((name, terms),) = found.terms.items()
        assert name == next(name for name in TASK.ranking if name in found.scores)
        assert np.divide(*terms.sum(0)) == pytest.approx(found.scores[name])
    targets = corpus.valid.targets
    assert targets is not None
    targets[0] = NOT_COUNTED
    reading = TASK.measure(model, corpus)
    assert (reading.losses[0], reading.targets[0]) == (0, 0)


def test_a_model_of_ones_own_is_refused(data: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="model: expected one of elman, gru"):
        elman.fit(
            str(data["class"]), task="classification", model=torch.nn.Linear(1, 1), budget="1 steps", progress=False
        )

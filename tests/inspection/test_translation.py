"""`elman inspect` of an encoder-decoder: alignments, what is taken from the source, heads."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.cli import run as command
from elman.decode.translation import Translator
from elman.errors import UserError
from elman.tasks.translation.heads import Spread, sharpest_words
from elman.tasks.translation.looks import LOOKS as PARTS
from elman.tasks.translation.looks import by_distance
from elman.tasks.translation.subject import open_pairs
from inspecting import inspect

MODELS = {
    "attention": ["--model=gru", "--set", "attention=additive"],
    "none": ["--model=lstm", "--set", "attention=none"],
    "transformer": ["--model=transformer", "--set", "encoder_layers=1", "--set", "decoder_layers=2"],
}
HAS = {
    "attention": {"alignments", "source", "clipping"},
    "none": {"alignments", "source", "clipping"},
    "transformer": set(PARTS),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of every form."""
    place = tmp_path_factory.mktemp("translations")
    words = ["ab", "ba", "aab", "bab", "abba", "bbaa"]
    pairs = [f"{one} {two}\t{two[::-1]} {one[::-1]}\n" for one in words for two in words]
    (place / "pairs.tsv").write_text("".join(pairs))
    for name, options in MODELS.items():
        given = ["train", str(place / "pairs.tsv"), "-o", str(place / name), "--steps", "120", *options]
        assert command([*given, "--set", "hidden_size=16", "--set", "validation_sentences=0"]) == 0
    return {name: place / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_has_its_report(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    capsys.readouterr()
    assert command(["inspect", str(runs[name]), "-o", str(page), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert set(numbers) & set(PARTS) == HAS[name]
    html = page.read_text()
    assert ("<image" in html) or name == "none"
    assert "http" not in html.replace("http://www.w3.org/", "")
    assert numbers["alignments"]
    for alignment in numbers["alignments"].values():
        assert ("weights" in alignment) == (name != "none" and alignment["translation"] != "")
        if "weights" in alignment:
            weights = np.array(alignment["weights"])
            assert weights.shape == (len(alignment["written"]), len(alignment["source"]))
            np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_reference_stands_beside_each_translation(name: str, runs: dict[str, Path]) -> None:
    run = elman.load(runs[name])
    pairs = open_pairs(run, [])
    texts = dict(pairs.part.texts())
    found = inspect(runs[name], parts=["alignments"])
    said, html = list(found.lines), found.html()
    exact = 0
    for key, one in found.numbers["alignments"].items():
        source = key.partition(": ")[2]
        [translation] = Translator(run.model, run.source_tokenizer, run.target_tokenizer)([source])
        assert one["reference"] == texts[source]
        assert one["translation"] == translation.candidates[0].text
        assert one["exact"] == (one["translation"] == texts[source])
        exact += one["exact"]
        three = [
            ("source", source),
            ("translation", one["translation"] or "(nothing)"),
            ("reference", one["reference"]),
        ]
        place = said.index(f"source: {source}")
        assert said[place : place + 3] == [f"{name}: {text}" for name, text in three]
        assert "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in three) in html
    assert said[-1] == f"{exact} of {len(found.numbers['alignments'])} translations are the same as their references"
    sources, references = zip(*pairs.part.texts(), strict=True)
    same = np.mean([one == two for one, two in zip(run.predict(list(sources)), references, strict=True)])
    summary = f"Of the translations of {len(sources)} pairs, {100 * same:.1f} % are the same as their references"
    assert said[0].startswith(summary)
    assert found.report.text.startswith(said[0])


def test_an_alignment_says_how_many_tokens_share_the_attention(runs: dict[str, Path]) -> None:
    found = inspect(runs["attention"], parts=["alignments"])
    for (_, figure), one in zip(
        found.report.chapters[0].figures[0].parts, found.numbers["alignments"].values(), strict=True
    ):
        assert f"over about {np.exp(one['entropy']):.0f} source token" in figure.reading


def test_every_token_of_an_alignment_is_named(runs: dict[str, Path]) -> None:
    found = inspect(runs["transformer"], parts=["alignments"])
    drawn = [figure for _, figure in found.report.chapters[0].figures[0].parts]
    assert drawn
    for figure, one in zip(drawn, found.numbers["alignments"].values(), strict=True):
        texts = [text for text in ET.fromstring(figure.drawing).iter("text") if text.attrib["class"] == "dense"]
        assert [text.findtext("title") or text.text for text in texts] == one["written"] + one["source"]


def test_a_source_that_is_there_twice_is_counted_twice(runs: dict[str, Path], tmp_path: Path) -> None:
    [said] = elman.load(runs["none"]).predict(["ab ba"])
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(f"ab ba\t{said}\n" + "ab ba\tanother\n" * 5)
    found = inspect(runs["none"], str(pairs), parts=["alignments", "source"])
    assert [one["exact"] for one in found.numbers["alignments"].values()] == [True, False]
    assert "1 of 2 translations are the same as their references" in found.lines
    assert len([key for key in found.numbers["source"] if key.startswith(("1: ", "2: "))]) == 2


def test_gradients_are_no_percentages(runs: dict[str, Path]) -> None:
    parts = inspect(runs["none"], parts=["source"]).report.chapters[0].figures[1].parts
    assert [figure.chart.data["share"] for _, figure in parts if figure.chart] == [False] * len(parts)


def test_heads_are_chosen_from_a_grid_of_layers(runs: dict[str, Path]) -> None:
    """What is drawn of a head is where that head looks while the model reads the reference."""
    run = elman.load(runs["transformer"])
    pairs = open_pairs(run, [])
    [sentences, _] = inspect(runs["transformer"], parts=["heads"]).report.chapters[0].figures
    (row, (_, heads)) = next(zip(pairs.shown(), sentences.parts, strict=False))
    source, lengths, inputs, _ = pairs.batch([row])
    with torch.no_grad():
        every = run.model.cross_attentions(inputs, run.model.encode(source, lengths))
    layers, per_layer = len(every), every[0].shape[1]
    assert heads.chart is not None
    assert heads.chart.data["columns"] == per_layer
    names = [f"{layer}.{head}" for layer in range(1, layers + 1) for head in range(1, per_layer + 1)]
    assert [name for name, _ in heads.parts] == names
    for name, figure in heads.parts:
        layer, head = map(int, name.split("."))
        drawn = np.array([line[1:] for line in figure.table.rows], np.float64)
        np.testing.assert_allclose(drawn, every[layer - 1][0, head - 1], atol=1e-3)


def test_an_alignment_says_whether_it_is_right(runs: dict[str, Path]) -> None:
    found = inspect(runs["attention"], parts=["alignments"])
    numbers = [one for one in found.numbers["alignments"].values() if "weights" in one]
    shown = found.report.chapters[0].figures[0].parts
    assert numbers
    for (name, figure), one in zip(shown, numbers, strict=True):
        assert name.endswith("✓" if one["exact"] else "✗")
        for words in (one["translation"], one["reference"]):
            assert words in figure.head


def test_a_head_is_called_sharp_only_beside_the_untrained_model(runs: dict[str, Path]) -> None:
    """The same entropies are nothing to tell of a model whose heads were as sharp before."""
    named = np.array([[0.5, 0.5], [0.5, 2.0]])
    sharp = Spread(named, 2.5, np.broadcast_to(1 - named / 2.5, (20, 2, 2)))
    wide = Spread(named + 1, 2.5, np.broadcast_to(1 - (named + 1) / 2.5, (20, 2, 2)))
    names = ["layer 1 head 1", "layer 1 head 2", "layer 2 head 1", "layer 2 head 2"]
    assert sharpest_words(names, sharp, wide, "untrained") == (
        "the head that looks most sharply is layer 1 head 1: 0.5 nats "
        "(untrained: 1.5 at the sharpest; an even look: 2.5)"
    )
    assert sharpest_words(names, sharp, sharp, "untrained").startswith("no head looks clearly more sharply than before")
    lines = inspect(runs["transformer"], parts=["heads"]).lines
    assert "an even look" in lines[0]


def test_weights_that_are_no_numbers_are_refused(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = elman.load(runs["none"])
    next(run.model.parameters()).data[0, 0] = torch.nan
    monkeypatch.setattr("elman.runs.load", lambda folder: run)
    with pytest.raises(UserError, match="expected finite weights, got infinities or NaN; its training diverged"):
        inspect(runs["none"])


def test_the_head_that_is_tested_is_the_head_that_is_named() -> None:
    """Fewest nats over all tokens is not the sharpest in its sources, where long sources have more tokens."""
    rows = np.broadcast_to([[0.05, 0.6]], (30, 1, 2))
    trained = Spread(np.array([[0.60, 0.62]]), 2.5, rows)
    fresh = Spread(np.array([[2.5, 2.5]]), 2.5, np.zeros((30, 1, 2)))
    words = sharpest_words(["layer 1 head 1", "layer 1 head 2"], trained, fresh, "untrained")
    assert words.startswith("the head that looks most sharply is layer 1 head 2: 0.62 nats ")


def test_a_source_that_is_too_long_says_so(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{a}{b} {b}\t{b}{a}\n" for a in "abcd" for b in "efgh"))
    given = ["train", str(pairs), "-o", str(tmp_path / "run"), "--steps", "1", "--model=transformer"]
    sizes = ["hidden_size=8", "validation_sentences=0", "positions=learned", "max_length=11", "max_positions=12"]
    assert command([*given, *(part for size in sizes for part in ("--set", size))]) == 0
    long = tmp_path / "long.tsv"
    long.write_text("ae " * 12 + "e\tea\n")
    found = inspect(tmp_path / "run", str(long), parts=["alignments"])
    said = "none: expected at most the model's 12 positions, got "
    assert [line for line in found.lines if line.startswith(f"translation: {said}")]
    [one] = found.numbers["alignments"].values()
    assert one["error"].startswith(said.removeprefix("none: "))


def test_the_heads_are_the_models(runs: dict[str, Path]) -> None:
    """The entropy of the first head of the second layer, pair by pair and step by step."""
    run = elman.load(runs["transformer"])
    pairs = open_pairs(run, [])
    source, lengths, inputs, targets = pairs.batch(range(len(pairs.part)))
    values = []
    for row in range(len(source)):
        T = int((targets[row] >= 0).sum())
        with torch.no_grad():
            state = run.model.encode(source[row : row + 1, : lengths[row]])
            weights = run.model.cross_attentions(inputs[row : row + 1, :T], state)[1][0, 0]
        values += [-sum(w * np.log(w) for w in step if w > 0) for step in weights.double().numpy()]
    numbers = inspect(runs["transformer"], parts=["heads"]).numbers
    assert numbers["heads"]["layer 2 head 1"] == pytest.approx(np.mean(values), rel=1e-4)


def test_distances_are_from_the_end() -> None:
    rows = [np.array([1.0, 2.0, 3.0]), np.array([5.0])]
    distances, quantiles = by_distance(rows)
    assert distances.tolist() == [0, 1, 2]
    assert quantiles[1].tolist() == [4, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["--parts", "heads"], "the model has no heads; this run has alignments, source, clipping", 1),
        (["--parts", "gates"], "no part called 'gates'", 2),
        (["missing.tsv"], "missing.tsv", 2),
    ],
)
def test_what_cannot_be_looked_at(
    arguments: list[str], told: str, code: int, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert command(["inspect", str(runs["none"]), *arguments]) == code
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1


def test_the_pairs_are_those_that_were_held_out(runs: dict[str, Path], tmp_path: Path) -> None:
    """Not those that the run has learnt from; and where the cache is gone, they are found again."""
    run = elman.load(runs["none"])
    (kept,) = (runs["none"] / "cache").glob("held_out-*.json")
    held_out = [tuple(pair) for pair in json.loads(kept.read_text())["value"]]
    assert 0 < len(held_out) < 36
    assert list(open_pairs(run, []).part.texts()) == held_out
    moved = tmp_path / "moved"
    shutil.copytree(runs["none"], moved)
    shutil.rmtree(moved / "cache")
    assert list(open_pairs(elman.load(moved), []).part.texts()) == held_out

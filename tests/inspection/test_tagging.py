"""`elman inspect` of a tagger: the words that tags depend on, gates, transitions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.cli import run as command
from elman.data.spans import TagSpan
from elman.lens.erasure import SentenceWords, erase_characters, hide_words
from elman.lens.words import loss_gradients_of_words, tag_gradients
from elman.tasks.tagging import decisions
from elman.tasks.tagging.looks import LOOKS, by_offset
from elman.tasks.tagging.said_tags import SaidSentence, chosen
from elman.tasks.tagging.subject import open_sentences
from inspecting import inspect

MODELS = {
    "crf": ["--model=lstm"],
    "forward": ["--model=gru", "--set", "crf=false", "--set", "bidirectional=false"],
    "elman": ["--model=elman", "--set", "crf=false"],
    "transformer": ["--model=transformer", "--set", "num_heads=2", "--set", "num_layers=1"],
}
HAS = {
    "crf": set(LOOKS),
    "forward": set(LOOKS) - {"transitions"},
    "elman": set(LOOKS) - {"gates", "transitions"},
    "transformer": set(LOOKS) - {"gates"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of every form."""
    place = tmp_path_factory.mktemp("taggers")
    rows = [f"by O\nw{n} B-artist\nw{n + 1} I-artist\nat O\nw{n + 2} B-time\n" for n in range(20)]
    (place / "slots.conll").write_text("\n".join(rows))
    for name, options in MODELS.items():
        given = ["train", str(place / "slots.conll"), "--task", "tagging", "-o", str(place / name), "--steps", "6"]
        sizes = [f"--set={name}_size={size}" for name, size in (("hidden", 8), ("embedding", 4), ("character", 4))]
        assert command([*given, *options, *sizes]) == 0
    return {name: place / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_has_its_report(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    capsys.readouterr()
    assert command(["inspect", str(runs[name]), "-o", str(page), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert set(numbers) & set(LOOKS) == HAS[name]
    html = page.read_text()
    assert "<image" in html
    assert "http" not in html.replace("http://www.w3.org/", "")
    sentences = [each for key, each in numbers["words"].items() if key not in ("trained", "untrained")]
    assert sentences
    for sentence in sentences:
        T = len(sentence["tags"])
        assert np.shape(sentence["by_tag"]) == (T, T)
        assert len(sentence["loss"]) == T
    assert numbers["decisions"]
    for text, sentence in numbers["decisions"].items():
        _, *words = text.split()
        assert np.shape(sentence["words"]) == (len(words), len(words))
        assert [len(each) for each in sentence["characters"]] == [len(word) for word in words]


def test_tags_stand_beside_the_true_ones(runs: dict[str, Path]) -> None:
    run = elman.load(runs["crf"])
    subject = open_sentences(run, [])
    part = LOOKS["tags"].look(subject)
    matrix, labels = part.numbers["confusion"]["matrix"], part.numbers["confusion"]["labels"]
    assert set(labels) <= {"O", "artist", "time"}
    assert matrix.sum() == subject.part.lengths.sum()
    truth = [tag.split("-")[-1] for sentence in subject.references for tag in sentence.tags]
    assert {name: int(count) for name, count in zip(labels, matrix.sum(1), strict=True) if count} == Counter(truth)
    said = [run.predict([list(sentence.tokens)])[0] for sentence in subject.references]
    right = sum(
        a == b for tags, one in zip(said, subject.references, strict=True) for a, b in zip(tags, one.tags, strict=True)
    )
    assert part.numbers["accuracy"] == pytest.approx(100 * right / len(truth))
    for one in part.numbers["sentences"]:
        assert one["said"] == run.predict([list(one["tokens"])])[0]
    [_, spans] = part.chapter.figures
    assert [figure.title for _, figure in spans.parts] == [" ".join(one["tokens"]) for one in part.numbers["sentences"]]


def test_a_sentence_is_named_by_its_words_and_what_is_wrong() -> None:
    tokens, right = ("the", "cat", "sat", "on", "the", "mat"), [TagSpan("DET", 0, 1)]
    other = [TagSpan("NOUN", 0, 1)]
    assert SaidSentence(tokens, (), (), right, right, "bio").short_title == "the cat sat on… ✓"
    assert SaidSentence(tokens, (), (), right, other, "bio").short_title == "the cat sat on… ✗ 2"
    assert SaidSentence(tokens, (), (), right, other, None).short_title == "the cat sat on… ✗ 1"


def test_the_most_mistaken_sentences_come_first() -> None:
    assert chosen([0, 1, 5, 0, 2], [9] * 5) == [2, 4, 1, 0, 3]
    assert chosen([3, 0], [999, 998]) == [1]  # the shortest, where all are too long
    assert len(chosen([1] * 20 + [0] * 20, [5] * 40)) == 8


def test_what_a_word_did_is_what_is_drawn(runs: dict[str, Path]) -> None:
    subject = open_sentences(elman.load(runs["forward"]), [])
    part = LOOKS["decisions"].look(subject)
    row = subject.shown()[0]
    batch = subject.batch([row])
    sentence = SentenceWords(batch.words[0], batch.spelling[0], batch.characters)
    numbers = part.numbers[f"1: {' '.join(subject.references[row].tokens)}"]
    np.testing.assert_array_equal(numbers["words"], hide_words(subject.model, sentence, 0))
    for found, wanted in zip(numbers["characters"], erase_characters(subject.model, sentence), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [figure.title for figure in part.chapter.figures] == [
        "What each word did to each tag",
        "What each character did to the tag of its word",
    ]


@pytest.mark.parametrize(("effect", "told"), [(-0.06, "“b” lowered O of “a” by 0.06 nats"), (0.04, "no word changed")])
def test_an_effect_that_is_hardly_one_is_not_told(
    effect: float, told: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "hide_words", lambda *given: np.array([[9.0, effect], [0.0, 9.0]]))
    (tmp_path / "one.conll").write_text("a O\nb O\n")
    subject = open_sentences(elman.load(runs["forward"]), [tmp_path / "one.conll"])
    monkeypatch.setattr(subject.model, "tag", lambda *given: torch.full((1, 2), subject.tags.names.index("O")))
    [line] = LOOKS["decisions"].look(subject).lines
    assert line.startswith(f"a b: {told}")


@pytest.mark.parametrize("part", ["words", "decisions"])
def test_a_sentence_that_is_there_twice_has_its_numbers_twice(runs: dict[str, Path], tmp_path: Path, part: str) -> None:
    (tmp_path / "twice.conll").write_text("\n".join(["by O\nw1 B-artist\n"] * 5))
    found = inspect(runs["crf"], str(tmp_path / "twice.conll"), parts=[part]).numbers[part]
    assert [key for key in found if key.endswith("by w1")] == ["1: by w1", "2: by w1"]


def test_forbidden_transitions_have_no_number(runs: dict[str, Path]) -> None:
    run = elman.load(runs["crf"])
    part = LOOKS["transitions"].look(open_sentences(run, []))
    rows, columns, weight = (part.numbers[name] for name in ("rows", "columns", "weight"))
    tags = rows[:-1]
    assert (rows, columns) == ([*run.tags.names, "(start)"], [*run.tags.names, "(end)"])
    assert np.isnan(weight[tags.index("O"), tags.index("I-artist")])
    assert np.isnan(weight[rows.index("(start)"), tags.index("I-artist")])
    assert not np.isnan(weight[tags.index("I-artist"), columns.index("(end)")])
    assert weight[tags.index("B-artist"), tags.index("I-artist")] == pytest.approx(
        run.model.crf_layer.weight[tags.index("B-artist"), tags.index("I-artist")].item()
    )
    assert part.numbers["forbidden"] == np.isnan(weight).sum()


def test_a_model_that_reads_forward_knows_no_later_word(runs: dict[str, Path]) -> None:
    subject = open_sentences(elman.load(runs["forward"]), [])
    offsets, (_, median, _) = by_offset(subject.model, subject)
    assert (offsets[0], offsets[-1]) == (-4, 4)
    assert all("by words up to 4 away" in line for line in LOOKS["words"].look(subject).lines)
    assert not median[offsets > 0].any()
    assert (median[offsets <= 0] > 0).all()
    both = open_sentences(elman.load(runs["crf"]), [])
    offsets, (_, median, _) = by_offset(both.model, both)
    assert (median > 0).all()


def test_gradients_are_those_of_small_changes(runs: dict[str, Path]) -> None:
    subject = open_sentences(elman.load(runs["crf"]), [])
    model, batch = subject.model.double(), subject.batch([0])
    given = batch.words[0], batch.spelling[0], batch.characters
    x = model.embed(*(each[None] for each in given[:2]), given[2]).detach()
    T, small = x.shape[1], 1e-6

    def read(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = model.output_layer(model.encoder(x)[0])
        best = model.best(scores, torch.tensor([T]))
        log_p = scores.log_softmax(-1).gather(2, best[..., None])[0, :, 0]
        return log_p, model.nats(scores, batch.targets, batch.lengths)[0]

    norms, said = tag_gradients(model, *given)
    by_loss = loss_gradients_of_words(model, *given, batch.targets[0])
    assert len(said) == T
    with torch.no_grad():
        for s in range(T):
            slopes = []
            for d in range(x.shape[2]):
                step = torch.zeros_like(x)
                step[0, s, d] = small
                (up, loss_up), (down, loss_down) = read(x + step), read(x - step)
                slopes.append(torch.cat([up - down, (loss_up - loss_down)[None]]) / (2 * small))
            expected = torch.stack(slopes).norm(dim=0).numpy()
            np.testing.assert_allclose(norms[:, s], expected[:-1], rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose(by_loss[s], expected[-1], rtol=1e-4, atol=1e-7)

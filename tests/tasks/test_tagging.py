"""Tagging as a task: what follows from the sentences, what is learnt, and what an interruption changes: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.data.tagged import TaggedSentence
from elman.errors import UserError
from elman.fitting import fit
from elman.models import Tagger
from elman.preparation import prepare
from elman.tasks import TASKS
from elman.tasks.configuration import build
from elman.tasks.sizing import SIZES
from elman.tasks.tagging.objective import encode, evaluate
from elman.train.loop import steps
from elman.train.objective import Place
from resuming import assert_interruptions_change_nothing

SMALL = {"hidden_size": 8, "embedding_size": 6, "character_size": 6}


@pytest.fixture
def pos(tmp_path: Path) -> Path:
    """Words ending with s are PLURAL, those in capitals NAME: what a tagger can know of a new word."""
    stems = [f"{a}{b}{c}" for a in "bdg" for b in "aeio" for c in "klm"]
    forms = [(stem, "WORD") for stem in stems] + [(stem + "s", "PLURAL") for stem in stems]
    forms += [(stem.upper(), "NAME") for stem in stems]
    draw = np.random.default_rng(0)
    rows = [[forms[at] for at in draw.integers(0, len(forms), draw.integers(2, 7))] for _ in range(60)]
    path = tmp_path / "pos.conll"
    path.write_text("\n".join("".join(f"{word}\t{tag}\n" for word, tag in row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def slots(tmp_path: Path) -> Path:
    """A name of two words after `by`, one of one word after `at`."""
    draw, rows = np.random.default_rng(0), []
    for _ in range(40):
        a, b, c = (f"w{n}" for n in draw.integers(0, 12, 3))
        rows.append(f"by O\n{a} B-artist\n{b} I-artist\n" + (f"at O\n{c} B-time\n" if draw.random() < 0.5 else ""))
    path = tmp_path / "slots.conll"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def tree(source: Path | str, kind: str = "lstm", amount: int = 2, **sections: dict[str, Any]) -> dict[str, Any]:
    budget = {"amount": amount, "unit": "steps"}
    data = {"source": str(source)} | sections.pop("data", {})
    return {"task": "tagging", "kind": kind, "budget": budget, "data": data, "model": dict(SMALL)} | sections


CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "lstm, dropout, average": ("pos", "lstm", {"dropout": 0.3}, {"average": 0.9}),
    "gru, crf, bfloat16": ("slots", "gru", {"crf": True}, {"precision": "bfloat16"}),
    "elman, k2, accumulate": ("pos", "elman", {"bidirectional": False}, {"k2": 2, "accumulate": 3, "optimizer": "sgd"}),
    "transformer": ("slots", "transformer", {"num_heads": 2, "dropout": 0.1}, {"optimizer": "adamw"}),
}


@pytest.mark.parametrize("name", CASES)
def test_interruptions_change_nothing(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fixture, kind, model, train = CASES[name]
    train = {"batch_words": 40, "validate_every": 3, "checkpoint_every": 2} | train
    source = request.getfixturevalue(fixture)
    settings = tree(source, kind, 11, model=SMALL | model, train=train)
    assert_interruptions_change_nothing(settings, tmp_path / "runs")


@pytest.mark.parametrize("kind", ["lstm", "gru", "elman", "transformer"])
def test_what_is_left_open_is_chosen_and_what_is_asked_for_stays(kind: str, slots: Path, tmp_path: Path) -> None:
    asked = tree(slots, kind, model={"embedding_size": 7}, train={"weight_decay": 0.5, "optimizer": "adamw"})
    with prepare(asked, tmp_path / "run") as prepared:
        settings = prepared.settings
    assert settings.model.hidden_size in SIZES
    assert (settings.model.embedding_size, settings.train.weight_decay) == (7, 0.5)
    assert settings.train.optimizer == "adamw"
    assert settings.model.crf  # the tags spell spans
    assert settings.train.metric == "span_f1"
    off = tree(slots, kind, model={"crf": False}, train={"metric": "loss"})
    with prepare(off, tmp_path / "off") as prepared:
        assert not prepared.settings.model.crf
        assert prepared.settings.train.metric == "loss"


def test_no_crf_where_the_tags_spell_no_spans(pos: Path, tmp_path: Path) -> None:
    with prepare(tree(pos), tmp_path / "run") as prepared:
        assert not prepared.settings.model.crf
        assert prepared.settings.train.metric == "accuracy"


def test_rare_words_are_hidden_as_often_as_the_setting_says(pos: Path, tmp_path: Path) -> None:
    with prepare(tree(pos, data={"min_count": 1}, train={"word_dropout": 2.0}), tmp_path / "run") as prepared:
        objective: Any = prepared.training.objective
        corpus = prepared.corpus
    for word, count in zip(corpus.words.names, corpus.word_counts, strict=True):
        p = float(objective.hidden[corpus.words.names.index(word)])
        assert p == pytest.approx(2 / (2 + count) if count else 0.0)
    seen: list[torch.Tensor] = []

    class Listening(torch.nn.Linear):
        def loss(self, words: torch.Tensor, *rest: Any, k2: int | None) -> torch.Tensor:
            seen.append(words)
            return torch.zeros(len(words))

    batch = objective.train.batch(0, 0)
    listening = Listening(1, 1)
    torch.manual_seed(0)
    for _ in range(300):
        objective.loss(listening, Place(0, 0, 0.0), None)
    expected = objective.hidden[batch.words]
    real = torch.arange(batch.words.shape[1]) < batch.lengths[:, None]
    share = (torch.stack(seen) == 0).float().mean(0)
    torch.testing.assert_close(share[real], expected[real], atol=0.15, rtol=0)
    assert not share[~real].any()


@pytest.mark.parametrize("crf", [False, True])
def test_new_words_are_tagged_by_their_spelling(crf: bool, pos: Path, tmp_path: Path) -> None:
    model = SMALL | {"crf": crf, "hidden_size": 16, "character_size": 16}
    train = {"optimizer": "adamw", "learning_rate": 0.04, "batch_words": 64, "word_dropout": 3.0, "average": 0}
    asked = tree(pos, "lstm", 120, model=model, train=train)
    with prepare(asked, tmp_path / "run") as prepared:
        for _ in steps(prepared.training):
            pass
        trained, corpus = prepared.training.model.eval(), prepared.corpus
    new = TaggedSentence(("kab", "kabs", "KAB", "mogs"), ("WORD", "PLURAL", "NAME", "PLURAL"))
    part = encode([new], corpus)
    assert part.batch(np.array([0])).words[0].tolist() == [0] * 4
    found = evaluate(trained, part, [new], corpus.tags)
    assert found["accuracy"] == 100


def test_the_scores_of_a_part_are_those_of_its_sentences(slots: Path, tmp_path: Path) -> None:
    with prepare(tree(slots), tmp_path / "run") as prepared:
        corpus, model = prepared.corpus, prepared.training.model.eval()
        objective: Any = prepared.training.objective
    found = objective.validate(model)
    words = sum(len(sentence.tokens) for sentence in corpus.valid)
    assert found["tags"] == words
    times: list[int] = []
    model.encoder.register_forward_hook(lambda *called: times.append(len(called[1][0])))
    read = TASKS["tagging"].measure(model, corpus)
    assert sum(times) == len(corpus.valid)
    nats, counts = read.losses, read.targets
    assert counts.sum() == words
    assert found["loss"] == pytest.approx(nats.sum() / words)
    assert read.scores == {name: found[name] for name in ("accuracy", "span_f1")}
    assert {name: np.divide(*terms.sum(0)) for name, terms in read.terms.items()} == pytest.approx(read.scores)
    one = encode(corpus.valid[3:4], corpus)
    assert evaluate(model, one, corpus.valid[3:4], corpus.tags)["loss"] * counts[3] == pytest.approx(nats[3])


def test_a_tag_that_the_model_does_not_know_is_missed_and_has_no_loss(pos: Path, tmp_path: Path) -> None:
    with prepare(tree(pos), tmp_path / "run") as prepared:
        corpus, model = prepared.corpus, prepared.training.model.eval()
    sentence = corpus.valid[0]
    other = sentence._replace(tags=("NEW", *sentence.tags[1:]))
    before, after = (evaluate(model, encode([each], corpus), [each], corpus.tags) for each in (sentence, other))
    assert after["accuracy"] <= before["accuracy"]
    assert after["tags"] == before["tags"]
    assert np.isfinite(after["loss"])


def test_pretrained_vectors_begin_the_embeddings_and_join_the_words(pos: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("bak 1 -1 1 -1\nunseen 1 1 1 1\n", encoding="utf-8")
    with prepare(tree(pos, model={"vectors": str(path), "hidden_size": 8}), tmp_path / "run") as prepared:
        corpus, model = prepared.corpus, prepared.training.model
        assert prepared.settings.model.embedding_size == 4
    [unseen] = corpus.words.encode(["unseen"])
    assert unseen > 1
    weight: Any = model.reader.words.weight  # type: ignore[union-attr]
    assert (weight[unseen] / weight[unseen, 0]).tolist() == [1, 1, 1, 1]
    assert (weight[corpus.words.encode(["bak"])[0]].sign()).tolist() == [1, -1, 1, -1]
    assert float(prepared.training.objective.hidden[unseen]) == 0  # type: ignore[attr-defined]
    missing = tree(pos, model={"vectors": str(tmp_path / "none.txt")})
    with pytest.raises(UserError, match="No such file"), prepare(missing, tmp_path / "other"):
        pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_leaves_the_vectors_of_other_words_as_they_were(pos: Path, tmp_path: Path, optimizer: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("bak 1 -1 1 -1\nunseen 1 1 1 1\n", encoding="utf-8")
    train = {"weight_decay": 0.9, "learning_rate": 0.1, "optimizer": optimizer, "average": 0.0}
    settings = tree(pos, model={"vectors": str(path), "hidden_size": 8}, train=train)
    with prepare(settings, tmp_path / "run") as prepared:
        weight: Any = prepared.training.model.reader.words.weight  # type: ignore[union-attr]
        [unseen] = prepared.corpus.words.encode(["unseen"])
        before = weight.detach().clone()
        for _ in steps(prepared.training):
            pass
    assert torch.equal(weight[unseen], before[unseen])
    assert not torch.equal(weight, before)


def test_lists_in_memory_are_sentences() -> None:
    task = TASKS["tagging"]
    assert list(task.records([["a", "b"]], [["X", "Y"]]) or []) == [{"tokens": ["a", "b"], "tags": ["X", "Y"]}]
    assert task.records(["a text"], ["label"]) is None
    assert task.records([["a", "b"]], ["label"]) is None
    assert task.records([{"tokens": ["a"], "tags": ["X"]}], None) is not None
    with pytest.raises(UserError, match="as many lists of tags as there are sentences, 1, got 2"):
        task.records([["a"]], [["X"], ["Y"]])


def test_a_gradient_is_cut_only_where_the_model_reads_forward(pos: Path, tmp_path: Path) -> None:
    asked = tree(pos, train={"k2": 1})
    with prepare(asked, tmp_path / "run") as prepared, pytest.raises(UserError, match=r"k2.*bidirectional=False"):
        prepared.training.step()


def test_a_tagger_of_ones_own(pos: Path, tmp_path: Path) -> None:
    def make(words: int, characters: int, tags: Sequence[str]) -> Tagger:
        return Tagger("gru", words, characters, tags, hidden_size=8, bidirectional=False)

    asked: dict[str, Any] = {"budget": "3 steps", "task": "tagging"}
    run = fit(pos, model=make, out=tmp_path / "run", **asked)
    assert [len(tags) for tags in run.predict([["bak", "gems"], ["BAK"]])] == [2, 1]
    with pytest.raises(UserError, match=r"expected an elman\.models\.Tagger.*got Linear"):
        fit(pos, model=torch.nn.Linear(1, 1), out=tmp_path / "other", **asked)


def test_settings_are_the_tasks_own() -> None:
    with pytest.raises(UserError, match="crf"):
        build({"task": "tagging", "kind": "gru", "budget": "2 steps", "model": {"crff": True}})

"""Translation as a task: the tokenizer, the sizes and the settings that follow from pairs, and what asking changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from elman.data import pair_corpus
from elman.errors import UserError
from elman.given import choose_task
from elman.preparation import prepare
from elman.tasks import TASKS
from elman.tasks import sizing as task_sizing
from elman.tasks.configuration import Settings, build, read_yaml
from elman.tasks.sizing import LARGE_VOCABULARY, SIZES, learning_rate, tokens_needed
from elman.tasks.translation import corpus as task_corpus
from elman.tasks.translation.sizing import (
    EMBEDDING_SIZE,
    LABEL_SMOOTHING,
    MOST_DROPOUT,
    RECIPES,
    TOKENS,
    WEIGHT_DECAY,
)

SMALL = {"hidden_size": 8}

TASK = TASKS["translation"]


def write(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    return path


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return write(tmp_path / "words.tsv", [(f"go{n}", f"went{n}") for n in range(60)])


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    text = "a sentence with rather many words of which the last is number"
    return write(tmp_path / "sentences.tsv", [(f"{text} {n}", f"{text} {n * n}") for n in range(60)])


def tree(source: Path | str, kind: str = "lstm", **sections: dict[str, Any]) -> dict[str, Any]:
    data = {"source": str(source)} | sections.pop("data", {})
    budget = {"amount": 2, "unit": "steps"}
    return {"task": "translation", "kind": kind, "budget": budget, "data": data, "model": dict(SMALL)} | sections


def resolved(asked: dict[str, Any], folder: Path) -> Settings:
    with prepare(asked, folder) as prepared:
        return prepared.settings


def test_characters_for_words_and_byte_pairs_for_sentences(words: Path, sentences: Path, tmp_path: Path) -> None:
    for source, kind in ((words, "char"), (sentences, "bpe")):
        settings = build(tree(source))
        assert settings.data.tokenizer == "auto"
        assert task_corpus.tokenizer(settings.data) == kind
        assert resolved(tree(source), tmp_path / kind).data.tokenizer == kind
    assert resolved(tree(sentences, data={"tokenizer": "word"}), tmp_path / "word").data.tokenizer == "word"


def test_made_pairs_are_of_characters() -> None:
    assert task_corpus.tokenizer(build(tree("dates")).data) == "char"


@pytest.mark.parametrize("kind", RECIPES)
def test_what_is_left_open_is_chosen_and_what_is_asked_for_stays(words: Path, tmp_path: Path, kind: str) -> None:
    asked = tree(words, kind, model=dict(SMALL) | {"dropout": 0.3}, train={"weight_decay": 0.5, "optimizer": "sgd"})
    settings = resolved(asked, tmp_path / "run")
    recipe = RECIPES[kind]
    assert (settings.model.hidden_size, settings.model.dropout) == (8, 0.3)
    assert (settings.train.weight_decay, settings.train.optimizer) == (0.5, "sgd")
    assert settings.train.learning_rate == learning_rate(recipe, 8) > recipe.learning_rate
    chosen = resolved(tree(words, kind, model={}), tmp_path / "open")
    assert {name: getattr(chosen.model, name) for name in recipe.model} == dict(recipe.model)
    assert {name: getattr(chosen.train, name) for name in recipe.train} == dict(recipe.train)
    assert chosen.train.weight_decay == WEIGHT_DECAY


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({}, ("cuda", "bfloat16")),
        ({"device": "cpu"}, ("cpu", "float32")),
        ({"device": "cpu", "precision": "bfloat16"}, ("cpu", "bfloat16")),
    ],
)
def test_the_precision_is_one_of_the_device_that_was_asked_for(
    words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], chosen: tuple[str, str]
) -> None:
    """Here is a GPU, which multiplies bfloat16 numbers, and a processor, which does not."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("elman.environment.has_bfloat16", lambda device: device == "cuda")
    train = TASK.choose(build(tree(words, train=asked)), pair_corpus.prepare(words, tmp_path / "cache")).settings.train
    assert (train.device, train.precision) == chosen


def test_a_small_vocabulary_is_embedded_in_few_numbers_and_not_smoothed(words: Path, tmp_path: Path) -> None:
    few = resolved(tree(words, "gru", model={}), tmp_path / "few")
    assert (few.model.embedding_size, few.train.label_smoothing) == (EMBEDDING_SIZE[0], 0)
    sentences = write(tmp_path / "sentences.tsv", [(f"go{n}", f"went{n}") for n in range(LARGE_VOCABULARY)])
    many = resolved(tree(sentences, "gru", model={}, data={"tokenizer": "word"}), tmp_path / "many")
    assert (many.model.embedding_size, many.train.label_smoothing) == (EMBEDDING_SIZE[1], LABEL_SMOOTHING[1])


def test_what_is_never_read_twice_needs_no_dropout(words: Path, tmp_path: Path) -> None:
    often = {"budget": {"amount": 40, "unit": "epochs"}, "model": {}}
    assert resolved(tree(words) | often, tmp_path / "words").model.dropout > 0
    endless = tree("numbers-en", train={"epoch_pairs": 50}) | often
    assert resolved(endless, tmp_path / "endless").model.dropout == 0


def test_fresh_pairs_are_counted_and_not_read_in_passes(words: Path, tmp_path: Path) -> None:
    twice = {"budget": {"amount": 2, "unit": "epochs"}, "model": {}}
    told = []
    for name, source in {"words": words, "numbers": "numbers-en"}.items():
        with prepare(tree(source, train={"epoch_pairs": 50}) | twice, tmp_path / name, say=told.append):
            pass
    of_words, of_numbers = (line for line in "\n".join(told).splitlines() if line.startswith("because: "))
    assert "2.0 passes over them" in of_words
    assert "fresh pairs" in of_numbers
    assert "hold about 100 of them" in of_numbers
    assert "passes" not in of_numbers


@pytest.mark.parametrize("kind", RECIPES)
def test_sizes_and_dropout_follow_from_the_budget(sentences: Path, tmp_path: Path, kind: str) -> None:
    """A model is as large as the tokens that the budget reads pay for, and drops more the oftener it reads them."""
    corpus = pair_corpus.prepare(sentences, tmp_path / "cache", tokenizer="word", joint=True)
    read = int(np.maximum(corpus.train.source_lengths, corpus.train.target_lengths).sum()) + len(corpus.train)
    found = []
    for epochs in (2, 1000, 8000):
        asked = build(tree(sentences, kind, model={}) | {"budget": {"amount": epochs, "unit": "epochs"}})
        settings = TASK.choose(asked, corpus).settings
        found.append((settings.model.hidden_size, settings.model.dropout))
        layers = count_layers(settings, corpus)
        larger = settings.model.model_copy(update={"hidden_size": settings.model.hidden_size + SIZES.step})
        if settings.model.hidden_size > SIZES[0]:
            assert tokens_needed(RECIPES[kind], layers, epochs) * TOKENS[0] <= epochs * read
        layers = count_layers(settings.model_copy(update={"model": larger}), corpus)
        assert epochs * read < tokens_needed(RECIPES[kind], layers, epochs) * TOKENS[0]
    (first, none), (second, some), (third, most) = found
    assert SIZES[0] == first < second < third
    assert none == 0 < some <= most == MOST_DROPOUT[0]


def count_layers(settings: Settings, corpus: Any) -> int:
    """The numbers of a model but for its embeddings."""
    model = TASK.build(TASK.model_config(settings, corpus))
    embeddings = {part.weight for part in model.modules() if isinstance(part, torch.nn.Embedding)}
    return sum(p.numel() for p in model.parameters() if p not in embeddings)


def test_in_wall_time_a_faster_machine_makes_a_larger_model(
    words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, steps = [], []
    for seconds in (1.0, 1e-3, 1e-4):
        monkeypatch.setattr(task_sizing, "step_seconds", lambda step, taken=seconds: steps.append(step()) or taken)
        asked = tree(words, "gru", model={}) | {"budget": {"amount": 60, "unit": "seconds"}}
        choice = TASK.choose(build(asked), pair_corpus.prepare(words, tmp_path / "cache"))
        assert "(measured)" in choice.reason
        sizes.append(choice.settings.model.hidden_size)
    assert sizes[0] < sizes[1] < sizes[2]
    assert len(steps) == 3


def test_a_model_of_another_size_keeps_the_dropout_that_the_measured_speed_gave(words: Path, tmp_path: Path) -> None:
    measured = resolved(tree(words, model=dict(SMALL) | {"dropout": 0.35}), tmp_path / "measured")
    other = resolved(tree(words, model={"hidden_size": 16}), tmp_path / "other")
    adopted = TASK.as_measured(other, measured)
    assert (adopted.model.hidden_size, adopted.model.dropout) == (16, 0.35)
    assert other.model.dropout == 0


def test_settings_are_what_a_file_of_them_says(words: Path, tmp_path: Path) -> None:
    settings = resolved(tree(words, train={"metric": "exact_match"}), tmp_path / "run")
    stored = tmp_path / "run" / "config.yaml"
    assert build(read_yaml(stored)) == settings
    assert build(yaml.safe_load(settings.to_yaml())).to_yaml() == settings.to_yaml()
    again = resolved(read_yaml(stored), tmp_path / "again")
    assert again == settings


@pytest.mark.parametrize("joint", [True, False])
def test_one_vocabulary_or_two(words: Path, tmp_path: Path, joint: bool) -> None:
    settings = build(tree(words, data={"joint": joint}))
    corpus = TASK.corpus(settings, tmp_path, print, None)
    model = TASK.build(TASK.model_config(settings, corpus))
    assert (model.source_embedding is model.target_embedding) == joint
    assert (" and " in TASK.describe(corpus).partition("pairs, ")[2]) != joint
    assert list(TASK.codecs(corpus)) == ["source_tokenizer", "target_tokenizer"]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    pairs = write(tmp_path / "x.tsv", [(f"a{n}", f"b{n}") for n in range(60)] + [("c", ""), ("c" * 50, "d")])
    valid = write(tmp_path / "valid.tsv", [("a1", "b1")])
    said: list[str] = []
    settings = build(tree(pairs, data={"max_length": 20, "valid": str(valid)}))
    corpus = TASK.corpus(settings, tmp_path / "cache", said.append, None)
    assert len(corpus.train) == 60
    assert said == [
        f"left out 1 pair with an empty side (the first: line 61 of {pairs})",
        "left out 1 training pair of more than 20 tokens (max_length)",
    ]


def test_the_data_says_what_the_task_is(words: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("no pairs")
    for data, task in (
        ([str(words)], "translation"),
        ([str(text)], "language-modelling"),
        ([str(text), str(text)], "translation"),
        (["dates"], "translation"),
        (["python-stdlib"], "language-modelling"),
    ):
        assert choose_task("auto", {}, list(data), []).name == task
    assert choose_task("language-modelling", {}, [str(words)], []).name == "language-modelling"
    assert choose_task("auto", {"task": "language-modelling"}, [str(words)], []).name == "language-modelling"


def test_pairs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.tsv"):
        TASK.check(build(tree(tmp_path / "none.tsv")))
    (tmp_path / "a.tsv").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"none\.tsv"):
        TASK.check(build(tree(tmp_path / "a.tsv", data={"valid": str(tmp_path / "none.tsv")})))


def test_a_card_says_how_a_model_is_used() -> None:
    usage = TASK.usage.format(run="somewhere")
    assert 'elman.load("somewhere")' in usage
    assert "elman predict somewhere FILE" in usage


def test_an_endless_source_is_called_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_corpus, "LEARN_FROM", 500)
    settings = build(tree("dates", train={"epoch_pairs": 30}))
    corpus = TASK.corpus(settings, tmp_path, print, None)
    assert TASK.describe(corpus).startswith("30 fresh training and 1,000 validation pairs")

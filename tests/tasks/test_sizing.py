"""Sizes follow from the budget, and what was asked for stays."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from elman import distributed
from elman.models import build
from elman.tasks import configuration as config
from elman.tasks import sizing as tasks_sizing
from elman.tasks.language_modelling import sizing
from elman.tasks.sizing import SIZES, tokens_needed
from elman.train.schedule import Budget

KINDS = ["elman", "gru", "lstm", "transformer"]


def text(tokens: int = 1_000_000, vocab_size: int = 65) -> Any:
    """As much of a corpus as sizes depend on."""
    return SimpleNamespace(train=range(tokens), tokenizer=SimpleNamespace(vocab_size=vocab_size))


def choose(kind, amount, unit="steps", tokens=1_000_000, vocab_size=65, **sections):
    settings = config.build({"kind": kind, "budget": Budget(amount, unit), **sections})
    return sizing.choose(settings, text(tokens, vocab_size)).settings


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_budget_makes_a_larger_model(kind):
    sizes = [choose(kind, steps).model.hidden_size for steps in (10, 5_000, 100_000)]
    assert sizes[0] == min(SIZES)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_layers(kind):
    settings = choose(kind, 5_000)
    model = build(sizing.model_config(settings, text()))
    matrices = sum(p.numel() for p in model.layers.parameters() if p.dim() > 1)
    assert sizing.parameters(settings) == matrices


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_holds_no_more_parameters_than_the_tokens_pay_for(kind):
    settings = choose(kind, 20_000)
    tokens = 20_000 * settings.train.lanes * settings.train.k1
    recipe, passes = sizing.RECIPES[kind], tokens / len(text().train)
    larger = settings.model.model_copy(update={"hidden_size": settings.model.hidden_size + SIZES.step})
    more = sizing.parameters(settings.model_copy(update={"model": larger}))
    assert tokens_needed(recipe, sizing.parameters(settings), passes) <= tokens < tokens_needed(recipe, more, passes)


def test_a_text_that_is_read_often_is_worth_a_larger_model():
    """The same tokens: of a long text, each read once, and of a short one, each read thirty times."""
    once, often = (choose("lstm", 5_000, tokens=tokens).model.hidden_size for tokens in (7_680_000, 256_000))
    assert once < often


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_asked_for_stays(kind):
    asked = {"model": {"hidden_size": 48, "num_layers": 3}, "train": {"learning_rate": 0.5, "lanes": 7, "k1": 11}}
    settings = choose(kind, 5_000, **asked)
    assert (settings.model.hidden_size, settings.model.num_layers) == (48, 3)
    assert (settings.train.learning_rate, settings.train.lanes, settings.train.k1) == (0.5, 7, 11)


def test_a_model_recomputes_where_that_was_asked_for():
    settings = choose("gru", 5_000, model={"recompute": True})
    assert build(sizing.model_config(settings, text())).config["recompute"] is True


def test_a_model_varies_as_was_asked_for():
    asked = {"zoneout": 0.1, "zoneout_cell": 0.3, "recurrent_dropout": 0.2, "layer_norm": True, "peepholes": True}
    config = build(sizing.model_config(choose("lstm", 5_000, model=asked), text())).config
    assert asked.items() <= config.items()


def test_many_passes_over_the_text_bring_dropout():
    assert choose("lstm", 2, "epochs").model.dropout_output == 0
    few, many = (choose("lstm", n, "epochs").model.dropout_output for n in (8, 64))
    assert 0 < few < many <= 0.5


def test_a_short_text_has_few_lanes():
    train = choose("lstm", 10, tokens=300).train
    assert 1 <= train.lanes * train.k1 < 300


def test_a_large_vocabulary_shares_its_matrix():
    model = choose("lstm", 5_000, vocab_size=10_000).model
    assert model.tied
    assert model.embedding_size == model.hidden_size


def test_wall_time_is_measured_and_nothing_is_left_open():
    settings = config.build({"kind": "gru", "budget": Budget(0.5, "seconds"), "train": {"lanes": 2, "k1": 4}})
    choice = sizing.choose(settings, text())
    assert "measured" in choice.reason
    assert choice.settings.model.model_fields_set == set(type(choice.settings.model).model_fields)
    assert choice.settings.train.precision in ("float32", "bfloat16")


@pytest.fixture
def a_gpu(monkeypatch):
    """A GPU, which multiplies bfloat16 numbers, beside a processor, which does not."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("elman.environment.has_bfloat16", lambda device: device == "cuda")


def test_each_precision_is_measured_with_the_optimizer_that_rounds_as_it_does(monkeypatch):
    made, make = [], sizing.optimizer
    monkeypatch.setattr("elman.environment.has_bfloat16", lambda device: True)
    monkeypatch.setattr(sizing, "optimizer", lambda model, train: made.append(train.precision) or make(model, train))
    monkeypatch.setattr(sizing, "step_seconds", lambda step: step() or {"float32": 3.0, "bfloat16": 1.0}[step.args[0]])
    train = choose("transformer", 1, "seconds", train={"lanes": 2, "k1": 4}).train
    assert made == ["float32", "bfloat16"]
    assert (train.precision, train.optimizer) == ("bfloat16", "muon")


def test_a_gpu_is_taken_unless_another_device_was_asked_for(a_gpu):
    assert choose("gru", 10).train.device == "cuda"
    assert choose("gru", 10, train={"device": "cpu"}).train.device == "cpu"


def test_speed_is_measured_in_the_precisions_of_the_device_that_was_asked_for(a_gpu, monkeypatch):
    tried = []
    monkeypatch.setattr(sizing, "step_seconds", lambda step: tried.append(step.args) or 1.0)
    train = choose("gru", 1, "seconds", train={"device": "cpu", "lanes": 2}).train
    assert (train.device, train.precision) == ("cpu", "float32")
    assert tried == [("float32",)]


def test_processes_measure_their_parts_of_a_batch_together_and_the_slowest_decides(monkeypatch):
    measured, draw = [], torch.randint
    monkeypatch.setattr(
        torch, "randint", lambda high, size, **options: measured.append(size) or draw(high, size, **options)
    )
    monkeypatch.setattr(tasks_sizing, "PROBE_PAUSES", (0.0,))
    monkeypatch.setattr(tasks_sizing, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(distributed.Ranks, "most", lambda ranks, seconds: 1000.0)
    speeds = []
    for ranks in (distributed.ALONE, distributed.Ranks(1, 2)):
        monkeypatch.setattr(distributed, "_here", ranks)
        settings = config.build({"kind": "gru", "budget": Budget(1, "seconds"), "train": {"lanes": 5, "k1": 4}})
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"hidden_size": 8})})
        speeds.append(sizing._measure(settings, settings, text())[0])
    assert measured == [(5, 4), (2, 4)]
    assert speeds[0] == speeds[1] == sizing.operations(settings, text()) * 20 / 1000


@pytest.mark.parametrize(("size", "heads"), [(128, 2), (64, 1), (100, 2), (2, 1), (192, 3)])
def test_heads_of_about_64_units(size, heads):
    assert sizing._heads(size) == heads


@pytest.mark.parametrize("vocab_size", [65, 10_000])
def test_a_tied_model_is_of_the_size_that_is_told(vocab_size):
    settings = choose("lstm", 5_000, vocab_size=vocab_size, model={"tied": True, "num_layers": 2})
    model = build(sizing.model_config(settings, text(vocab_size=vocab_size)))
    assert settings.model.embedding_size == settings.model.hidden_size
    assert sizing.parameters(settings) == sum(p.numel() for p in model.layers.parameters() if p.dim() > 1)


@pytest.mark.parametrize(("steps", "told"), [(6, "hold about 190 tokens"), (10_000, "hold about 0.3 million tokens")])
def test_a_short_budget_is_told_in_digits_that_say_something(steps, told):
    settings = config.build(
        {"kind": "gru", "budget": Budget(steps, "steps"), "train": {"lanes": 4, "k1": 8}, "model": {"hidden_size": 8}}
    )
    reason = sizing.choose(settings, text()).reason
    assert told in reason
    assert " 0 tokens a parameter" not in reason
    assert " 0.0 passes" not in reason

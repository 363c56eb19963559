from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from elman.compare.matching import match_operations, match_parameters, parameters
from elman.compare.plan import Plan
from elman.errors import UserError
from elman.models import build
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings
from elman.tasks.language_modelling import sizing
from elman.tasks.sizing import fitting_heads
from elman.train.schedule import Budget

TEXT, PAIRS = TASKS["language-modelling"], TASKS["translation"]


def text(tokens: int = 100_000) -> Any:
    """As much of a corpus as sizes depend on."""
    return SimpleNamespace(train=range(tokens), tokenizer=SimpleNamespace(vocab_size=65))


def sized(kind: str, size: int) -> Settings:
    tree = config.set_values({"kind": kind, "budget": {"amount": 10, "unit": "steps"}}, [f"hidden_size={size}"])
    return sizing.choose(config.build(tree), text()).settings


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
@pytest.mark.parametrize("target", [40_000, 300_000, 1_234_567])
def test_within_two_per_cent(kind: str, target: int) -> None:
    settings = match_parameters(TEXT, partial(sized, kind), text(), target)
    assert abs(parameters(TEXT, settings, text()) - target) <= 0.02 * target


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
def test_encoder_decoders_within_two_per_cent(kind: str) -> None:
    tokenizers = SimpleNamespace(vocab_size=40), SimpleNamespace(vocab_size=30)
    corpus = SimpleNamespace(source_tokenizer=tokenizers[0], target_tokenizer=tokenizers[1])

    def pairs(size: int) -> Settings:
        model = {"hidden_size": size} | ({"num_heads": 2} if kind == "transformer" else {"embedding_size": 32})
        tree = {"task": "translation", "kind": kind, "budget": {"amount": 1, "unit": "steps"}, "model": model}
        return config.build(tree)

    settings = match_parameters(PAIRS, pairs, corpus, 400_000)
    assert abs(parameters(PAIRS, settings, corpus) - 400_000) <= 0.02 * 400_000


def test_the_count_is_that_of_the_model_itself() -> None:
    settings = sized("lstm", 96)
    model = build(sizing.model_config(settings, text()))
    assert parameters(TEXT, settings, text()) == sum(p.numel() for p in model.parameters())


def test_a_number_that_no_model_has() -> None:
    with pytest.raises(UserError, match="no transformer has so many within 2 %"):
        match_parameters(TEXT, partial(sized, "transformer"), text(), 10)


def test_the_same_operations() -> None:
    first, other = sized("gru", 96), sized("lstm", 128)
    budget = match_operations(TEXT, first, other, text())
    each = [sizing.operations(settings, text()) for settings in (first, other)]
    assert budget == Budget(round(10 * each[0] / each[1]), "steps")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ("lstm",)}, "expected two or more"),
        ({"models": ("lstm", "lstm")}, "each model once"),
        ({"models": ("lstm", "gro")}, "no kind called 'gro'"),
        ({"match": "luck"}, "got 'luck'"),
        ({"match": "time", "budget": Budget(3, "steps")}, "a budget of time"),
        ({"match": "flops"}, "a budget of time does not keep them equal"),
        ({"settings": ("hidden_size=3",)}, "hidden_size follows"),
        ({"settings": ("clap=3",)}, "no setting"),
        ({"task": "painting"}, "task: none called 'painting'"),
        ({"task": "seq2seq"}, "did you mean 'translation'"),
    ],
)
def test_plans_that_are_none(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Plan(**({"data": ("x",), "models": ("gru", "lstm")} | values))  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
@pytest.mark.parametrize("target", [2_000, 25_696])
def test_small_models_of_two_directions_are_matched_by_their_embeddings(kind: str, target: int) -> None:
    """An even size alone is a step of several per cent there."""
    labels, scaler = SimpleNamespace(size=9, kind="class"), SimpleNamespace(channels=12, missing=False)
    corpus, task = SimpleNamespace(tokenizer=None, scaler=scaler, labels=labels), TASKS["classification"]

    def labelled(size: int) -> Settings:
        model = {"hidden_size": size} | ({"num_heads": fitting_heads(size, 4)} if kind == "transformer" else {})
        return config.build({"task": task.name, "kind": kind, "budget": {"amount": 1, "unit": "steps"}, "model": model})

    settings = match_parameters(task, labelled, corpus, target)
    assert abs(parameters(task, settings, corpus) - target) <= 0.02 * target

"""One configuration for each model: the constructor, YAML and `model.config` have its defaults, rules and messages."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from elman.errors import UserError
from elman.models import ENCODER_DECODERS, MODELS, LanguageModel, RecurrentLM, build, build_encoder_decoder
from elman.models import configuration as configurations
from elman.tasks import configuration as yaml_config

FAMILIES: dict[str, Any] = {
    "language-modelling": (MODELS, configurations.LANGUAGE_MODELS, build, {"vocab_size": 9}),
    "translation": (
        ENCODER_DECODERS,
        configurations.ENCODER_DECODER_SETTINGS,
        build_encoder_decoder,
        {"source_vocab_size": 9, "vocab_size": 9},
    ),
}
KINDS = [(task, kind) for task, (models, *_) in FAMILIES.items() for kind in models]


def test_configurations_need_no_torch() -> None:
    code = "import sys, elman.models.configuration; assert not {'torch', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("task", "kind"), KINDS)
def test_a_constructor_is_spelled_by_the_configuration(task: str, kind: str) -> None:
    models, sections, make, sizes = FAMILIES[task]
    parameters = inspect.signature(models[kind]).parameters
    assert [name for name, each in parameters.items() if each.default is each.empty] == list(sizes)
    for name, field in sections[kind].model_fields.items():
        assert (parameters[name].default, parameters[name].annotation) == (field.default, field.annotation)
    beyond = parameters.keys() - sections[kind].model_fields.keys() - sizes.keys()
    assert beyond <= {"joint", *configurations.OF_ANY_CELL.model_fields}
    assert type(make({"model": kind} | sizes).settings) is sections[kind]


@pytest.mark.parametrize(("task", "kind"), KINDS)
def test_every_default_is_neutral_and_every_setting_an_attribute(task: str, kind: str) -> None:
    _, sections, make, sizes = FAMILIES[task]
    model = make({"model": kind} | sizes)
    assert all(getattr(model, name) == value for name, value in model.settings)
    assert {"model": kind, **sizes, **model.settings.model_dump()}.items() <= model.config.items()
    for name, field in sections[kind].model_fields.items():
        if "dropout" in name or "zoneout" in name:
            assert field.default == 0
        if name in configurations.MULTIPLES:
            assert field.default is None
            assert getattr(model, name) == configurations.MULTIPLES[name] * model.hidden_size
    with pytest.raises(ValidationError):
        model.settings.hidden_size = 3


@pytest.mark.parametrize(
    ("task", "kind", "settings", "told"),
    [
        ("language-modelling", "gru", {"hidden_size": 1 << 17}, "hidden_size: expected less than or equal to 65536"),
        ("language-modelling", "gru", {"num_layers": 0}, "num_layers: expected greater than or equal to 1, got 0"),
        ("language-modelling", "lstm", {"zoneout_cell": 1.0}, "zoneout_cell: expected less than 1, got 1.0"),
        ("language-modelling", "lstm", {"tied": "perhaps"}, "tied: expected a valid boolean"),
        ("language-modelling", "transformer", {"window": 0}, "window: expected greater than or equal to 1, got 0"),
        ("language-modelling", "transformer", {"positions": "sinusoidale"}, "did you mean 'sinusoidal'?"),
        ("language-modelling", "transformer", {"hidden_size": 12, "num_heads": 4}, "heads of an even size that divide"),
        (
            "language-modelling",
            "transformer",
            {"hidden_size": 9, "num_heads": 3, "positions": "sinusoidal"},
            "hidden_size: expected an even size for sinusoidal positions, got 9",
        ),
        ("translation", "gru", {"hidden_size": 7}, "hidden_size: expected an even size for two directions, got 7"),
        ("translation", "elman", {"attention": "none", "input_feeding": True}, "feed without attention; choose an at"),
        ("translation", "lstm", {"bridge": "wood"}, "bridge: expected 'dense', 'copy' or 'none', got 'wood'"),
        ("translation", "transformer", {"num_heads": 3}, "num_heads: expected a divisor of hidden_size 128, got 3"),
        ("translation", "transformer", {"hidden_size": 7, "num_heads": 7}, "an even size for sinusoidal positions"),
        ("translation", "transformer", {"max_positions": 0}, "max_positions: expected greater than or equal to 1"),
    ],
)
def test_constructor_and_yaml_refuse_the_same_with_the_same_words(
    task: str, kind: str, settings: dict[str, Any], told: str
) -> None:
    _, _, make, sizes = FAMILIES[task]
    with pytest.raises(UserError) as by_constructor:
        make({"model": kind} | sizes | settings)
    tree = {"task": task, "kind": kind, "budget": {"amount": 1, "unit": "steps"}, "model": settings}
    with pytest.raises(UserError) as by_yaml:
        yaml_config.build(tree)
    assert told in str(by_yaml.value)
    # YAML reads "yes" as true, so a word that it cannot read has one clause more.
    assert str(by_constructor.value) == str(by_yaml.value).replace(", unable to interpret input", "")


def test_heads_that_nobody_asked_for_are_checked_when_the_model_is_made() -> None:
    assert configurations.TransformerSettings(hidden_size=10).hidden_size == 10  # its heads follow from it later
    with pytest.raises(UserError, match="divide hidden_size 10, got 4"):
        build({"model": "transformer", "vocab_size": 9, "hidden_size": 10})


@pytest.mark.parametrize("task", FAMILIES)
def test_queries_and_keys_need_no_norm(task: str) -> None:
    tree = {"task": task, "kind": "transformer", "budget": {"amount": 1, "unit": "steps"}, "model": {"qk_norm": False}}
    model = FAMILIES[task][2]({"model": "transformer"} | FAMILIES[task][3] | yaml_config.build(tree).model.model_dump())
    assert not [name for name, _ in model.named_parameters() if "query_norm" in name or "key_norm" in name]
    assert model.config["qk_norm"] is False


@pytest.mark.parametrize("cell", ["elman", "gru"])
def test_what_the_lstm_alone_has_may_be_named_where_it_is_off(cell: str) -> None:
    """As the `config.json` of earlier builds names it."""
    model = build({"model": cell, "vocab_size": 9, "hidden_size": 4, "zoneout_cell": 0.0, "peepholes": False})
    assert not {"zoneout_cell", "peepholes"} & model.config.keys()
    assert model.config == RecurrentLM(cell, 9, hidden_size=4).config


@pytest.mark.parametrize("kind", MODELS)
def test_hidden_states_are_batch_first_and_lie_in_memory_as_the_model_says(kind: str) -> None:
    model = build({"model": kind, "vocab_size": 9, "hidden_size": 8})
    assert isinstance(model, LanguageModel)
    hidden, _ = model.read(torch.randint(9, (3, 5)))
    assert hidden.shape == (3, 5, 8)
    ordered = model.in_memory_order(hidden)
    assert ordered.shape == ((5, 3, 8) if model.time_major else (3, 5, 8))
    assert ordered.is_contiguous(), "a loss must not copy them"
    assert model.in_memory_order(ordered).equal(hidden)
    assert model.output(hidden).is_contiguous()
    torch.testing.assert_close(model.in_memory_order(model.output(ordered)), model.output(hidden))

from __future__ import annotations

from functools import partial

import pytest

from elman.compare.matching import count_parameters, geometric_mean, match_operations, match_parameters
from elman.compare.plan import Plan
from elman.errors import UserError
from elman.models import build
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings
from elman.tasks.language_modelling import sizing
from elman.train.schedule import Budget


def sized(kind: str, size: int) -> Settings:
    tree = config.set_values({"kind": kind, "budget": {"amount": 10, "unit": "steps"}}, [f"hidden_size={size}"])
    return sizing.choose(config.build(tree), 100_000, 65).settings


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm", "transformer"])
@pytest.mark.parametrize("target", [40_000, 300_000, 1_234_567])
def test_within_two_per_cent(kind: str, target: int) -> None:
    settings = match_parameters(partial(sized, kind), 65, target)
    assert abs(count_parameters(settings, 65) - target) <= 0.02 * target


def test_the_count_is_that_of_the_model_itself() -> None:
    settings = sized("lstm", 96)
    model = build(sizing.model_config(settings, 65))
    assert count_parameters(settings, 65) == sum(p.numel() for p in model.parameters())


def test_a_number_that_no_model_has() -> None:
    with pytest.raises(UserError, match="no transformer has so many within 2%"):
        match_parameters(partial(sized, "transformer"), 65, 10)


def test_the_same_operations() -> None:
    first, other = sized("gru", 96), sized("lstm", 128)
    budget = match_operations(first, other, 100_000, 65)
    each = [sizing.operations(settings, 65) for settings in (first, other)]
    assert budget == Budget(round(10 * each[0] / each[1]), "steps")


def test_the_middle() -> None:
    assert geometric_mean([10, 1000]) == 100


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": ("lstm",)}, "expected two or more"),
        ({"models": ("lstm", "lstm")}, "each once"),
        ({"models": ("lstm", "gro")}, "no kind called 'gro'"),
        ({"match": "luck"}, "got 'luck'"),
        ({"match": "time", "budget": Budget(3, "steps")}, "a budget of time"),
        ({"match": "flops"}, "no budget of time can hold"),
        ({"settings": ("hidden_size=3",)}, "hidden_size follows"),
        ({"settings": ("clap=3",)}, "no setting"),
    ],
)
def test_plans_that_are_none(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Plan(**({"data": "x", "models": ("gru", "lstm")} | values))  # type: ignore[arg-type]
    assert caught.value.exit_code == 2

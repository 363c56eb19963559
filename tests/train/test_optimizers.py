import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from elman.train.optimizers import NonMonotonicTrigger, optimizer, set_learning_rate


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 5))
def test_the_trigger_is_that_of_algorithm_1(losses: list[int], n: int) -> None:
    """Merity et al. 2018: trigger at check t if t > n and v > min of the logs 0 ... t - n - 1."""
    trigger = NonMonotonicTrigger(n)
    for t, v in enumerate(losses):
        expected = t > n and v > min(losses[: t - n])
        assert trigger(v) == expected


def test_only_matrices_decay() -> None:
    model = nn.Linear(3, 2)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    made = optimizer("sgd", model, learning_rate=0.1, weight_decay=0.5)
    model.weight.grad, model.bias.grad = torch.zeros(2, 3), torch.zeros(2)
    made.step()
    torch.testing.assert_close(model.weight.detach(), torch.full((2, 3), 0.95))
    assert torch.equal(model.bias.detach(), torch.ones(2))


@pytest.mark.parametrize("name", ["adamw", "sgd", "ntasgd"])
def test_every_parameter_has_a_group_and_its_rate(name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    model[0].bias.requires_grad = False
    made = optimizer(name, model, learning_rate=1.0)
    held = [p for group in made.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.parameters() if p.requires_grad}
    set_learning_rate(made, 0.25)
    assert {group["lr"] for group in made.param_groups} == {0.25}


def test_adamw_is_that_of_its_formula() -> None:
    w = nn.Parameter(torch.tensor([[2.0]], dtype=torch.double))
    model = nn.Module()
    model.w = w
    made = optimizer("adamw", model, learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.95)
    x, m, v = 2.0, 0.0, 0.0
    for t, g in enumerate([0.5, -1.0, 3.0], start=1):
        w.grad = torch.tensor([[g]], dtype=torch.double)
        made.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        x = x * (1 - 0.1 * 0.3) - 0.1 * (m / (1 - 0.8**t)) / ((v / (1 - 0.95**t)) ** 0.5 + 1e-8)
    assert w.item() == pytest.approx(x)

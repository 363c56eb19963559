import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from elman.errors import UserError
from elman.kernels.orthogonal import orthogonal
from elman.train import optimizers
from elman.train.averaging import stopped_improving
from elman.train.settings import Optimization


def optimizer(name: str, model: nn.Module, **settings: Any) -> torch.optim.Optimizer:
    return optimizers.optimizer(model, Optimization(optimizer=name, **({"weight_decay": 0.0} | settings)))


def set_learning_rate(made: torch.optim.Optimizer, rate: float) -> None:
    for group in made.param_groups:
        group["lr"] = rate


class WithMaps(nn.Sequential):
    """Says which of its matrices are Muon's: the first, which holds two maps."""

    def stacked_maps(self):
        return {self[0].weight: 2}


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 5))
def test_the_trigger_is_that_of_algorithm_1(losses: list[int], n: int) -> None:
    """Merity et al. 2018: trigger at check t if t > n and v > min of the logs 0 ... t - n - 1."""
    for t, v in enumerate(losses):
        expected = t > n and v > min(losses[: t - n])
        assert stopped_improving(losses[: t + 1], n) == expected


def test_only_matrices_decay() -> None:
    model = nn.Linear(3, 2)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    made = optimizer("sgd", model, learning_rate=0.1, weight_decay=0.5)
    model.weight.grad, model.bias.grad = torch.zeros(2, 3), torch.zeros(2)
    made.step()
    torch.testing.assert_close(model.weight.detach(), torch.full((2, 3), 0.95))
    assert torch.equal(model.bias.detach(), torch.ones(2))


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd", "ntasgd"])
def test_every_parameter_has_a_group_and_its_rate(name: str) -> None:
    model = WithMaps(nn.Linear(3, 2), nn.LayerNorm(2))
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


@pytest.mark.parametrize("shape", [(5, 5), (64, 16), (16, 64), (3, 20, 7), (1, 9)])
def test_orthogonal_keeps_the_singular_vectors_and_evens_out_the_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.double)
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    values = u.mT @ orthogonal(x) @ v.mT
    torch.testing.assert_close(values, torch.diag_embed(values.diagonal(dim1=-2, dim2=-1)), atol=1e-9, rtol=0)
    seen = values.diagonal(dim1=-2, dim2=-1)[s / s.norm(dim=-1, keepdim=True) > 2e-3]
    assert ((seen - 1).abs() < 0.15).all()


@pytest.mark.parametrize("shape", [(64, 64), (4, 96, 96), (2, 128, 32)])
def test_orthogonal_in_bfloat16_evens_out_the_values_as_well(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    exact, found = orthogonal(x), orthogonal(x, rounded=True)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    assert torch.nn.functional.cosine_similarity(found.flatten(), exact.flatten(), dim=0) > 0.995
    assert torch.linalg.svdvals(found).max() < 1.17


def test_a_training_in_bfloat16_rounds_what_muon_makes_orthogonal() -> None:
    torch.manual_seed(0)
    gradient, moved = torch.randn(8, 3), {}
    for precision in ("float32", "bfloat16"):
        model = WithMaps(nn.Linear(3, 8))
        made = optimizer("muon", model, learning_rate=0.01, muon_rate=1.0, precision=precision)
        nn.init.zeros_(model[0].weight)
        model[0].weight.grad = gradient.clone()
        made.step()
        moved[precision] = -model[0].weight.detach() / (4 / 3) ** 0.5
    ahead = (gradient * 0.05 + gradient * 0.05 * 0.95).chunk(2)  # a mean of one gradient, and that gradient
    for precision, step in moved.items():
        expected = torch.cat([orthogonal(part, rounded=precision == "bfloat16") for part in ahead])
        # The core and torch round differently, and a small singular value shows it.
        assert torch.nn.functional.cosine_similarity(step.flatten(), expected.flatten(), dim=0) > 0.995
        if precision == "float32":
            torch.testing.assert_close(step, expected, rtol=0, atol=1e-4)
    assert not torch.allclose(moved["float32"], moved["bfloat16"], rtol=1e-5)


def test_orthogonal_of_nothing_is_nothing() -> None:
    assert not orthogonal(torch.zeros(3, 4)).any()


def test_muon_steps_each_map_by_its_own_directions_and_leaves_the_rest_to_adamw() -> None:
    torch.manual_seed(0)
    model, other = (WithMaps(nn.Linear(3, 8), nn.Linear(8, 4)).double() for _ in range(2))
    other.load_state_dict(model.state_dict())
    muon = optimizer("muon", model, learning_rate=0.01, weight_decay=0.1, muon_rate=0.2)
    adamw = optimizer("adamw", other, learning_rate=0.01, weight_decay=0.1)
    mean, expected = torch.zeros(8, 3).double(), model[0].weight.detach().clone()
    for _ in range(3):
        gradients = [torch.randn_like(p) for p in model.parameters()]
        for p, q, gradient in zip(model.parameters(), other.parameters(), gradients, strict=True):
            p.grad, q.grad = gradient.clone(), gradient.clone()
        muon.step()
        adamw.step()
        mean = 0.95 * mean + 0.05 * gradients[0]
        ahead = 0.05 * gradients[0] + 0.95 * mean
        directions = torch.cat([orthogonal(part) for part in ahead.chunk(2)])
        expected = expected * (1 - 0.2 * 0.1) - 0.2 * (4 / 3) ** 0.5 * directions
    torch.testing.assert_close(model[0].weight.detach(), expected)
    for name in ("0.bias", "1.weight", "1.bias"):
        torch.testing.assert_close(model.get_parameter(name), other.get_parameter(name))


def test_muons_rate_follows_the_schedule() -> None:
    model = WithMaps(nn.Linear(3, 8))
    made = optimizer("muon", model, learning_rate=0.01, muon_rate=0.2)
    set_learning_rate(made, 0.0)
    before = model[0].weight.detach().clone()
    model[0].weight.grad = torch.randn(8, 3)
    made.step()
    assert torch.equal(model[0].weight, before)


def test_muon_wants_to_be_told_which_matrices_are_its_own() -> None:
    with pytest.raises(UserError, match="Linear has no stacked_maps"):
        optimizer("muon", nn.Linear(3, 2), learning_rate=0.1)


def test_a_copied_muon_goes_on() -> None:
    model = WithMaps(nn.Linear(3, 8))
    made = optimizer("muon", model, learning_rate=0.01)
    for muon in (made, copy.deepcopy(made)):
        for parameter in [p for group in muon.param_groups for p in group["params"]]:
            parameter.grad = torch.ones_like(parameter)
        muon.step()

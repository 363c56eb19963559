import numpy as np
import pytest
import torch
from torch import nn

from elman.train.averaging import Average


def wander(model: nn.Module, average: Average, steps: int) -> list[np.ndarray]:
    """The weights after each of some random steps, the first being the start."""
    seen = [model.weight.detach().numpy().copy()]
    for _ in range(steps):
        with torch.no_grad():
            model.weight += torch.randn_like(model.weight)
        average.update()
        seen.append(model.weight.detach().numpy().copy())
    return seen


def test_the_exponential_average_is_that_of_its_formula() -> None:
    model = nn.Linear(3, 2, bias=False).double()
    average = Average(model, decay=0.6)
    first, *others = wander(model, average, 20)
    expected = first
    for n, w in enumerate(others):
        d = min(0.6, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * w
    np.testing.assert_allclose(average.average[0].numpy(), expected, rtol=1e-12)


def test_the_plain_average_is_the_mean_of_all_weights_since() -> None:
    model = nn.Linear(3, 2, bias=False).double()
    average = Average(model, decay=1.0)
    _, *others = wander(model, average, 20)
    np.testing.assert_allclose(average.average[0].numpy(), np.mean(others, axis=0), rtol=1e-12)


def test_in_place_and_back_even_after_an_error() -> None:
    model = nn.Linear(3, 2, bias=False)
    average = Average(model, decay=0.9)
    wander(model, average, 3)
    own, mean = model.weight.detach().clone(), average.average[0].clone()

    def fail() -> None:
        with average.in_place():
            assert torch.equal(model.weight, mean)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(model.weight, own)
    assert torch.equal(average.average[0], mean)


def test_tied_weights_are_averaged_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average = Average(model, decay=1.0)
    with torch.no_grad():
        model[0].weight.fill_(5.0)
    average.update()
    with torch.no_grad():
        model[0].weight.fill_(7.0)
    average.update()
    with average.in_place():
        assert model[0].weight is model[1].weight
        assert model[1].weight.unique().tolist() == [6.0]


def test_loaded_it_goes_on_as_it_would_have() -> None:
    model = nn.Linear(3, 2)
    average = Average(model, decay=0.9)
    wander(model, average, 3)
    other = Average(nn.Linear(3, 2), decay=0.9)
    other.load({str(index): tensor.clone() for index, tensor in enumerate(average.average)}, average.updates)
    other.parameters = average.parameters
    average.update()
    other.update()
    assert all(torch.equal(a, b) for a, b in zip(average.average, other.average, strict=True))

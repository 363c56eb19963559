"""Calls that the core of the linear layers must not be handed: torch serves them, or refuses them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from elman.kernels.dense import Kept, added_linear, normed_linear


@pytest.fixture
def norm() -> nn.LayerNorm:
    return nn.LayerNorm(8)


@pytest.fixture
def linear() -> nn.Linear:
    return nn.Linear(8, 6)


def test_shapes_that_do_not_fit_are_refused(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(3, 7), None, linear)
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(3, 8), nn.LayerNorm(4), linear)
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(()), None, linear)
    with pytest.raises(RuntimeError):
        added_linear(torch.randn(3, 5), torch.randn(3, 8), linear)
    with pytest.raises(RuntimeError):  # fewer draws than numbers
        added_linear(torch.randn(3, 6), torch.randn(3, 8), linear, Kept(torch.zeros(17, dtype=torch.int16), 0, 1.0))
    for name, size in (("weight", (6, 7)), ("bias", (5,))):
        other = copy.deepcopy(linear)
        setattr(other, name, nn.Parameter(torch.randn(size)))
        with pytest.raises(RuntimeError):
            normed_linear(torch.randn(3, 8), norm, other)
    other = copy.deepcopy(norm)
    other.bias = nn.Parameter(torch.randn(4))
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(3, 8), other, linear)


def test_dtypes_that_do_not_fit_are_refused(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(3, 8, dtype=torch.float64), norm, linear)
    linear.bias = nn.Parameter(torch.randn(6, dtype=torch.float64))
    with pytest.raises(RuntimeError):
        normed_linear(torch.randn(3, 8), norm, linear)


def test_a_sum_that_spreads_one_row_is_torchs(linear: nn.Linear) -> None:
    a = torch.randn(3, 8)
    torch.testing.assert_close(added_linear(torch.ones(6), a, linear), 1 + linear(a))


def test_a_change_before_backward_is_noticed(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    y = normed_linear(torch.randn(40, 8), norm, linear)
    with torch.no_grad():
        linear.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_modules_with_hooks_or_parametrizations_are_called(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.randn(40, 8)
    normed_linear(x, norm, linear)
    torch.testing.assert_close(seen[0], F.layer_norm(x, (8,)))
    plain = linear(x)
    nn.utils.parametrizations.weight_norm(linear)
    torch.testing.assert_close(normed_linear(x, None, linear), plain)


def test_transforms_traces_and_tensors_that_are_not_there(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    x, a = torch.randn(40, 6), torch.randn(40, 8)

    def function(x: Tensor, a: Tensor) -> Tensor:
        return added_linear(x, normed_linear(a, norm, linear, "gelu") @ linear.weight, linear)

    wanted = x + linear(F.gelu(linear(norm(a))) @ linear.weight)
    torch.testing.assert_close(function(x, a), wanted)
    torch.testing.assert_close(torch.func.vmap(function)(x, a), wanted)
    tangent = torch.func.jvp(lambda v: function(x, v), (a,), (torch.randn(40, 8),))[1]
    assert tangent.abs().max() > 0.01
    torch._dynamo.reset()
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, a), wanted)
    graph = torch.fx.experimental.proxy_tensor.make_fx(function)(x, a)
    torch.testing.assert_close(graph(a[:, :6], a), function(a[:, :6], a))
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert function(torch.randn(40, 6), torch.randn(40, 8)).shape == (40, 6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_in_low_precision_are_torchs(norm: nn.LayerNorm, linear: nn.Linear, dtype: torch.dtype) -> None:
    x = torch.randn(40, 8).to(dtype)
    norm.to(dtype)
    linear.to(dtype)
    assert torch.equal(normed_linear(x, norm, linear), linear(norm(x)))


def test_nothing_is_a_size_too(norm: nn.LayerNorm, linear: nn.Linear) -> None:
    for shape in ((0, 8), (3, 0, 8)):
        x = torch.randn(shape, requires_grad=True)
        y = normed_linear(x, norm, linear, "gelu")
        assert y.shape == (*shape[:-1], 6)
        y.sum().backward()
        assert x.grad is not None
        assert not linear.weight.grad.any()

"""The loss in chunks against torch's own on all logits, value and every gradient."""

import pytest
import torch
from torch.nn import functional as F

from elman.nn import output_loss as module
from elman.nn.output_loss import output_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_it_is_cross_entropy(rows, bias, smoothing, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7 * 11)  # seven rows at a time
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 11, bias=bias, dtype=torch.double)
    hidden = torch.randn(rows, 3, dtype=torch.double, requires_grad=True)
    targets = torch.randint(11, (rows,))
    inputs = [hidden, *layer.parameters()]
    expected = F.cross_entropy(layer(hidden), targets, label_smoothing=smoothing)
    ours = output_loss(layer, hidden, targets, smoothing)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    gradients = torch.autograd.grad(ours * 3, inputs)
    for gradient, theirs in zip(gradients, torch.autograd.grad(expected * 3, inputs), strict=True):
        torch.testing.assert_close(gradient, theirs, rtol=1e-12, atol=1e-12)


def test_large_logits_do_not_overflow():
    layer = torch.nn.Linear(1, 2, bias=False)
    torch.nn.init.constant_(layer.weight, 1.0)
    loss = output_loss(layer, torch.tensor([[1e4]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(0.6931, abs=1e-3)


def test_under_autocast_the_products_are_bfloat16_and_the_gradients_are_the_parameters():
    torch.manual_seed(0)
    layer, hidden, targets = (
        torch.nn.Linear(64, 100),
        torch.randn(50, 64, requires_grad=True),
        torch.randint(100, (50,)),
    )
    exact = output_loss(layer, hidden, targets, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        loss = output_loss(layer, hidden.bfloat16(), targets, 0.1)
    assert loss.dtype == torch.float32
    assert loss.item() != exact.item()
    assert loss.item() == pytest.approx(exact.item(), rel=1e-2)
    (gradient,) = torch.autograd.grad(loss, layer.weight)
    (expected,) = torch.autograd.grad(exact, layer.weight)
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, expected, rtol=0.05, atol=2e-4)


def test_nothing_is_computed_for_gradients_that_nobody_wants():
    layer, hidden = torch.nn.Linear(3, 5), torch.randn(4, 3)
    with torch.no_grad():
        loss = output_loss(layer, hidden, torch.tensor([0, 1, 2, 3]))
    assert not loss.requires_grad


def test_steps_whose_target_is_negative_do_not_count():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 5, dtype=torch.double)
    hidden = torch.randn(4, 2, 3, dtype=torch.double).transpose(0, 1).requires_grad_()  # as time-major layers leave it
    targets = torch.tensor([[1, -100, 4, 0], [-100, 2, -100, 3]])
    with torch.no_grad():
        hidden[0, 1] = float("nan")
    expected = F.cross_entropy(layer(hidden).flatten(0, 1), targets.flatten())
    ours = output_loss(layer, hidden, targets)
    torch.testing.assert_close(ours, expected)
    theirs = torch.autograd.grad(expected, hidden)[0].masked_fill(targets[..., None] < 0, 0)
    by_hidden, by_weight = torch.autograd.grad(ours, [hidden, layer.weight])
    torch.testing.assert_close(by_hidden, theirs)
    assert by_weight.isfinite().all()

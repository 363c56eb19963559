"""The compiled core's loss of rows of logits against the readable one: losses, gradients, and the sums of columns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.kernels.loss import reference, take_loss
from elman.kernels.native import instruction_set
from elman.kernels.native import loss as core

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the core was not built")
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-5}


def rows(N: int, V: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(N * V)
    exact = torch.promote_types(dtype, torch.float32)
    x = (3 * torch.randn(N, V)).to(dtype)
    return x, torch.randn(V, dtype=exact), torch.randint(V, (N,)), torch.randn(V, dtype=exact)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 33), (5, 64), (33, 1001)])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_it_is_the_readable_loss(dtype, shape, biased, smoothing):
    x, bias, targets, dbias = rows(*shape, dtype)
    given, tolerance = bias if biased else None, TOLERANCES[dtype]
    ours, by_ours, columns = x.clone(), None, dbias.clone()
    theirs = x.clone()
    by_ours = core.take_loss(ours, given, targets, smoothing, True, columns)
    by_theirs = reference(theirs, given, targets, smoothing, True, dbias)
    torch.testing.assert_close(by_ours, by_theirs.double(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(columns, dbias, rtol=tolerance, atol=tolerance)
    of_logits = 2**-8 if dtype == torch.bfloat16 else tolerance  # a number may be rounded to either of its neighbours
    torch.testing.assert_close(ours, theirs, rtol=of_logits, atol=tolerance)
    untouched = x.clone()
    assert torch.equal(core.take_loss(untouched, given, targets, smoothing, False, None), by_ours)
    assert torch.equal(untouched, x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_strange_logits_have_the_loss_of_torch(dtype):
    nan, inf = float("nan"), float("inf")
    x = torch.tensor(
        [[0, -inf, 1], [-inf, -inf, 2], [1e30, 0, -1e30], [nan, 0, 0], [-inf] * 3, [inf, 0, 0]], dtype=dtype
    )
    targets = torch.tensor([0, 2, 1, 1, 0, 1])
    wanted = x.clone().requires_grad_()
    expected = F.cross_entropy(wanted, targets, reduction="none")
    expected.sum().backward()
    assert wanted.grad is not None
    losses = take_loss(x, None, targets, 0.0, learn=True)
    torch.testing.assert_close(losses.to(dtype), expected.detach(), equal_nan=True)
    torch.testing.assert_close(x, wanted.grad, equal_nan=True)


def test_the_threads_share_the_rows_and_the_same_number_gives_the_same_bits():
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3, 3):
            torch.set_num_threads(threads)
            x, bias, targets, dbias = rows(200, 1001, torch.float32)
            losses = take_loss(x, bias, targets, 0.1, learn=True, dbias=dbias)
            found.append((losses, x, dbias))
    finally:
        torch.set_num_threads(before)
    one, three, again = found
    assert all(torch.equal(a, b) for a, b in zip(three, again, strict=True))
    torch.testing.assert_close(one, three)


@pytest.mark.parametrize("target", [-1, 5])
def test_a_target_that_is_no_column_is_refused(target):
    with pytest.raises(IndexError, match="targets from 0 to 4"):
        take_loss(torch.zeros(2, 5), None, torch.tensor([0, target]), 0.0, learn=False)

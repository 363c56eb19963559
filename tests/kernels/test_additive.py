"""The compiled core's scores of additive attention against the readable ones, outputs and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from elman.kernels.additive import additive_scores, reference
from elman.kernels.native import instruction_set

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the core was not built")
SIZES = [(1, 1, 1, 5), (3, 7, 4, 64), (3, 33, 7, 37), (2, 0, 3, 5), (0, 2, 3, 5)]  # B, T, S, H


def inputs(B: int, T: int, S: int, H: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    drawn = torch.randn(B, T, H, dtype=dtype), torch.randn(B, S, H, dtype=dtype), torch.randn(H, dtype=dtype)
    return [part.requires_grad_() for part in drawn]


def read(scores, given: list[Tensor], lengths: Tensor | None) -> tuple[Tensor, ...]:
    found = scores(*given, lengths)
    torch.manual_seed(1)
    return found, *torch.autograd.grad(found, given, torch.randn_like(found))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_it_is_the_readable_score(dtype, tolerance, size, masked):
    given = inputs(*size, dtype)
    lengths = torch.tensor([size[2], 1, 0])[: size[0]] if masked else None
    for ours, theirs in zip(*(read(scores, given, lengths) for scores in (additive_scores, reference)), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("scores", [additive_scores, reference])
def test_padding_may_hold_anything(scores):
    given, lengths = inputs(3, 2, 4, 5), torch.tensor([4, 1, 2])
    padding = torch.arange(4) >= lengths[:, None]
    clean = read(scores, given, lengths)
    with torch.no_grad():
        given[1][padding] = float("nan")
    for ours, theirs in zip(read(scores, given, lengths), clean, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not clean[2][padding].any()


def test_derivatives_of_the_first_and_second_order():
    given, lengths = inputs(2, 3, 3, 5), torch.tensor([3, 1])
    assert torch.autograd.gradcheck(lambda *parts: additive_scores(*parts, lengths), given)
    assert torch.autograd.gradgradcheck(lambda *parts: additive_scores(*parts, lengths), given)


def test_strided_queries_and_keys_as_time_major_layers_leave_them():
    given = inputs(3, 4, 5, 6)
    turned = [part.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for part in given[:2]]
    for ours, theirs in zip(
        read(additive_scores, [*turned, given[2]], None), read(reference, given, None), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_threads_share_the_rows_and_change_nothing():
    given, found = inputs(30, 20, 20, 40, torch.float32), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(read(additive_scores, given, None))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


def test_under_transforms_the_readable_one_serves():
    q, k, v = (part.detach() for part in inputs(2, 3, 4, 5))
    _, slope = torch.func.jvp(lambda q: additive_scores(q, k, v), (q,), (torch.ones_like(q),))
    expected = torch.autograd.functional.jvp(lambda q: reference(q, k, v), q, torch.ones_like(q))[1]
    torch.testing.assert_close(slope, expected)

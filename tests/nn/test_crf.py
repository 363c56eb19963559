"""The conditional random field against sums and searches over all paths, in double precision."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from elman.errors import UserError
from elman.nn.crf import CRF, log_partition, log_partition_reference

K = 3
LENGTHS = [4, 1, 3, 0, 2]


def scored_paths(crf: CRF, scores: Tensor, *, allowed: bool) -> dict[tuple[int, ...], Tensor]:
    """Every path of one row (T, K) with its score; with `allowed`, those that break no rule."""
    T, found = len(scores), {}
    for path in product(range(K), repeat=T):
        steps = list(zip((K, *path), (*path, K), strict=True)) if T else []
        if not allowed or all(crf.allowed[step] for step in steps):
            parts = [*(scores[t, tag] for t, tag in enumerate(path)), *(crf.weight[step] for step in steps)]
            found[path] = torch.stack(parts).sum() if parts else scores.new_zeros(())
    return found


def crf_and_scores(*, ruled: bool = False, scale: float = 1.0, seed: int = 0) -> tuple[CRF, Tensor, Tensor]:
    torch.manual_seed(seed)
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    if ruled:
        allowed[0, 2] = allowed[K, 2] = allowed[1, 0] = allowed[1, K] = False
    crf = CRF(K, allowed).double()
    torch.nn.init.normal_(crf.weight, std=scale)
    return crf, scale * torch.randn(len(LENGTHS), 4, K, dtype=torch.double), torch.tensor(LENGTHS)


@pytest.mark.parametrize("scale", [1.0, 400.0])  # the second is beyond the range of exponentials
@pytest.mark.parametrize("ruled", [False, True])
def test_sums_searches_and_marginals_are_those_over_all_paths(ruled: bool, scale: float) -> None:
    crf, scores, lengths = crf_and_scores(ruled=ruled, scale=scale)
    targets = torch.randint(K, scores.shape[:2])
    loss, best, marginals = (
        crf.loss(scores, targets, lengths),
        crf.best(scores, lengths),
        crf.marginals(scores, lengths),
    )
    for b, length in enumerate(LENGTHS):
        every = scored_paths(crf, scores[b, :length], allowed=False)
        log_z = torch.stack([*every.values()]).logsumexp(0)
        torch.testing.assert_close(loss[b], log_z - every[tuple(targets[b, :length].tolist())])
        legal = scored_paths(crf, scores[b, :length], allowed=True)
        assert tuple(best[b, :length].tolist()) == max(legal, key=lambda path: legal[path])
        p = torch.stack([*legal.values()]).softmax(0)
        for t, tag in product(range(length), range(K)):
            expected = sum((p[n] for n, path in enumerate(legal) if path[t] == tag), torch.zeros(()).double())
            torch.testing.assert_close(marginals[b, t, tag], expected.detach(), atol=1e-12, rtol=1e-9)
        assert not marginals[b, length:].any()
        assert not best[b, length:].any()


def test_a_step_without_a_target_may_have_any_tag() -> None:
    crf, scores, _ = crf_and_scores()
    targets = torch.tensor([0, -100, 2, 1]).expand(len(scores), -1)
    every = scored_paths(crf, scores[0], allowed=False)
    agreeing = torch.stack([score for path, score in every.items() if (path[0], *path[2:]) == (0, 2, 1)])
    expected = torch.stack([*every.values()]).logsumexp(0) - agreeing.logsumexp(0)
    torch.testing.assert_close(crf.loss(scores, targets)[0], expected)


@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_gradients_are_those_of_numbers(scale: float) -> None:
    crf, scores, lengths = crf_and_scores(scale=scale)
    targets = torch.randint(K, scores.shape[:2])
    scores = scores.detach().requires_grad_()

    def loss(scores: Tensor, weight: Tensor) -> Any:
        return torch.func.functional_call(crf, {"weight": weight}, (scores, targets, lengths))

    crf.forward = crf.loss
    assert torch.autograd.gradcheck(loss, (scores, crf.weight.detach().requires_grad_()))


@pytest.mark.parametrize(("B", "T", "tags"), [(1, 1, 5), (3, 7, 64), (1, 33, 5), (3, 33, 64)])
@pytest.mark.parametrize("ruled", [False, True])
def test_the_fast_sum_is_the_readable_one(B: int, T: int, tags: int, ruled: bool) -> None:
    torch.manual_seed(1)
    lengths = torch.randint(1, T + 1, (B,))
    inputs = [torch.randn(B, T, tags).double(), torch.randn(tags + 1, tags + 1).double()]
    if ruled:
        inputs[1][1:tags:2, : tags - 1] = -torch.inf
    weights = torch.randn(B).double()
    found = []
    for compute in (log_partition, log_partition_reference):
        scores, weight = (each.clone().requires_grad_() for each in inputs)
        log_z = compute(scores, weight, lengths)
        found.append([log_z, *torch.autograd.grad((log_z * weights).sum(), (scores, weight))])
    for fast, readable in zip(*found, strict=True):
        torch.testing.assert_close(fast, readable, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("hidden", [0.0, 1e30, -1e30, torch.inf, -torch.inf, torch.nan])
def test_numbers_at_padding_change_nothing(hidden: float) -> None:
    crf, scores, lengths = crf_and_scores(ruled=True)
    padding = torch.arange(4) >= lengths[:, None]
    results = []
    for number in (1.0, hidden):
        given = scores.masked_fill(padding[..., None], number).requires_grad_()
        targets = torch.ones(padding.shape, dtype=torch.long).masked_fill(padding, 0 if number == 1.0 else -100)
        loss = crf.loss(given, targets, lengths)
        gradients = torch.autograd.grad(loss.sum(), (given, crf.weight))
        assert not gradients[0][padding].any()
        results.append([loss, *gradients, crf.best(given, lengths), crf.marginals(given, lengths)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_row_alone_is_the_row_in_a_batch() -> None:
    crf, scores, lengths = crf_and_scores(ruled=True)
    together = crf.best(scores, lengths), crf.marginals(scores, lengths)
    for b, length in enumerate(LENGTHS):
        alone = scores[b : b + 1, :length]
        assert torch.equal(crf.best(alone)[0], together[0][b, :length])
        torch.testing.assert_close(crf.marginals(alone)[0], together[1][b, :length], atol=1e-14, rtol=1e-12)


def test_the_sum_is_exact_under_autocast() -> None:
    crf, scores, lengths = crf_and_scores()
    targets = torch.zeros(scores.shape[:2], dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        inside = crf.loss(scores, targets, lengths)
    assert torch.equal(inside, crf.loss(scores, targets, lengths))


def test_refusals() -> None:
    with pytest.raises(UserError, match="allowed: expected booleans of shape"):
        CRF(2, torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(UserError, match="scores: expected shape"):
        CRF(2).best(torch.zeros(1, 3, 4))
    with pytest.raises(UserError, match="lengths"):
        CRF(2).best(torch.zeros(1, 3, 2), [4])

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from elman.train.clipping import Clipped, Clipper, Method


def parameters(scale: float = 1.0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    made = [nn.Parameter(torch.zeros(shape)) for shape in [(5, 7), (1,), (64,)]]
    for p in made:
        p.grad = scale * torch.randn(p.shape, generator=generator)
    return [*made, nn.Parameter(torch.zeros(2))]  # the last had no part in the loss


def gradients(of: list[nn.Parameter]) -> list[torch.Tensor]:
    return [p.grad for p in of if p.grad is not None]


@pytest.mark.parametrize("threshold", [1e-3, 1.0, 1e3])
def test_by_norm_as_torch_does(threshold: float) -> None:
    ours, theirs = parameters(), parameters()
    told = Clipper("norm", threshold)(ours)
    norm = torch.nn.utils.clip_grad_norm_(theirs, threshold).item()
    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=1e-5, atol=1e-9)
    assert told.norm_before == pytest.approx(norm)
    assert told.norm_after == pytest.approx(min(norm, threshold))
    assert told.norm_after == pytest.approx(torch.nn.utils.get_total_norm(gradients(ours)).item(), rel=1e-5)
    assert told.clipped == (norm > threshold)


@pytest.mark.parametrize("threshold", [0.1, 100.0])
def test_by_value_as_torch_does(threshold: float) -> None:
    ours, theirs = parameters(), parameters()
    told = Clipper("value", threshold)(ours)
    torch.nn.utils.clip_grad_value_(theirs, threshold)
    assert all(torch.equal(a, b) for a, b in zip(gradients(ours), gradients(theirs), strict=True))
    assert told.norm_after == pytest.approx(torch.nn.utils.get_total_norm(gradients(theirs)).item())
    assert told.clipped == (threshold == 0.1)


def test_by_norm_the_direction_is_kept() -> None:
    before, after = parameters(), parameters()
    Clipper("norm", 0.5)(after)
    flat = [torch.cat([g.flatten() for g in gradients(p)]) for p in (before, after)]
    assert torch.cosine_similarity(*flat, dim=0).item() == pytest.approx(1.0, abs=1e-6)


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=20),
    st.floats(0, 100),
    st.integers(1, 8),
)
def test_adaptive_clips_at_a_percentile_of_recent_norms(norms: list[float], percentile: float, history: int) -> None:
    clipper = Clipper("adaptive", percentile=percentile, history=history)
    for i, norm in enumerate(norms):
        w = nn.Parameter(torch.zeros(1, dtype=torch.double))
        w.grad = torch.tensor([norm], dtype=torch.double)
        told = clipper([w])
        limit = np.percentile(norms[max(0, i + 1 - history) : i + 1], percentile)
        assert told.norm_before == pytest.approx(norm)
        assert told.norm_after == pytest.approx(min(norm, limit))
        assert w.grad.item() == pytest.approx(min(norm, limit))


@pytest.mark.parametrize("method", ["norm", "value", "adaptive", "none"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_told_and_left_alone(method: Method, bad: float) -> None:
    clipper = Clipper(method)
    p = parameters()
    gradients(p)[0][0, 0] = bad
    before = [g.clone() for g in gradients(p)]
    told = clipper(p)
    assert not told.finite
    assert not told.clipped
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(gradients(p), before, strict=True))
    assert not clipper.norms, "a bad step is no example of a norm"


def test_none_only_looks() -> None:
    p = parameters(1e6)
    before = [g.clone() for g in gradients(p)]
    told = Clipper("none", 1.0)(p)
    assert told == Clipped(told.norm_before, told.norm_before, clipped=False)
    assert told.norm_before > 1e6
    assert all(torch.equal(a, b) for a, b in zip(gradients(p), before, strict=True))

"""Widths of intervals: with them, as many values lie below each quantile as should."""

from __future__ import annotations

import pytest
import torch

from elman.models.conformal import LEAST_WINDOWS, conformal_widths, widened

LEVELS = (0.1, 0.5, 0.9)


def forecasts(N: int, H: int = 3, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Intervals that are too narrow by a factor that grows with the step, and targets around the median."""
    noise = torch.randn(N, H, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 4.0])[:H]
    middle = torch.linspace(-5, 5, N)[:, None].expand(N, H)
    quantiles = torch.stack((middle - spread, middle, middle + spread), dim=-1)
    return quantiles, middle + noise


def test_the_values_below_each_quantile_are_as_many_as_its_level_says() -> None:
    quantiles, targets = forecasts(2000)
    widths = conformal_widths(quantiles, targets, LEVELS)
    moved = widened(quantiles, widths, 1)
    below = (targets[..., None] <= moved).double().mean(0)  # (H, Q)
    torch.testing.assert_close(below[:, 0], torch.full((3,), 0.1, dtype=torch.float64), rtol=0, atol=0.002)
    torch.testing.assert_close(below[:, 2], torch.full((3,), 0.9, dtype=torch.float64), rtol=0, atol=0.002)
    assert widths[2, 2] > 3 * widths[0, 2]  # each step has its own
    assert (widths[:, 1] == 1).all()
    torch.testing.assert_close(moved[..., 1], quantiles[..., 1], rtol=0, atol=0)


def test_few_windows_share_their_errors_over_the_steps() -> None:
    quantiles, targets = forecasts(LEAST_WINDOWS - 1)
    widths = conformal_widths(quantiles, targets, LEVELS)
    assert (widths == widths[0]).all()
    assert widths[0, 2] > 1


def test_what_is_not_known_does_not_count() -> None:
    quantiles, targets = forecasts(400)
    expected = conformal_widths(quantiles[:300], targets[:300], LEVELS)
    targets[300:] = torch.nan
    torch.testing.assert_close(conformal_widths(quantiles, targets, LEVELS), expected)


def test_no_values_and_no_distances_leave_the_quantiles_alone() -> None:
    quantiles, targets = forecasts(5)
    assert (conformal_widths(quantiles, targets * torch.nan, LEVELS) == 1).all()
    flat, _ = forecasts(5, spread=0.0)
    assert (conformal_widths(flat, targets, LEVELS) == 1).all()


@pytest.mark.parametrize("factors", [(0.0, 1, 1), (9.0, 1, 0.1, 30), (3.0, 0.2, 1, 5, 0.0)])
def test_widened_quantiles_never_cross(factors: tuple[float, ...]) -> None:
    Q = len(factors)
    quantiles = torch.randn(50, 2, Q, generator=torch.Generator().manual_seed(0)).sort(dim=-1).values
    moved = widened(quantiles, torch.tensor(factors).expand(2, Q), Q // 2)
    assert (moved.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(moved[..., Q // 2], quantiles[..., Q // 2], rtol=0, atol=0)

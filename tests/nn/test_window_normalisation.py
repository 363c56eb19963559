"""Windows in units of their own: what is missing or padding counts for nothing, and the inverse is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from elman.nn.window_normalisation import LEAST_DEVIATION, NORMALISATIONS, window_scaling


def windows() -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 40
    values[0, 4] = values[1, 8] = values[2, :3] = torch.nan
    values[3, 1:] = torch.nan  # a short series
    values[4] = torch.nan
    return values, ~values.isnan()


def test_last_and_mean_are_those_of_the_values_that_are_there() -> None:
    values, present = windows()
    last, mean = (window_scaling(kind, values, present) for kind in ("last", "mean"))
    for row in range(4):
        there = values[row][present[row]].numpy()
        assert last.location[row].item() == there[-1]
        assert mean.location[row].item() == pytest.approx(there.mean())
        assert mean.scale[row].item() == pytest.approx(max(there.std(), LEAST_DEVIATION))
    assert (last.scale == 1).all()


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_the_inverse_gives_the_values_back_and_nothing_is_nan(kind: str) -> None:
    values, present = windows()
    scaling = window_scaling(kind, values, present)
    assert torch.isfinite(torch.stack(scaling)).all()
    back = scaling.restore(scaling.normalise(values))
    np.testing.assert_allclose(back.numpy(), values.numpy(), rtol=1e-12)  # NaN stays where it was


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_what_is_not_present_changes_nothing(kind: str) -> None:
    values, present = windows()
    expected = window_scaling(kind, values, present)
    for filling in (0.0, 1e30, torch.inf, torch.nan):
        torch.testing.assert_close(window_scaling(kind, values.where(present, filling), present), expected)

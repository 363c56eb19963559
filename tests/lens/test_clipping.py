from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.lens import clipping_history, cosine_after_clipping

numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


def test_a_journal_with_everything_in_it() -> None:
    history = clipping_history(
        [
            {"step": 1, "gradient_norm": 4.0, "clipped_norm": 1.0, "clipped": True, "skipped": False},
            {"step": 1, "validation": {"loss": 2.0}, "best": 2.0},
            {"step": 2, "gradient_norm": None, "clipped_norm": None, "clipped": False, "skipped": True},
            {"step": 3, "gradient_norm": 0.5, "clipped_norm": 0.5, "clipped": False, "skipped": False},
        ]
    )
    assert history.steps.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(history.before, [4, np.nan, 0.5])
    np.testing.assert_array_equal(history.after, [1, np.nan, 0.5])
    assert history.fraction_clipped == pytest.approx(1 / 3)
    assert history.skipped == 1


def test_an_empty_journal() -> None:
    assert clipping_history([]).fraction_clipped == 0


@given(gradient=st.lists(numbers, min_size=1, max_size=20), threshold=st.floats(0.01, 200))
def test_the_cosine_is_that_of_torchs_clipping(gradient: list[float], threshold: float) -> None:
    before = torch.tensor(gradient, dtype=torch.float64)
    weight = torch.nn.Parameter(torch.zeros_like(before))
    weight.grad = before.clone()
    torch.nn.utils.clip_grad_value_([weight], threshold)
    cosine = cosine_after_clipping(np.array(gradient), threshold)
    if before.norm() > 0:
        assert cosine == pytest.approx(float(torch.cosine_similarity(before, weight.grad, dim=0)), abs=1e-12)
    else:
        assert cosine == 1

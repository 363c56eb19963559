"""The loss that people watch is the mean of the last steps, also where there are few of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.train.running_loss import RunningLoss

LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=33)  # 1/33 is still more than 0.03


@given(LOSSES)
def test_few_steps_weigh_alike(losses: list[float]) -> None:
    running = RunningLoss()
    assert [running.add(loss) for loss in losses][-1] == pytest.approx(np.mean(losses))


def test_the_first_step_is_forgotten() -> None:
    """After 100 steps of a training that began at 4 and stayed at 1, next to nothing of the beginning is left."""
    running = RunningLoss()
    for loss in [4.0, *[1.0] * 99]:
        running.add(loss)
    assert running.mean == pytest.approx(1 + 3 / 33 * 0.97**67)


def test_a_loss_that_is_no_number_counts_for_nothing() -> None:
    running = RunningLoss()
    assert math.isnan(running.mean)
    assert math.isnan(running.add(math.nan))
    assert [running.add(loss) for loss in (2.0, math.inf, 4.0)] == [2.0, 2.0, 3.0]

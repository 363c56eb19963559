"""Reading in parallel over time, against one reading after the other."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.state import State, leaves, select_rows
from elman.tasks.language_modelling.multiple_shooting import ReadWindow, read

L, W, T = 7, 5, 4


class Recurrence:
    """h_{t+1} = decay * h_t + x_t with h (K, 2), its windows noted and counted."""

    def __init__(self, decay: Tensor | float, x: Tensor, resets: Tensor | None = None) -> None:
        self.decay, self.x = torch.as_tensor(decay, dtype=x.dtype), x  # x (L, W, T, 2)
        self.resets = torch.zeros(x.shape[:3], dtype=torch.bool) if resets is None else resets
        self.read = torch.full(x.shape[:3], torch.nan, dtype=x.dtype)
        self.windows = 0

    def __call__(self, segments: Tensor, window: int, state: State) -> State:
        (h,) = leaves(state)
        for t in range(self.x.shape[2]):
            h = torch.where(self.resets[segments, window, t, None], 0.0, h)
            h = self.decay * h + self.x[segments, window, t]
            self.read[segments, window, t] = h[:, 0] - h[:, 1]
        self.windows += len(segments)
        return h


def read_sequentially(step: ReadWindow, state: State, windows: int) -> State:
    """The reference: as `read`, window by window, from row 0 of `state`."""
    state = select_rows(state, torch.tensor([0]))
    for segment in torch.arange(L).split(1):
        for window in range(windows):
            state = step(segment, window, state)
    return state


def inputs(seed: int = 0) -> Tensor:
    return torch.randn(L, W, T, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def guess() -> Tensor:
    """Row 0 is true."""
    return torch.arange(2.0 * L, dtype=torch.float64).view(L, 2)


@settings(deadline=None)
@given(st.sampled_from([0.0, 0.1, 0.9, 1.0, -1.0]), st.floats(0, 1), st.integers(0, 99))
def test_it_is_a_sequential_reading(decay: float, often: float, seed: int) -> None:
    resets = torch.rand(L, W, T, generator=torch.Generator().manual_seed(seed)) < often / 4
    one, other = (Recurrence(decay, inputs(seed), resets) for _ in range(2))
    last = read(one, guess(), W)
    torch.testing.assert_close(last, read_sequentially(other, guess(), W), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.read, other.read, rtol=1e-12, atol=1e-12)


def test_a_memory_that_fades_costs_little_more_than_one_reading() -> None:
    fading = Recurrence(1e-3, inputs())
    read(fading, guess(), W)
    assert fading.windows == L * W + 2 * (L - 1)  # after four steps 1e-12 is left, after eight 1e-24


def test_a_reset_settles_its_segment_at_once() -> None:
    resets = torch.zeros(L, W, T, dtype=torch.bool)
    resets[:, 0, 0] = True
    latch = Recurrence(1.0, inputs(), resets)
    read(latch, guess(), W)
    assert latch.windows == L * W + (L - 1)


def test_a_memory_that_never_fades_is_read_three_times_at_most() -> None:
    latch = Recurrence(1.0, inputs())
    read(latch, guess(), W)
    assert latch.windows == L * W + (L - 1) * W + (L - 2) * W


def test_only_what_depends_on_a_change_is_read_again() -> None:
    """The memory lasts for more than a segment, and not for two; a reset parts the segments in two groups."""
    resets = torch.zeros(L, W, T, dtype=torch.bool)
    resets[3, 0, 0] = True
    recurrence = Recurrence(0.3, inputs(), resets)
    read(recurrence, guess(), W)
    other = Recurrence(0.3, inputs(), resets)
    read_sequentially(other, guess(), W)
    torch.testing.assert_close(recurrence.read, other.read, rtol=1e-12, atol=1e-12)
    assert recurrence.windows < L * W + (L - 1) * W + (L - 2) * W - W


def test_an_entry_that_is_small_beside_another_is_not_lost() -> None:
    """A latch of 1e-20 beside an entry of 1: each is looked at by its own measure."""
    x = inputs()
    x[..., 0] *= 1e-20
    first = torch.zeros(L, 2, dtype=torch.float64)
    first[0, 0] = 1e-20
    latch = Recurrence(torch.tensor([1.0, 0.1]), x)
    last = read(latch, first, W)
    assert last[0, 0].item() == pytest.approx(1e-20 + x[..., 0].sum().item(), rel=1e-12, abs=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_passed_on_until_a_reset(value: float) -> None:
    x = inputs()
    x[1, 2, 0, 0] = value
    resets = torch.zeros(L, W, T, dtype=torch.bool)
    resets[4, 1, 2] = True
    one, other = (Recurrence(0.5, x, resets) for _ in range(2))
    read(one, guess(), W)
    read_sequentially(other, guess(), W)
    torch.testing.assert_close(one.read, other.read, rtol=1e-12, atol=1e-12, equal_nan=True)
    assert not one.read[3].isfinite().any()
    assert one.read[5:].isfinite().all()


def test_every_segment_is_read_in_the_order_of_its_windows() -> None:
    calls: list[tuple[list[int], int]] = []
    recurrence = Recurrence(0.5, inputs())

    def step(segments: Tensor, window: int, state: State) -> State:
        calls.append((segments.tolist(), window))
        return recurrence(segments, window, state)

    noted: ReadWindow = step
    read(noted, guess(), W)
    for (before, at), (rows, window) in pairwise(calls):
        assert window == 0 or (window == at + 1 and set(rows) <= set(before))

"""The memory tasks against their definitions, written out as loops."""

from __future__ import annotations

import numpy as np
import pytest

from elman.data.memory_tasks import adding, copying, temporal_order, temporal_xor


@pytest.mark.parametrize("steps", [2, 7, 50])
def test_adding(steps: int) -> None:
    x, y = adding(200, steps, seed=3)
    assert (x.dtype, x.shape, y.shape) == (np.float32, (200, steps, 2), (200,))
    for row, target in zip(x, y, strict=True):
        first, second = np.flatnonzero(row[:, 1])
        assert first < steps // 2 <= second
        assert target == pytest.approx(row[first, 0] + row[second, 0])
    assert 0 <= x[..., 0].min() < x[..., 0].max() < 1


def test_guessing_in_the_adding_problem() -> None:
    _, y = adding(50_000, 4, seed=1)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.03)


def test_copying() -> None:
    x, y = copying(50, 7, seed=2, length=4)
    assert x.shape == y.shape == (50, 15)
    for read, wanted in zip(x.tolist(), y.tolist(), strict=True):
        assert all(1 <= symbol <= 8 for symbol in read[:4])
        assert read[4:] == [0] * 6 + [9] + [0] * 4
        assert wanted == [0] * 11 + read[:4]


def test_temporal_order() -> None:
    x, y = temporal_order(300, 40, seed=5)
    for row, label in zip(x, y, strict=True):
        first, second = np.flatnonzero(row < 2)
        assert 4 <= first < 8
        assert 16 <= second < 20
        assert label == 2 * row[first] + row[second]
    assert set(y.tolist()) == {0, 1, 2, 3}
    assert set(np.unique(x).tolist()) == set(range(6))


def test_temporal_xor() -> None:
    bits = temporal_xor(301, seed=4)
    assert len(bits) == 301
    for a, b, c in bits[:300].reshape(-1, 3):
        assert c == a ^ b


def test_the_seed_decides() -> None:
    for task in (adding, copying, temporal_order):
        assert all(np.array_equal(a, b) for a, b in zip(task(4, 20, 1), task(4, 20, 1), strict=True))
        assert not np.array_equal(task(4, 20, 1)[0], task(4, 20, 2)[0])

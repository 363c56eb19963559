import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.kernels.attention.reference import rotate
from elman.kernels.attention.sight import step_positions
from elman.nn.positions import rotary, sinusoidal


@given(st.integers(0, 9), st.lists(st.booleans(), max_size=12))
def test_positions_count_from_the_last_reset(position, resets):
    expected, count = [], position
    for reset in resets:
        count = 0 if reset else count
        expected.append(count)
        count += 1
    got = step_positions(torch.tensor([position]), len(resets), torch.tensor([resets], dtype=torch.bool))
    assert got.dtype == torch.int64
    assert got.tolist() == [expected]


def test_positions_without_resets_just_go_on():
    assert step_positions(torch.tensor([0, 7]), 3).tolist() == [[0, 1, 2], [7, 8, 9]]


@pytest.mark.parametrize("size", [2, 8, 10])
def test_sinusoidal_against_the_formula(size):
    table = sinusoidal(torch.arange(33), size)
    for position in range(33):
        for pair in range(size // 2):
            angle = position / 10000 ** (2 * pair / size)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-12)


def test_rotary_is_a_complex_product():
    x = torch.randn(2, 5, 3, 8, dtype=torch.float64)  # (B, T, N, D)
    positions = torch.tensor([[0, 1, 2, 3, 4], [9, 10, 0, 1, 2]])
    y = rotate(x, rotary(positions, 8, torch.float64))
    frequency = torch.tensor([10000 ** (-i / 4) for i in range(4)], dtype=torch.float64)
    turn = torch.polar(torch.ones(2, 5, 1, 4, dtype=torch.float64), positions[:, :, None, None] * frequency)
    expected = torch.complex(x[..., :4], x[..., 4:]) * turn
    torch.testing.assert_close(torch.complex(y[..., :4], y[..., 4:]), expected, rtol=0, atol=1e-12)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 1000))
def test_rotary_products_depend_on_the_distance_alone(here, there, distance):
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64, generator=generator)

    def product(position: int) -> torch.Tensor:
        turned_q = rotate(q, rotary(torch.tensor([[position + distance]]), 16, torch.float64))
        return (turned_q * rotate(k, rotary(torch.tensor([[position]]), 16, torch.float64))).sum()

    # Angles up to 1e9 radians are known to 1e-7 in float64; in float32 they would not be known at all.
    torch.testing.assert_close(product(here), product(there), rtol=0, atol=1e-5)


def test_rotary_keeps_lengths_and_position_zero():
    x = torch.randn(1, 4, 2, 6, dtype=torch.float64)
    y = rotate(x, rotary(torch.arange(4)[None], 6, torch.float64))
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(y[:, 0], x[:, 0], rtol=0, atol=0)

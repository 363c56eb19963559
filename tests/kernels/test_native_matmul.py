"""The core's large products against torch's, in every layout that a backward pass hands them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.kernels.native import instruction_set
from elman.kernels.native.library import has_avx512
from elman.kernels.native.products import matmul

pytestmark = pytest.mark.skipif(not has_avx512(), reason=f"torch's are used with {instruction_set()}")

sizes = st.integers(1, 140)


def matrix(rows: int, columns: int, layout: str, dtype: torch.dtype) -> torch.Tensor:
    if layout == "turned":
        return torch.randn(columns, rows, dtype=dtype).t()
    if layout == "part":  # of wider rows, as the GRU's derivatives are
        return torch.randn(rows, columns + 3, dtype=dtype)[:, 2:-1]
    return torch.randn(rows, columns, dtype=dtype)


layouts = st.sampled_from(["rows", "turned", "part"])


@given(sizes, sizes, st.integers(1, 600), layouts, layouts, st.booleans(), st.sampled_from([1, 2, 5]))
def test_it_is_the_product(M: int, N: int, K: int, of_a: str, of_b: str, biased: bool, threads: int):
    torch.manual_seed(M * N + K)
    a, b = matrix(M, K, of_a, torch.float64), matrix(K, N, of_b, torch.float64)
    bias, c = torch.randn(N, dtype=torch.float64), torch.randn(M, N, dtype=torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = matmul(a, b, bias if biased else None)
        added = matmul(a, b, out=c.clone(), add=True)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(result, a @ b + (bias if biased else 0), atol=1e-11, rtol=0)
    torch.testing.assert_close(added, c + a @ b, atol=1e-11, rtol=0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_sum_over_many_steps_is_cut_along_them(threads: int):
    torch.manual_seed(0)
    a, b = torch.randn(9001, 70).t(), torch.randn(9001, 33)
    expected = (a.double() @ b.double()).float()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result, again = matmul(a, b), matmul(a, b)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(result, expected, atol=2e-4, rtol=0)
    assert torch.equal(result, again)


def test_strange_numbers_stay_in_their_row():
    a, b = torch.ones(20, 50), torch.ones(50, 33)
    a[3, 7], a[5, 9] = float("nan"), float("inf")
    result = matmul(a, b)
    assert result[3].isnan().all()
    assert (result[5] == float("inf")).all()
    assert (result[[0, 1, 2, 4, *range(6, 20)]] == 50).all()


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_nothing_is_a_size_too(shape: tuple[int, int, int]):
    M, N, K = shape
    assert torch.equal(matmul(torch.ones(M, K), torch.ones(K, N), torch.ones(N)), torch.ones(M, N))

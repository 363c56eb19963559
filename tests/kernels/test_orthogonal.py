"""Matrices made orthogonal by the compiled core, against the readable products in float64 and as torch rounds them."""

import pytest
import torch

from elman.kernels.native import orthogonal as core
from elman.kernels.native.library import has_avx512
from elman.kernels.orthogonal import MARGIN, POLYNOMIALS, Maps, add_orthogonal, orthogonal, reference

SHAPES = [(1, 1), (1, 9), (7, 3), (16, 16), (33, 64), (64, 33), (70, 130), (130, 70), (128, 128), (100, 3)]
needs_core = pytest.mark.skipif(not core.entry("orthogonal", torch.float32), reason="the core was not built")


def maps_of(shape, count=1, dtype=torch.float32, factor=-0.5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    rows = count * shape[0]
    onto, of = (torch.randn(rows, shape[1], generator=draw, dtype=torch.double).to(dtype) for _ in range(2))
    return Maps(onto, of, count, factor)


def by_core(every, rounded):
    core.add_orthogonal(every, POLYNOMIALS, MARGIN, rounded=rounded)
    return [maps.onto for maps in every]


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 3])
def test_it_is_the_readable_one(shape, count, dtype):
    maps, exact = (maps_of(shape, count, dtype=kind) for kind in (dtype, torch.double))
    reference([exact])
    (found,) = by_core([maps], rounded=False)
    close = {"rtol": 0, "atol": 2e-4} if dtype == torch.float32 else {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(found, exact.onto.to(dtype), **close)


@needs_core
@pytest.mark.parametrize("shape", [(64, 64), (96, 200), (200, 96), (13, 40)])
def test_in_bfloat16_it_differs_as_little_as_torch_does(shape):
    exact, rounded, maps = (
        maps_of(shape, factor=1.0, dtype=kind) for kind in (torch.double, torch.float32, torch.float32)
    )
    begin = exact.onto.clone()
    reference([exact])
    reference([rounded], rounded=True)
    (found,) = by_core([maps], rounded=True)
    mine, theirs = ((part.double() - exact.onto).norm() / (exact.onto - begin).norm() for part in (found, rounded.onto))
    assert 1e-4 < mine < 1.2 * theirs < 0.1


@needs_core
def test_the_threads_and_the_company_change_nothing():
    shapes = [(64, 64), (200, 96), (5, 7), (128, 128), (128, 256)]
    alone = [by_core([maps_of(shape, 2, seed=n)], rounded=True)[0] for n, shape in enumerate(shapes)]
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            together = by_core([maps_of(shape, 2, seed=n) for n, shape in enumerate(shapes)], rounded=True)
            assert all(map(torch.equal, together, alone))
    finally:
        torch.set_num_threads(before)


@needs_core
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e12])
def test_any_size_will_do(scale, rounded):
    onto, of = torch.zeros(24, 40), torch.randn(24, 40) * scale
    by_core([Maps(onto, of, 1, 1.0)], rounded)
    expected = orthogonal(of, rounded=rounded)
    assert torch.nn.functional.cosine_similarity(onto.flatten(), expected.flatten(), 0) > 0.999 or scale == 0
    assert expected.any() == onto.any() == (scale > 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whoever_serves_the_result_is_the_same(dtype, monkeypatch):
    """Maps of which the core takes some, and torch the others: not contiguous, or too large."""
    every = [
        maps_of((24, 40), 2, dtype, seed=1),
        maps_of((24, 40), 1, dtype, seed=2),
        maps_of((60, 30), 1, dtype, seed=3),
    ]
    turned = Maps(every[1].onto.t().contiguous().t(), every[1].of, 1, every[1].factor)
    monkeypatch.setattr(core, "MOST", 25)
    assert [core.serves(maps.onto, maps.of, maps.number) for maps in (every[0], turned, every[2])] == [
        has_avx512(),
        False,
        False,
    ]
    expected = [maps._replace(onto=maps.onto.clone()) for maps in every]
    reference(expected)
    add_orthogonal([every[0], turned, every[2]])
    for found, wanted in zip((every[0], turned, every[2]), expected, strict=True):
        torch.testing.assert_close(found.onto, wanted.onto, rtol=0, atol=1e-5)

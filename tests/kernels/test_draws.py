"""The core's random bits against those of torch's generator."""

from __future__ import annotations

import pytest
import torch

from elman.kernels.native import draws
from elman.kernels.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="needs the compiled core")


@pytest.mark.parametrize("drawn", [0, 1, 622, 623, 624, 625])  # words of the generator's 624 that are taken already
@pytest.mark.parametrize("size", [1, 2, 311, 312, 313, 5000])
def test_numbers_and_all_draws_after_them_are_those_of_torch(monkeypatch, drawn, size):
    monkeypatch.setattr(draws, "LEAST", 1)
    found = []
    for fill in (draws.draw_bits, lambda numbers: numbers.random_(-(2**63), None)):
        torch.manual_seed(7)
        torch.empty(drawn, dtype=torch.int32).random_()
        torch.randn(1)  # of which a second one waits in the generator
        numbers = fill(torch.empty(size, dtype=torch.int64))
        found.append((numbers, torch.get_rng_state(), torch.randn(3), torch.rand(700)))
    for core, own in zip(*found, strict=True):
        assert core.equal(own)


@pytest.mark.parametrize("unknown", [{"LEAST": 100}, {"LEAST": 1, "STATE": 1}])
def test_torch_draws_few_numbers_and_from_a_generator_that_the_core_does_not_know(monkeypatch, unknown):
    for name, value in unknown.items():
        monkeypatch.setattr(draws, name, value)
    monkeypatch.setattr(draws, "check", None)  # the core's answer is not read
    torch.manual_seed(7)
    found = draws.draw_bits(torch.empty(99, dtype=torch.int64))
    torch.manual_seed(7)
    assert found.equal(torch.empty(99, dtype=torch.int64).random_(-(2**63), None))

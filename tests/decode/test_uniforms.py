"""The uniform numbers against the generator's definition, in whole numbers."""

from __future__ import annotations

from itertools import islice

import pytest

from elman.decode.uniforms import uniforms

MASK = 2**64 - 1


def philox(counter: list[int], key: list[int]) -> list[int]:
    """One block of Philox 4x64 with 10 rounds, as Salmon et al. 2011 write it."""
    c, k = counter, key
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [second >> 64 ^ c[1] ^ k[0], second & MASK, first >> 64 ^ c[3] ^ k[1], first & MASK]
        k = [k[0] + 0x9E3779B97F4A7C15 & MASK, k[1] + 0xBB67AE8584CAA73B & MASK]
    return c


def test_the_definition_is_that_of_the_paper() -> None:
    """Known answers of the authors' own library, Random123."""
    assert philox([0] * 4, [0, 0])[0] == 0x16554D9ECA36314C
    assert philox([MASK] * 4, [MASK, MASK])[0] == 0x87B092C3013FE90B


@pytest.mark.parametrize(("seed", "row", "sample"), [(0, 0, 0), (7, 3, 2), (2**63 - 1, 10**9, 5)])
def test_the_numbers_are_those_of_the_definition(seed: int, row: int, sample: int) -> None:
    expected = [(philox([step // 4 + 1, row, sample, 0], [seed, 0])[step % 4] >> 11) / 2**53 for step in range(50)]
    for step in (0, 1, 3, 4, 17):
        assert list(islice(uniforms(seed, row, sample, step), 50 - step)) == expected[step:]

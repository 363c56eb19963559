"""Uniform numbers of a counter-based generator, which other programs can draw too.

    u(seed, row, sample, step) = ⌊w / 2^11⌋ / 2^53             in [0, 1), 53 bits

w is a word of Philox 4x64 with 10 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), NumPy's
`Philox`: of the four words of the block with the key (seed, 0) and the counter (⌊step / 4⌋ + 1, row, sample, 0), that
at step mod 4. A number depends on nothing that was drawn before, so that neither batches nor pieces change a text.
`elman.decode.sampling.sample` says how a number becomes a token.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

AT_ONCE = 16  # numbers drawn together: whole blocks of four


def uniforms(seed: int, row: int = 0, sample: int = 0, step: int = 0) -> Iterator[float]:
    """Yield u(seed, row, sample, step), then that of the next step, without end. Seeds are below 2^64.

    >>> numbers = uniforms(7, row=3)
    >>> next(numbers), next(numbers)
    (0.43900223090044976, 0.1656586882435429)
    >>> next(uniforms(7, row=3, step=1))
    0.1656586882435429
    """
    generator = uniform_stream(seed, row, sample, step)
    while True:
        yield from generator.random(AT_ONCE).tolist()


def uniform_stream(seed: int, row: int = 0, sample: int = 0, step: int = 0) -> np.random.Generator:
    """The same numbers as `uniforms`: the generator's `random(n)` are the next n of them."""
    block, word = divmod(step, 4)
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[block, row, sample, 0]))
    generator.random(word)
    return generator

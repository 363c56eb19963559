"""Synthetic tasks that need a memory of known length, drawn from a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

BLANK, SYMBOLS = 0, 8  # copying: symbols are 1 ... 8, the delimiter 9
ORDER_SYMBOLS = 6  # temporal order: X, Y and four distractors


def adding(batch: int, steps: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The adding problem (Hochreiter & Schmidhuber 1997, as in Arjovsky et al. 2016).

    Inputs (B, T, 2): numbers from U(0, 1), and a mark that is 1 at one step of the first half and one of the second.
    Targets (B,): the sum of the two marked numbers. The constant answer 1 has the error 2/12 = 0.1667.

    >>> x, y = adding(1, 4, seed=0)
    >>> bool(np.isclose((x[..., 0] * x[..., 1]).sum(), y[0]))
    True
    """
    random = np.random.default_rng(seed)
    inputs = np.zeros((batch, steps, 2), np.float32)
    inputs[..., 0] = random.random((batch, steps))
    rows = np.arange(batch)
    inputs[rows, random.integers(0, steps // 2, batch), 1] = 1
    inputs[rows, random.integers(steps // 2, steps, batch), 1] = 1
    return inputs, (inputs[..., 0] * inputs[..., 1]).sum(1)


def copying(batch: int, gap: int, seed: int, length: int = 10) -> tuple[Ints, Ints]:
    """The copying problem (Arjovsky et al. 2016): S symbols, T − 1 blanks, a delimiter, and S steps to repeat them.

    Inputs and targets (B, T + 2 S). Without a memory the least cross entropy is S ln 8 / (T + 2 S) nats a step.

    >>> copying(1, 3, seed=0, length=2)[0].shape
    (1, 7)
    """
    symbols = np.random.default_rng(seed).integers(1, SYMBOLS + 1, (batch, length))
    inputs, targets = np.full((2, batch, gap + 2 * length), BLANK, np.int64)
    inputs[:, :length], inputs[:, length + gap - 1] = symbols, SYMBOLS + 1
    targets[:, -length:] = symbols
    return inputs, targets


def temporal_order(batch: int, steps: int, seed: int) -> tuple[Ints, Ints]:
    """Two relevant symbols, X or Y, among distractors; the target is their order (Pascanu, Mikolov & Bengio 2013).

    Inputs (B, T) of X = 0, Y = 1 and distractors 2 ... 5, the relevant ones in [T/10, 2T/10) and [4T/10, 5T/10).
    Targets (B,) of XX = 0, XY = 1, YX = 2, YY = 3.

    >>> symbols, order = temporal_order(2, 20, seed=1)
    >>> symbols.shape, [row[row < 2].tolist() for row in symbols], order  # X = 0, Y = 1
    ((2, 20), [[0, 0], [1, 0]], array([0, 2]))
    """
    random = np.random.default_rng(seed)
    inputs = random.integers(2, ORDER_SYMBOLS, (batch, steps))
    first, second = random.integers(0, 2, batch), random.integers(0, 2, batch)
    rows = np.arange(batch)
    inputs[rows, random.integers(steps // 10, max(2 * steps // 10, steps // 10 + 1), batch)] = first
    inputs[rows, random.integers(4 * steps // 10, max(5 * steps // 10, 4 * steps // 10 + 1), batch)] = second
    return inputs, 2 * first + second


def temporal_xor(steps: int, seed: int) -> Ints:
    """Elman's stream of bits (1990): two at random, then their exclusive or, again and again: (steps,).

    >>> bits = temporal_xor(9, seed=1).reshape(-1, 3)
    >>> bool((bits[:, 0] ^ bits[:, 1] == bits[:, 2]).all())
    True
    """
    pairs = np.random.default_rng(seed).integers(0, 2, (-(-steps // 3), 2))
    return np.column_stack([pairs, pairs[:, 0] ^ pairs[:, 1]]).ravel()[:steps]

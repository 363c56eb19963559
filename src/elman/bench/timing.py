"""Times that can be compared: the contestants take turns, and what a neighbour steals is stolen from all."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import torch

LEAST_ROUNDS = 3
TURN = 0.002  # seconds: a shorter call is repeated
MATMUL_SIZES = (256, 512, 1024, 2048)

Clock: TypeAlias = Callable[[], float]
# The second counts only the time in which the calling thread ran, whatever else the machine had to do.
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.thread_time}


class Contestant(NamedTuple):
    """What is timed."""

    call: Callable[[], object]
    pause: float = 0.0  # seconds before each turn, in which torch's threads fall asleep; they are woken after it


def medians(contestants: Mapping[str, Contestant], seconds: float, clock: Clock) -> dict[str, float]:
    """The median time of a call of each, in seconds.

    Args:
        contestants: by name; every round is one turn of each, in this order.
        seconds: how long to go on; `LEAST_ROUNDS` are taken in any case.
        clock: what times the calls.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        for name, contestant in contestants.items():
            if contestant.pause:
                time.sleep(contestant.pause)
            times[name] += _turn(contestant.call, clock)
            if contestant.pause:
                _wake_threads()
        rounds += 1
    return {name: statistics.median(record) for name, record in times.items()}


def _turn(call: Callable[[], object], clock: Clock) -> list[float]:
    """The times of calls each of which follows one of its own kind, as in a loop: the one before them is not timed.

    What follows another finds the caches full of the other's data, and no memory that it gave back itself.
    """
    call()
    times: list[float] = []
    now = clock()
    end = now + TURN
    while not times or now < end:
        start = now
        call()
        now = clock()
        times.append(now - start)
    return times


def _wake_threads() -> None:
    """See to it that whoever has the next turn does not pay for it alone."""
    square = torch.randn(256, 256)
    for _ in range(10):
        torch.mm(square, square)


def matmul_rate(dtype: torch.dtype, seconds: float, clock: Clock) -> float:
    """The best rate of a square `torch.mm`, of several sizes, in GFLOP/s."""
    squares = {n: torch.randn(3, n, n).to(dtype).unbind() for n in MATMUL_SIZES}
    best = dict.fromkeys(MATMUL_SIZES, math.inf)
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        for n, (a, b, out) in squares.items():
            start = clock()
            torch.mm(a, b, out=out)
            best[n] = min(best[n], clock() - start)
        rounds += 1
    return max(2 * n**3 / time_taken / 1e9 for n, time_taken in best.items())

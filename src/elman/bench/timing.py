"""Times that can be compared: the contestants take turns, so that other work of the machine slows down all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import torch

LEAST_ROUNDS = 3
TURN = 0.002  # seconds: shorter calls are repeated
MATMUL_SIZES = (256, 512, 1024, 2048)

Clock: TypeAlias = Callable[[], float]
# "cpu" counts only the time in which the calling thread ran.
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.thread_time}


class Contestant(NamedTuple):
    """A call to be timed."""

    call: Callable[[], object]
    pause: float = 0.0  # seconds before each turn, in which torch's threads fall asleep; they are woken after it


def _rounds(seconds: float) -> Iterator[None]:
    """Rounds until the time is over, `LEAST_ROUNDS` at least."""
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        yield
        rounds += 1


def medians(contestants: Mapping[str, Contestant], seconds: float, clock: Clock) -> dict[str, float]:
    """The median time of a call of each contestant, in seconds; in every round each of them has one turn."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in _rounds(seconds):
        for name, contestant in contestants.items():
            if contestant.pause:
                time.sleep(contestant.pause)
            times[name] += _turn(contestant.call, clock)
            if contestant.pause:
                _wake_threads()
    return {name: statistics.median(record) for name, record in times.items()}


def _turn(call: Callable[[], object], clock: Clock) -> list[float]:
    """The times of several calls, as in a loop; the first call is not timed.

    That call finds the caches full of another contestant's data, and no memory that it gave back itself.
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
    """Wake torch's threads, for which the next contestant would otherwise wait alone."""
    square = torch.randn(256, 256)
    for _ in range(10):
        torch.mm(square, square)


def matmul_rate(dtype: torch.dtype, seconds: float, clock: Clock) -> float:
    """The best rate of a square `torch.mm`, of several sizes, in GFLOP/s."""
    squares = {n: torch.randn(3, n, n).to(dtype).unbind() for n in MATMUL_SIZES}
    best = 0.0
    for _ in _rounds(seconds):
        for n, (a, b, out) in squares.items():
            start = clock()
            torch.mm(a, b, out=out)
            best = max(best, 2 * n**3 / (clock() - start) / 1e9)
    return best

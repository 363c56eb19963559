"""Numbers of what a server does, which only grow: plain attributes, for whoever measures."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(eq=False)
class Histogram:
    """How many values were up to each bound, how many there were, and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)  # of values up to a bound and above the one before; then the others
    sum: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value
        self.count += 1


SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(eq=False)
class ServingCounts:
    """Of one model."""

    read: int = 0  # units
    written: int = 0  # units
    works: int = 0
    failed: int = 0
    rows: Histogram = field(default_factory=lambda: Histogram(ROWS))  # of a round
    rounds: Histogram = field(default_factory=lambda: Histogram(SECONDS))  # seconds of a round
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))  # of a work, from being asked for

    def of_round(self, rows: int, read: int, written: int, seconds: float) -> None:
        """A round of so many works."""
        self.read += read
        self.written += written
        self.rows.add(rows)
        self.rounds.add(seconds)

    def of_work(self, seconds: float, *, failed: bool) -> None:
        """A work has ended."""
        self.works += 1
        self.failed += failed
        self.seconds.add(seconds)

"""How busy other work kept the machine while something ran."""

from __future__ import annotations

import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from elman.reading import read_json_lines

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6, 7)  # of a core's counters: user, nice, system, irq, softirq, steal; see proc(5)


@dataclass(frozen=True)
class Load:
    """Processor seconds of the cores that this process may use."""

    capacity: float  # that there were: the elapsed time of every core
    own: float  # that this process took, all its threads
    others: float  # that all else took: other processes, and other machines on the same cores

    @property
    def shares(self) -> dict[str, float]:
        """Of the capacity."""
        return {"own_share": self.own / self.capacity, "others_share": self.others / self.capacity}


class Meter:
    """Counts from its making on.

    On a Linux, which counts the time of every core. Elsewhere, and where a GPU computes, whose other users cannot be
    seen, nothing is known.
    """

    def __init__(self, device: str) -> None:
        self.before = None if device == "cuda" else _read()

    def lap(self) -> Load | None:
        """Since the making of the meter or the last lap; None where it cannot be known."""
        now = _read()
        if self.before is None or now is None:
            return None
        capacity, own, busy = (b - a for a, b in zip(self.before, now, strict=True))
        self.before = now
        # The system counts in hundredths of a second: over a short lap they need not fit into it.
        return Load(capacity, own, min(max(0.0, busy - own), max(0.0, capacity - own)))


def _read() -> tuple[float, float, float] | None:
    """Seconds so far: elapsed, of all cores; of this process; of all that the cores did."""
    try:
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        counters = [line.split() for line in STAT.read_text(encoding="ascii").splitlines()]
        ticks = sum(int(core[1 + place]) for core in counters if core[0] in cores for place in BUSY)
        busy = ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    if not busy:  # some sandboxes have the file and count nothing
        return None
    return time.perf_counter() * len(cores), time.process_time(), busy


def total(path: Path) -> Load | None:
    """Of all laps in a journal, those of earlier sessions too; None where nothing is known."""
    laps = [astuple(lap) for lap in read_json_lines(path, Load, remedy="remove it")]
    sums = [sum(column) for column in zip(*laps, strict=True)]
    return Load(*sums) if sums and sums[0] > 0 else None

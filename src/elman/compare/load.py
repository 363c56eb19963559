"""How a training loads the machine: its share of the processors, that of other work, and the RAM that it takes."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import torch

from elman.reading import read_json_lines

STAT, STATUS, CLEAR = Path("/proc/stat"), Path("/proc/self/status"), Path("/proc/self/clear_refs")
BUSY = (0, 1, 2, 5, 6, 7)  # of a core's counters: user, nice, system, irq, softirq, steal; see proc(5)


@dataclass(frozen=True)
class Load:
    """Processor seconds of the cores that this process may use."""

    capacity: float  # the elapsed time of every core
    own: float  # taken by all threads of this process
    others: float  # taken by other processes, and by other machines on the same cores

    @property
    def shares(self) -> dict[str, float]:
        """Both as shares of the capacity."""
        return {"own_share": self.own / self.capacity, "others_share": self.others / self.capacity}


class Meter:
    """Measures the load from one lap to the next.

    Linux counts the time of every core. On other systems, and on a GPU, whose other users cannot be seen, the load
    is not known.
    """

    def __init__(self, device: str) -> None:
        self.before = None if device == "cuda" else _read()

    def lap(self) -> Load | None:
        """The load since the last lap, or since the meter was made; None where the load is not known."""
        now = _read()
        if self.before is None or now is None:
            return None
        capacity, own, busy = (b - a for a, b in zip(self.before, now, strict=True))
        self.before = now
        # The system counts hundredths of a second: in a short lap they may add up to more than the capacity.
        return Load(capacity, own, min(max(0.0, busy - own), max(0.0, capacity - own)))


def _read() -> tuple[float, float, float] | None:
    """Seconds so far: elapsed on all cores, taken by this process, and taken by all work on the cores."""
    try:
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        counters = [line.split() for line in STAT.read_text(encoding="ascii").splitlines()]
        ticks = sum(int(core[1 + place]) for core in counters if core[0] in cores for place in BUSY)
        busy = ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    # Some sandboxes have the file and count nothing.
    return (time.perf_counter() * len(cores), time.process_time(), busy) if busy else None


def total(path: Path) -> Load | None:
    """The sum of all laps in a journal, those of earlier sessions too; None where the load is not known."""
    laps = [astuple(lap) for lap in read_json_lines(path, Load, remedy="remove it")]
    sums = [sum(column) for column in zip(*laps, strict=True)]
    return Load(*sums) if sums and sums[0] > 0 else None


class PeakRAM:
    """Measures the most RAM that was taken beyond the RAM in use when the measurement began.

    On a GPU the measure is what torch allocates there; elsewhere it is the resident set of the process, whose peak
    Linux can set back.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.before: float | None = None
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / 1e6
            return
        try:
            ctypes.CDLL(None).malloc_trim(0)
            CLEAR.write_text("5")  # sets VmHWM to VmRSS: see proc(5)
            self.before = _resident("VmRSS")
        except (OSError, AttributeError, TypeError):
            return

    def megabytes(self) -> float | None:
        """The peak so far; None where the system does not tell."""
        if self.before is None:
            return None
        most = torch.cuda.max_memory_allocated() / 1e6 if self.device == "cuda" else _resident("VmHWM")
        return None if most is None else most - self.before


def _resident(name: str) -> float | None:
    """The megabytes in a line of the process's status."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    return None

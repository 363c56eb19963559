"""How a training loads the machine: its share of the processors, that of other work, and the RAM that it takes."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable
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


def measure_peak_ram(device: str) -> Callable[[], float | None]:
    """Begin to measure; the result tells the most megabytes in use since then, beyond those in use now.

    On a GPU they are those that torch allocates there; elsewhere they are the resident set of the process, whose peak
    Linux can set back. Where the system does not tell, the result tells None.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        return lambda: (torch.cuda.max_memory_allocated() - allocated) / 1e6
    try:
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text("5")  # sets VmHWM to VmRSS: see proc(5)
        resident, _ = _megabytes("VmRSS"), _megabytes("VmHWM")
    except (OSError, AttributeError, TypeError, LookupError, ValueError):
        return lambda: None
    return lambda: _megabytes("VmHWM") - resident


def _megabytes(name: str) -> float:
    """A number of kB in the process's status."""
    status = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(status[name].split()[0]) * 1024 / 1e6

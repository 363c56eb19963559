"""The most memory that something took."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Counts from its making on: what was there before is left out.

    On a GPU what torch allocates; elsewhere the resident memory of the process, where the system is a Linux, whose
    high-water mark can be set back.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before: float | None = torch.cuda.memory_allocated() / 1e6
            return
        self.before = None
        try:
            ctypes.CDLL(None).malloc_trim(0)
            CLEAR.write_text("5")  # sets VmHWM to VmRSS: see proc(5)
            self.before = _resident("VmRSS")
        except (OSError, AttributeError, TypeError):
            return

    def megabytes(self) -> float | None:
        """So far; None where it cannot be known."""
        if self.before is None:
            return None
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / 1e6 - self.before
        most = _resident("VmHWM")
        return None if most is None else most - self.before


def _resident(name: str) -> float | None:
    """A line of the process's status, in MB."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    return None

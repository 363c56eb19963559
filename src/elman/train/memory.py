"""Memory that a step gives back and the next one wants again."""

from __future__ import annotations

import contextlib
import ctypes

# Of glibc's malloc.h: what mallopt can be told.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more
SPARE = 64 << 20  # bytes


def keep_freed() -> None:
    """Keep the memory that is freed, where malloc is glibc's; elsewhere do nothing.

    A training frees and allocates the same tensors at every step. By default glibc hands the larger ones back to the
    system each time, which must blank them again, page by page, before their next use: a tenth to a third of a step.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, SPARE)

"""Memory that a step gives back and the next one wants again."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h: what mallopt can be told.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more
SPARE = 64 << 20  # bytes


def keep_freed() -> bool:
    """Keep the memory that is freed, where malloc is glibc's, and say whether it is; elsewhere do nothing.

    A training frees and allocates the same tensors at every step. By default glibc hands the larger ones back to the
    system each time, which must blank them again, page by page, before their next use: about a tenth of a step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    settings = {M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: SPARE}
    accepted = [mallopt(name, value) for name, value in settings.items()]
    return all(answer == 1 for answer in accepted)

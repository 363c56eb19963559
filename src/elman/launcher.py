"""What torch's launcher, which starts the processes of a training, tells each of them in its environment."""

from __future__ import annotations

import os


def launched() -> int:
    """How many processes torch's launcher has started together, with this one among them; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def launched_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def is_launched() -> bool:
    """Whether torch's launcher has started this process as one of several."""
    return launched() > 1


def is_first() -> bool:
    """Whether this process is the one that speaks: rank 0, or a process alone."""
    return not is_launched() or os.environ["RANK"] == "0"

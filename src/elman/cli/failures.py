"""A line for people in place of a library's error, where a number is too large for the machine."""

from __future__ import annotations

import re

# The words of torch on the CPU of each system, on CUDA, and for a product of sizes beyond 64 bits.
OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|Storage size calculation", re.I)
ASKED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGTPE]?i?B)\b")
# The words of torch, numpy and Python for a number that their C types cannot hold, or with too many digits to be read.
TOO_LARGE = re.compile(
    r"Overflow when unpacking|cannot be converted to type \S+ without overflow|integer multiplication overflow|"
    r"array is too big|Maximum allowed dimension exceeded|too (?:large|big) to convert|too large for a C|"
    r"Exceeds the limit \(\d+ digits\)"
)


def explain(error: Exception) -> str | None:
    """One line for an error that a too large number causes; None for every other error.

    >>> explain(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3440000000000 bytes."))
    'out of memory: 3.4 TB were asked for at once; make the model, the batch, the beam or the lengths smaller'
    >>> explain(ValueError("shapes do not fit"))
    """
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(text)):
        asked = ASKED.search(text)
        much = f": {_size(*asked.groups())} were asked for at once" if asked else ""
        return f"out of memory{much}; make the model, the batch, the beam or the lengths smaller"
    number = isinstance(error, ArithmeticError | ValueError | TypeError | RuntimeError)
    if isinstance(error, OverflowError) or (number and TOO_LARGE.search(text)):
        return f"a number is too large to compute with ({text[:80]}); give smaller ones (--debug shows where)"
    return None


def _size(amount: str, unit: str) -> str:
    from elman.environment import bytes_in_words

    if unit != "bytes":
        return f"{amount} {unit}"
    return bytes_in_words(int(float(amount)))

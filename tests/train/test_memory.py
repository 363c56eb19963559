from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from elman.train import memory

FAULTS = """
import resource, sys
import torch
from elman.train.memory import keep_freed
if sys.argv[1] == "keep":
    assert keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    torch.ones(3_000_000)  # 12 MB
for _ in range(3):
    step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_what_was_freed_is_not_blanked_again() -> None:
    counts = {}
    for how in ("keep", "default"):
        result = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        counts[how] = int(result.stdout)
    assert counts["keep"] < 1000, counts


def test_where_there_is_no_mallopt_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed()

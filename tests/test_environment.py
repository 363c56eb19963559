from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from elman import environment


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_glibc_takes_every_setting() -> None:
    """In a process of its own, for it cannot be undone."""
    code = "from elman.environment import keep_freed; print(keep_freed())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_where_there_is_no_mallopt_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not environment.keep_freed()

"""Locks on files where the system has them, and a package that works where it has not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from elman import run_folders
from elman.errors import UserError


class Windows(ModuleType):
    """`msvcrt`: a lock on the bytes from where the file stands, which only one open file can have."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.locked: dict[tuple[int, int], int] = {}

    def locking(self, fd: int, mode: int, nbytes: int) -> None:
        assert (mode, nbytes) == (self.LK_NBLCK, 1)
        place = os.fstat(fd).st_ino, os.lseek(fd, 0, os.SEEK_CUR)
        if self.locked.setdefault(place, fd) != fd:
            raise PermissionError(errno.EACCES, "Permission denied")


def test_one_open_file_has_the_lock_until_it_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "a").open("a") as first, (tmp_path / "a").open("a") as second:
        assert run_folders.lock_file(first)
        assert not run_folders.lock_file(second)
        first.close()
        assert run_folders.lock_file(second)


def test_windows_has_locks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "msvcrt", Windows())
    with (tmp_path / "a").open("a") as first, (tmp_path / "a").open("a") as second:
        first.write("the end of the file is another place now")
        first.flush()
        assert run_folders.lock_file(first)
        assert not run_folders.lock_file(second)
    with run_folders.lock(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is training"), run_folders.lock(tmp_path / "run"):
            pass
        (tmp_path / "run" / "config.yaml").touch()


def test_a_file_system_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match=r"cannot write .*: No locks available"), run_folders.lock(tmp_path / "run"):
        pass


# What other packages import for themselves comes before what is Unix's own is taken away.
ELSEWHERE = """
import os, signal, sys
import numpy, pydantic, safetensors.torch, torch, typer, typer.completion, yaml
for name in ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    signal: ["SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGALRM", "alarm"],
    os: ["sched_getaffinity", "getloadavg", "getuid", "geteuid", "fork", "nice", "uname"],
}.items():
    for name in names:
        delattr(module, name)
import elman
from elman.cli import run
text, folder = sys.argv[1:]
sizes = "hidden_size=8 embedding_size=6 lanes=4 k1=8".split()
settings = [part for size in sizes for part in ("--set", size)]
assert run(["train", text, "-o", folder, "--steps", "3", *settings]) == 0
assert run(["train", text, "-o", folder, "--steps", "4", "--resume"]) == 0
assert run(["evaluate", folder, text]) == 0
assert run(["generate", folder, "--tokens", "5"]) == 0
assert run(["env"]) == 0
assert not elman.load(folder).model.training
"""


def test_all_works_without_what_is_of_unix_alone(plain_text: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(plain_text), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

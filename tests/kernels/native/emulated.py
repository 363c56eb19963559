"""Runs the core of an aarch64 wheel under qemu, and compares its numbers with those of this machine's wheel.

    python tests/kernels/native/emulated.py WHEEL_FOR_AARCH64 WHEEL_FOR_HERE FOLDER_OF_THE_HEADERS

`make wheels` calls this. The program of the sanitizers (sanitize.cpp), built by zig, is linked with the library in each
wheel. It ends with an error where a result is not finite or depends on the threads, and says the sum of each kind of
result.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path("/usr/aarch64-linux-gnu")
WANTED = "qemu-user, libc6-arm64-cross and libstdc++6-arm64-cross of Debian"
TOLERANCE = 1e-4  # of a sum: processors round a * b + c once or twice


def ran(wheel: Path, headers: Path, folder: Path, machine: str, before: list[str]) -> tuple[dict[str, float], str]:
    """The sums by name, and what the program says at the end."""
    with zipfile.ZipFile(wheel) as archive:
        core = Path(archive.extract("elman/kernels/native/_core.so", folder))
    zig = [sys.executable, "-P", "-m", "ziglang", "c++", "-target", f"{machine}-linux-gnu.2.17", "-std=c++17", "-O1"]
    source, program = Path(__file__).with_name("sanitize.cpp"), folder / "program"
    link = [core, f"-Wl,-rpath,{core.parent}", "-pthread", "-o", program]
    subprocess.run([*zig, f"-I{headers}", source, *link], check=True)
    environment = os.environ | {"ELMAN_INSTRUCTION_SET": "baseline"}
    found = subprocess.run([*before, program, "sums"], check=True, capture_output=True, text=True, env=environment)
    *sums, said = found.stdout.strip().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(": ") for line in sums)}, said


if __name__ == "__main__":
    theirs, ours, headers = map(Path, sys.argv[1:])
    if not (qemu := shutil.which("qemu-aarch64")) or not ROOT.is_dir():
        print(f"{theirs.name}: not run here, which needs {WANTED}")
        sys.exit()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        here, _ = ran(ours, headers, Path(one), os.uname().machine, [])
        there, said = ran(theirs, headers, Path(other), "aarch64", [qemu, "-L", str(ROOT)])
    differences = {name: abs(there[name] - value) / value for name, value in here.items()}
    assert here.keys() == there.keys()
    assert max(differences.values()) < TOLERANCE, differences
    print(f"{theirs.name}, under qemu: {said}; {len(here)} sums differ by at most {max(differences.values()):.0e}")

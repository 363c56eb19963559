"""Runs the core of an aarch64 wheel under qemu, by the program that the sanitizers run: `make wheels` calls this.

    python tests/kernels/native/emulated.py WHEEL FOLDER_OF_THE_CORE's_HEADERS

The program (sanitize.cpp) is built by zig and linked with the library in the wheel. It ends with an error where a
result is not finite or depends on the threads.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path("/usr/aarch64-linux-gnu")  # Debian's libc6-arm64-cross and libstdc++6-arm64-cross
WANTED = "apt install qemu-user libc6-arm64-cross"

if __name__ == "__main__":
    wheel, headers = Path(sys.argv[1]), Path(sys.argv[2])
    if not (qemu := shutil.which("qemu-aarch64")) or not ROOT.is_dir():
        print(f"{wheel.name}: not run on this machine, for which qemu is needed ({WANTED})")
        sys.exit()
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(wheel) as archive:
        core, program = Path(archive.extract("elman/kernels/native/_core.so", name)), Path(name) / "program"
        zig = [sys.executable, "-P", "-m", "ziglang", "c++", "-target", "aarch64-linux-gnu.2.17", "-std=c++17", "-O1"]
        source = Path(__file__).with_name("sanitize.cpp")
        subprocess.run(
            [*zig, f"-I{headers}", source, core, f"-Wl,-rpath,{core.parent}", "-pthread", "-o", program], check=True
        )
        ran = subprocess.run([qemu, "-L", ROOT, program], check=True, capture_output=True, text=True)
        print(f"{wheel.name}: {ran.stdout.strip().splitlines()[-1]} (under {Path(qemu).name})")

"""Generated programs under the compilers of this machine: built, driven by a stream of calls, and measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elman.errors import UserError
from elman.export.c.program import CProgram

COMPILERS = ("gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
INIT, SIZE = 0, -1  # calls of every program; those of `Interface.main` are numbered from 1

MAIN = """
#include "{name}.h"
#include <stdio.h>

#define GET(x) do if (fread(&(x), sizeof (x), 1, stdin) != 1) return 1; while (0)
#define GET_SOME(x, n) do if (fread(x, sizeof *(x), (size_t)(n), stdin) != (size_t)(n)) return 1; while (0)
#define PUT(x) fwrite(&(x), sizeof (x), 1, stdout)

int main(void)
{{
    static {prefix}_state state;
    for (int call; fread(&call, sizeof call, 1, stdin) == 1;)
        switch (call) {{
        case -1: {{ const int size = sizeof state; PUT(size); break; }}
{cases}
        default: return 1;
        }}
    return 0;
}}
"""


def compilers() -> list[str]:
    """Those that are installed."""
    return [name for name in COMPILERS if shutil.which(name)]


@contextmanager
def built(program: CProgram, compiler: str, *flags: str) -> Iterator[Path]:
    """The path of an executable that takes calls from stdin and writes their outputs to stdout.

    Raises `UserError` with the compiler's first line where the compiler refuses the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cases = "\n".join(f"        case {n}: {{ {text} break; }}" for n, text in enumerate(program.calls))
        main = MAIN.format(name=program.name, prefix=program.prefix, cases=cases)
        for name, text in ((f"{program.name}.h", program.header), (f"{program.name}.c", program.source)):
            (place / name).write_text(text)
        (place / "calls of it.c").write_text(main)
        _run(compiler, *STRICT, *flags, f"./{program.name}.c", "calls of it.c", "-o", "program", "-lm", cwd=place)
        yield place / "program"


def answers(executable: Path, calls: bytes) -> bytes:
    """What a program writes to a stream of calls. Raises `UserError` where it fails."""
    found = subprocess.run([executable], input=calls, capture_output=True, check=False)
    if found.returncode:
        lines = found.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {found.returncode}"]
        raise UserError(f"the exported program fails: {lines[0]}")
    return found.stdout


def size_of_state(executable: Path) -> int:
    """The bytes of a program's state."""
    return int(np.frombuffer(answers(executable, integers(SIZE)), np.int32)[0])


def size_of_code(program: CProgram, compiler: str, *flags: str) -> int | None:
    """The bytes of the object code without weights; None where binutils' `size` is not installed."""
    if not shutil.which("size"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        for ending, text in (("h", program.header), ("c", program.source)):
            (Path(folder) / f"{program.name}.{ending}").write_text(text)
        _run(compiler, *STRICT, *flags, "-c", f"./{program.name}.c", "-o", "object", cwd=Path(folder))
        table = subprocess.run(["size", "object"], cwd=folder, capture_output=True, text=True, check=True).stdout
    instructions, data = map(int, table.splitlines()[1].split()[:2])
    return instructions + data - program.bytes_of_weights


def integers(*values: int | Sequence[int] | npt.NDArray[np.int64]) -> bytes:
    """Numbers as C's int."""
    return np.concatenate([np.atleast_1d(np.asarray(value, np.int32)) for value in values]).tobytes()


def _run(*command: str, cwd: Path) -> None:
    found = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if found.returncode:
        said = next(
            (line for line in found.stderr.splitlines() if "error" in line), f"it ended with {found.returncode}"
        )
        raise UserError(f"{command[0]} refuses the exported program: {said}")

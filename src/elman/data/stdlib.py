"""`python-stdlib`: the library sources of the running interpreter, a corpus that needs no download."""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

from elman.errors import UserError

# Tests, tables, bundled wheels, and packages that some systems do not install.
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "tkinter", "distutils", "encodings", "pydoc_data"}
LEFT_OUT |= {"ensurepip", "site-packages", "dist-packages", "lib-dynload", "__pycache__"}


def python_stdlib() -> list[Path]:
    """About 7 MB of Python: the modules in ASCII (a vocabulary of some 96 characters).

    They are in the order of a hash of their paths, so that the end of the corpus is a fair sample of the whole.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [file for file in root.rglob("*.py") if _is_module(file.relative_to(root)) and _is_ascii(file)]
    if not files:
        remedy = "use a Python that was installed with its sources"
        raise UserError(f"python-stdlib: no sources under {root}", remedy=remedy)
    return sorted(files, key=lambda file: hashlib.sha256(file.relative_to(root).as_posix().encode()).digest())


def _is_module(path: Path) -> bool:
    generated = path.name.startswith("_sysconfigdata") or any(part.startswith("config-") for part in path.parts)
    return not generated and not LEFT_OUT & set(path.parts)


def _is_ascii(file: Path) -> bool:
    data = file.read_bytes()
    return data.isascii() and b"\0" not in data

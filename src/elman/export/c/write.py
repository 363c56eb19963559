"""Write a run's model as C: PREFIX.h and PREFIX.c."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

from elman.errors import UserError
from elman.export.c.checking import difference, example
from elman.export.c.compiling import built, compilers, size_of_code, size_of_state
from elman.export.c.program import OPTIMIZE, CProgram, program
from elman.export.exported import Check, Exported
from elman.export.options import ExportOptions
from elman.export.quantisation import quantised
from elman.models.modes import in_eval_mode
from elman.tasks.exchange import Say, Trained

TOLERANCE = 1e-5


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's model.

    The program is compiled and compared with the model (as int8 has it) by every compiler that is here.

    Raises:
        UserError: the model has no form in C; or the program computes something else.
    """
    header, source = places(run, path)
    with in_eval_mode(run.model):
        made = program(run.model, header.with_suffix(""), int8=options.int8, codecs=run.codecs)
        model = quantised(run.model) if options.int8 else run.model
        checks, notes = [], []
        for compiler in compilers():
            check, note = _compiled(made, compiler, model, run.codecs)
            checks.append(check)
            notes.append(note)
    if not checks:
        notes.append("neither gcc nor clang is installed here: the program was not compiled")
    contents = {header: made.header.encode(), source: made.source.encode()}
    return Exported("c", header.with_suffix(""), contents, notes, checks)


def places(run: Trained, path: Path) -> list[Path]:
    """PREFIX.h and PREFIX.c; in a folder that exists, model.h and model.c.

    Raises `UserError` for a name that C's #include cannot hold."""
    if path.is_dir():
        path = path / "model"
    if path.suffix in (".c", ".h"):
        path = path.with_suffix("")
    if not path.name or set(path.name) & set('"\\\n\r'):
        raise UserError("the name of a C program", expected="none of quotes, backslashes, new lines", got=path.name)
    return [path.with_name(f"{path.name}.h"), path.with_name(f"{path.name}.c")]


def _compiled(made: CProgram, compiler: str, model: Any, codecs: Any) -> tuple[Check, str]:
    asked = example(model, codecs)
    with built(made, compiler, *OPTIMIZE) as executable:
        found, state = difference(executable, asked), size_of_state(executable)
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=False).stdout.strip()
    if not found <= TOLERANCE:
        raise UserError(f"the program of {compiler} {version} differs from the model by {found:.1e}")
    sizes = [(flags, size_of_code(made, compiler, flags)) for flags in (*OPTIMIZE, "-Os")]
    code = " and ".join(f"{size:,} bytes with {flags}" for flags, size in sizes if size is not None) or "not measured"
    note = f"{compiler} for {platform.machine()}: code without weights {code}; state {state:,} bytes"
    return Check(compiler, version, found, asked.expected.size), note

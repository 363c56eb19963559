"""Runs leave for other programs: `export(run, to, path)` writes a model and all that is needed to use it.

>>> from elman.export import export
>>> exported = export("runs/demo", to="torch", path="demo.pt")
>>> [*exported.files]
['demo.pt', 'demo.py']
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.export.formats import FORMATS, format_named

if TYPE_CHECKING:
    from elman.export.exported import Exported
    from elman.tasks.exchange import Say, Trained

__all__ = ["FORMATS", "export"]


def export(
    run: str | Path | Trained,
    to: str,
    path: str | Path,
    *,
    overwrite: bool = False,
    say: Say = lambda line: None,
    **options: Any,
) -> Exported:
    """Write a run's model in a format of `FORMATS`.

    Args:
        run: a run, or its folder.
        to: the name of the format.
        path: the file or folder that is written, in whole or not at all.
        overwrite: replace files that are there; those of the run itself never are.
        say: is told what a person should know before the end.
        options: fields of `ExportOptions`.

    Raises:
        UserError: the format has no such option, or cannot hold the model; something is held of the model; the written
            model computes something else; or a place is not free.

    >>> exported = export("runs/demo", to="safetensors", path="demo.safetensors")
    >>> [*exported.files], exported.checks
    (['demo.safetensors'], ())
    """
    from elman.export.exported import check_free, write_files
    from elman.export.options import make_options
    from elman.models.weights import refuse_held
    from elman.runs import load

    format = format_named(to)
    chosen = make_options(format, options)
    writer, path = format.load(), Path(path)
    loaded = load(run) if isinstance(run, str | Path) else run
    refuse_held(loaded.model)
    check_free(writer.places(loaded, path), overwrite=overwrite, run=Path(loaded.path))
    exported: Exported = writer.write(loaded, path, chosen, say)
    write_files(exported.contents, overwrite=overwrite, run=Path(loaded.path))
    return exported

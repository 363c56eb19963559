"""The formats of `elman export`, a row each. Nothing here imports torch."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NamedTuple

from elman.errors import UserError, missing_extra, nearest

RUNTIMES = ("onnxruntime", "openvino", "tract", "reference")  # of `--check`


class Format(NamedTuple):
    """A format, and where its writer is."""

    name: str
    title: str  # for people
    writer: str  # a module with `places(run, path) -> list[Path]` and `write(run, path, options, say) -> Exported`
    options: tuple[str, ...] = ()  # the fields of `ExportOptions` that the format has
    packages: tuple[str, ...] = ()  # that the writer needs
    extra: str = ""  # of pip, with those packages

    def load(self) -> Any:
        """The module that writes. Raises `UserError` where a package is missing."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise missing_extra(package, self.extra, f"{self.title} files")
        return importlib.import_module(self.writer)


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("onnx", "ONNX", "elman.export.onnx.write", ("lengths", "int8", "check"), ("onnx",), "onnx"),
        Format("torch", "torch.nn", "elman.export.torch"),
        Format("keras", "Keras", "elman.export.keras", packages=("h5py",), extra="keras"),
        Format("flax", "Flax", "elman.export.flax"),
        Format("safetensors", "safetensors", "elman.export.safetensors"),
        Format("c", "C", "elman.export.c.write", ("int8",)),
    )
}
"""Every format by its name, with the options of `export` that it has.

>>> from elman.export import FORMATS
>>> {name: format.options for name, format in FORMATS.items() if format.options}
{'onnx': ('lengths', 'int8', 'check'), 'c': ('int8',)}
"""


def format_named(name: str) -> Format:
    """The format of a name. Raises `UserError` where there is none."""
    if name not in FORMATS:
        raise UserError("to", expected=" or ".join(FORMATS), got=repr(name), remedy=nearest(name, FORMATS), exit_code=2)
    return FORMATS[name]

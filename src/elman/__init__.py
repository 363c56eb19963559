"""Sequence models whose memory you can see: from Elman's network to the Transformer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "data",
    "decode",
    "inspection",
    "kernels",
    "lens",
    "load",
    "models",
    "nn",
    "report",
    "state",
    "tasks",
    "train",
]

if TYPE_CHECKING:
    from elman import data, decode, inspection, kernels, lens, models, nn, report, state, tasks, train
    from elman.runs import load


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `import elman` and `elman --help` do not wait for it.
    if name == "load":
        from elman.runs import load

        return load
    if name in __all__:
        return importlib.import_module(f"elman.{name}")
    raise AttributeError(f"module 'elman' has no attribute {name!r}")

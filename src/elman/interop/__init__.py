"""Weights of other frameworks' recurrent layers: a table of conventions, and a converter that reads the table.

- `from_arrays`: a layer of `elman.nn` of a framework's arrays
- `to_arrays`: a framework's `Arrays` of a layer of `elman.nn`
- `CONVENTIONS`, `convention_named`, `Convention`: the table, a row of it, and its class
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elman.interop.convention import Array, Convention, Naming
from elman.interop.frameworks import CONVENTIONS, convention_named

if TYPE_CHECKING:
    from elman.interop.converter import Arrays, from_arrays, to_arrays

__all__ = ["CONVENTIONS", "Array", "Arrays", "Convention", "Naming", "convention_named", "from_arrays", "to_arrays"]


def __getattr__(name: str) -> Any:
    # The table is shown without torch, which takes seconds to import.
    if name in __all__:
        return getattr(importlib.import_module("elman.interop.converter"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Weights of other frameworks' recurrent layers: a table of conventions, and a converter that reads the table.

- `from_arrays`: a layer of `elman.nn` of a framework's arrays
- `to_arrays`: a framework's `Arrays` of a layer of `elman.nn`
- `CONVENTIONS`, `convention_named`, `Convention`: the table, a row of it, and its class

>>> from elman.interop import from_arrays, to_arrays
>>> from elman.nn import GRU
>>> layer = GRU(2, 3, bidirectional=True)
>>> arrays = to_arrays(layer, "keras.GRU")
>>> from_arrays("keras.GRU", arrays)
GRU(2, 3, bidirectional=True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.interop.convention import Array, Convention, Naming
from elman.interop.frameworks import CONVENTIONS, convention_named
from elman.lazy import lazily

if TYPE_CHECKING:
    from elman.interop.converter import Arrays, from_arrays, to_arrays

__all__ = ["CONVENTIONS", "Array", "Arrays", "Convention", "Naming", "convention_named", "from_arrays", "to_arrays"]
# The table is shown without torch.
__getattr__ = lazily(__name__, dict.fromkeys(("Arrays", "from_arrays", "to_arrays"), ".converter"))

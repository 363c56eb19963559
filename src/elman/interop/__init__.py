"""Weights of other frameworks' recurrent layers: a table of conventions, and a converter that reads the table.

- `from_arrays`: a layer of `elman.nn` of a framework's arrays
- `to_arrays`: the arrays of a framework of a layer of `elman.nn`
- `CONVENTIONS`, `convention_named`, `Convention`: the table, a row of it, and its class
"""

from elman.interop.convention import Array, Convention, Naming
from elman.interop.converter import Arrays, from_arrays, to_arrays
from elman.interop.frameworks import CONVENTIONS, convention_named

__all__ = ["CONVENTIONS", "Array", "Arrays", "Convention", "Naming", "convention_named", "from_arrays", "to_arrays"]

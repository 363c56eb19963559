"""A C program in the making: its arrays of weights, its functions, and the fields of its state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.c.primitives import INT8, PRIMITIVES
from elman.export.quantisation import quantise

WIDTH = 118  # of a line with numbers


def identifier(path: PurePath) -> str:
    """The C identifier of a program that is written to such a path.

    >>> identifier(PurePath("out/my-model.v2")), identifier(PurePath("2layers"))
    ('my_model_v2', 'model_2layers')
    """
    name = re.sub(r"\W", "_", path.name, flags=re.ASCII).strip("_") or "model"
    return f"model_{name}" if name[0].isdigit() else name


def declared(declaration: str) -> str:
    """The name that a declaration declares.

    >>> declared("float h[2 * 4]"), declared("const int *characters")
    ('h', 'characters')
    """
    return declaration.partition("[")[0].split()[-1].lstrip("*")


class Matrix(NamedTuple):
    """A matrix (K, D) in the program; the number in row k and column j is W[k * row + j * column]."""

    name: str
    K: int
    D: int
    row: int
    column: int


class CArray(NamedTuple):
    """An array of weights."""

    declaration: str
    numbers: Numbers  # in one dimension


class CSource:
    """Collects what a program is made of; every array and function is there once.

    With `int8`, matrices are integers with a scale for each row.
    """

    def __init__(self, prefix: str, *, int8: bool = False) -> None:
        self.prefix, self.int8 = prefix, int8
        self.arrays: dict[str, CArray] = {}
        self.functions: dict[str, str] = {}
        self.used: dict[str, None] = {}  # primitives, in order
        self.fields: list[str] = []  # of the state, such as "float h[64]"; the first is an array
        self.bytes_of_weights = 0
        self._matrices: dict[tuple[int, ...], tuple[Matrix, Tensor]] = {}  # the tensors, lest another has the place

    def vector(self, name: str, values: Tensor) -> str:
        """An array of floats of any shape, row by row. Returns its name."""
        self._write(name, "float", _array(values.float()))
        return name

    def doubles(self, name: str, values: Tensor) -> str:
        """An array of numbers in the units of the data, as doubles. Returns its name."""
        self._write(name, "double", _array(values.double()))
        return name

    def matrix(self, name: str, weight: Tensor) -> Matrix:
        """A matrix (K, D) for products, stored column by column."""
        return self._matrix(name, weight, by_columns=True)

    def table(self, name: str, weight: Tensor) -> Matrix:
        """A matrix (K, D) whose rows are looked up, stored row by row; or the same one that is there already."""
        return self._matrix(name, weight, by_columns=False)

    def _matrix(self, name: str, weight: Tensor, by_columns: bool) -> Matrix:
        key = (weight.data_ptr(), *weight.shape, *weight.stride())
        if key in self._matrices:
            return self._matrices[key][0]
        K, D = weight.shape
        numbers, kind = _array(weight.float()), "float"
        if self.int8:
            (numbers, scales), kind = quantise(numbers, axis=1), "signed char"
            self._write(f"{name}_scale", "float", scales)
        self._write(name, kind, numbers.T if by_columns else numbers)
        made = Matrix(name, K, D, *((1, K) if by_columns else (D, 1)))
        self._matrices[key] = made, weight
        return made

    def add_product(self, sums: str, matrix: Matrix, x: str) -> str:
        """The statement sums (K,) += W x."""
        assert matrix.row == 1 or matrix.K == 1
        scale = f", {matrix.name}_scale" if self.int8 else ""
        return f"{self.use('add_product')}({sums}, {matrix.name}{scale}, {x}, {matrix.K}, {matrix.D});"

    def add_row(self, x: str, matrix: Matrix, row: str) -> str:
        """The statement x (D,) += the row."""
        scale = f", {matrix.name}_scale[{row}]" if self.int8 else ""
        place = f"{matrix.name} + {row}" + (f" * {matrix.row}" if matrix.row > 1 else "")
        return f"{self.use('add_row')}({x}, {place}{scale}, {matrix.D}, {matrix.column});"

    def set(self, x: str, vector: str, size: int) -> str:
        """The statement x (size,) = the vector."""
        return f"{self.use('set')}({x}, {vector}, {size});"

    def linear(self, name: str, layer: torch.nn.Linear, x: str, y: str) -> list[str]:
        """The statements y (K,) = W x + b."""
        K = layer.out_features
        if layer.bias is None:
            begin = f"for (int k = 0; k < {K}; k++) {y}[k] = 0;"
        else:
            begin = self.set(y, self.vector(f"{name}_bias", layer.bias), K)
        return [begin, self.add_product(y, self.matrix(f"{name}_weight", layer.weight), x)]

    def use(self, name: str) -> str:
        """The name of a primitive, which the program has from now on."""
        for needed in PRIMITIVES[name].calls:
            self.use(needed)
        self.used.setdefault(name)
        return name

    def function(self, head: str, body: Iterable[str], comment: str = "") -> None:
        """A function, of which `body` has the statements."""
        inner = "\n".join(f"    {line}" if line else "" for line in body)
        self.functions[head] = (f"/* {comment} */\n" if comment else "") + f"{head}\n{{\n{inner}\n}}\n"

    def text(self) -> str:
        """Declarations of the weights, the functions, and the numbers of the weights at the end, out of the way."""
        primitives = INT8 if self.int8 else PRIMITIVES
        used = [primitives[name].text.strip("\n") + "\n" for name in self.used]
        declared = "\n".join(f"{array.declaration};" for array in self.arrays.values())
        numbers = [f"{array.declaration} = {{\n{_numbers(array.numbers)}\n}};\n" for array in self.arrays.values()]
        head = "/* The weights, whose numbers are at the end of the file. */\n"
        return "\n".join([head + declared + "\n", *used, *self.functions.values(), *numbers])

    def _write(self, name: str, kind: str, values: Numbers) -> None:
        assert name not in self.arrays
        if not np.isfinite(values).all():
            raise UserError(f"{name}: the model has weights that are not finite numbers, which C has no words for")
        declaration = f"static const {kind} {name}[{' * '.join(map(str, values.shape))}]"
        self.arrays[name] = CArray(declaration, values.reshape(-1))
        self.bytes_of_weights += self.arrays[name].numbers.nbytes


def _array(values: Tensor) -> Numbers:
    return values.detach().cpu().numpy()


def _numbers(values: Numbers) -> str:
    """Numbers in lines of at most WIDTH characters, cut behind commas; `textwrap` would take minutes."""
    suffix = "f" if values.dtype == np.float32 else ""
    numbers = ", ".join([f"{value}{suffix}" for value in values.astype(str).tolist()])
    lines, at = [], 0
    while len(numbers) - at > WIDTH:
        cut = numbers.rindex(", ", at, at + WIDTH) + 2
        lines.append("    " + numbers[at : cut - 1])
        at = cut
    return "\n".join([*lines, "    " + numbers[at:]])


def comment(paragraphs: Sequence[str]) -> str:
    """A comment of paragraphs; one that begins with a blank is code, and stays as it is."""
    lines: list[str] = []
    for paragraph in paragraphs:
        safe = paragraph.replace("*/", "* /").replace("/*", "/ *")
        lines += [*(safe.split("\n") if safe.startswith(" ") else wrap(safe, WIDTH - 3)), ""]
    return "/* " + "\n".join(f"   {line}".rstrip() for line in lines[:-1]).lstrip() + " */\n"

"""`elman interop`: how other frameworks arrange the weights of recurrent layers."""

from __future__ import annotations

from typing import Annotated

import typer

from elman.cli import completion
from elman.cli.options import Json
from elman.display import print_json

COLUMNS = ("convention", "layer", "gates", "matrices", "biases", "besides", "measured with")


def command(
    convention: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONVENTION]",
            help="A name of the table, for its arrays; without a name, the table.",
            autocompletion=completion.one_of(completion.conventions),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how other frameworks arrange the weights of recurrent layers.

    In Python, elman.interop.from_arrays(CONVENTION, {NAME: ARRAY}) gives a layer of elman.nn, and
    elman.interop.to_arrays(LAYER, CONVENTION) the arrays of a layer.
    """
    from elman.interop.frameworks import CONVENTIONS, convention_named
    from elman.interop.words import array_in_words, describe, names_in_words

    if convention is None:
        rows = [describe(row) for row in CONVENTIONS.values()]
        if as_json:
            print_json(rows)
            return
        table = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    else:
        row = convention_named(convention)
        arrays = [array_in_words(row, array) for array in row.arrays]
        about = describe(row) | {"names": names_in_words(row)}
        if as_json:
            print_json({**about, "arrays": [{"name": n, "shape": s, "holds": words} for n, s, words in arrays]})
            return
        for name, words in about.items():
            print(f"{name:29}{words}")
        print("arrays, of D inputs and H units")
        table = [("  " + name, *rest) for name, *rest in arrays]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())

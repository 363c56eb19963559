"""The options of drawing tokens at random that `elman generate` and `elman predict` share."""

from __future__ import annotations

from typing import Annotated

import typer

from elman.cli.bounds import finite

TopK = Annotated[int | None, typer.Option(help="Only the K most probable tokens.", min=1)]
TopP = Annotated[
    float | None,
    typer.Option(help="Only the fewest tokens that hold P of the probability.", min=0, max=1, callback=finite),
]
MinP = Annotated[
    float | None, typer.Option(help="Only tokens P times as probable as the best.", min=0, max=1, callback=finite)
]

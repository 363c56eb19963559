"""What a pass of the core is told besides its inputs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from elman.cells import CELLS, Cell
from elman.kernels.masks import clears, real_steps
from elman.kernels.seam import QUIET, Noise

EVERY = [each for cell in CELLS.values() for each in (cell, *cell.variants.values())]
IN_CORE: dict[str, Cell] = {cell.name: cell for cell in EVERY if cell.native is not None}
NUMBERS: dict[str, int] = {cell.name: cell.native for cell in EVERY if cell.native is not None}
GATES: dict[str, int] = {name: len(cell.rows) for name, cell in IN_CORE.items()}  # G: blocks of H rows of the weights


class Options(NamedTuple):
    """What is not differentiated."""

    cell: str
    reverse: bool
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (T, B)
    cleared: Tensor | None  # (T, B)
    noise: Noise = QUIET

    def fields(self) -> dict[str, Tensor | int | None]:
        """As the core wants them."""
        return {
            "cell": NUMBERS[self.cell],
            "reverse": int(self.reverse),
            "lengths": self.lengths,
            "cleared": self.cleared,
        }


def arrange(
    cell: str, reverse: bool, lengths: Tensor | None, resets: Tensor | None, T: int, noise: Noise = QUIET
) -> Options:
    """What is not differentiated, as the core wants it."""
    cleared = None
    if lengths is not None:
        lengths = lengths.to(torch.int64).clamp(0, T).contiguous()  # the core takes them for addresses
    if resets is not None:
        real = None if lengths is None else real_steps(lengths, T)  # (T, B)
        cleared = clears(resets, real, reverse).contiguous()  # (T, B)
    return Options(cell, reverse, lengths, resets, cleared, noise)

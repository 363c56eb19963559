"""The arguments of a pass of the core besides its inputs, and the tensors of cells that differ from the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor

from elman.cells import CELLS, Cell
from elman.kernels.native.library import CELLS_OF_CORE
from elman.kernels.seam import QUIET, Noise, masks

EVERY = [each for cell in CELLS.values() for each in (cell, *cell.variants.values())]
IN_CORE: dict[str, Cell] = {cell.name: cell for cell in EVERY if cell.native in CELLS_OF_CORE}
NUMBERS: dict[str, int] = {name: cast(int, cell.native) for name, cell in IN_CORE.items()}
GATE_BLOCKS: dict[str, int] = {name: len(cell.rows) for name, cell in IN_CORE.items()}  # G, each of H rows of weights


class Options(NamedTuple):
    """The arguments that are not differentiated."""

    cell: str
    reverse: bool
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (T, B)
    cleared: Tensor | None  # (T, B)
    noise: Noise = QUIET

    def fields(self) -> dict[str, Tensor | int | None]:
        """The fields of `Sweep`."""
        number, reverse = NUMBERS[self.cell], int(self.reverse)
        return {"cell": number, "reverse": reverse, "lengths": self.lengths, "cleared": self.cleared}


def arrange(
    cell: str, reverse: bool, lengths: Tensor | None, resets: Tensor | None, T: int, noise: Noise = QUIET
) -> Options:
    """The options, with lengths and cleared steps as the core wants them."""
    if lengths is not None:
        lengths = lengths.to(torch.int64).clamp(0, T).contiguous()  # the core computes addresses from lengths
    _, cleared = masks(None if resets is None else lengths, resets, T, reverse)
    return Options(cell, reverse, lengths, resets, None if cleared is None else cleared.contiguous(), noise)


class Varied(NamedTuple):
    """The noise, and the weights that a plain cell does not have, in the order of `Weights`."""

    noise: Noise = QUIET
    weight_hr: Tensor | None = None  # (P, H)
    weight_peephole: Tensor | None = None  # (3 * H,)
    gain_ih: Tensor | None = None  # (G * H,)
    gain_hh: Tensor | None = None  # (G * H,)
    gain_cell: Tensor | None = None  # (H,)
    bias_cell: Tensor | None = None  # (H,)

    def fields(self) -> dict[str, Tensor | int | None]:
        """The fields of `Sweep`; empty for a plain cell."""
        if self is PLAIN:
            return {}
        (zoneout, stride), (zoneout_cell, stride_cell) = (_rows(share) for share in self.noise[1:])
        parts = {
            "weight_r": self.weight_hr,
            "recurrent": self.noise.recurrent,
            "zoneout": zoneout,
            "zoneout_cell": zoneout_cell,
            "peephole": self.weight_peephole,
            "gain_x": self.gain_ih,
            "gain": self.gain_hh,
            "gain_cell": self.gain_cell,
            "bias_cell": self.bias_cell,
        }
        given = {name: part.contiguous() for name, part in parts.items() if part is not None}
        return given | {"zoneout_stride": stride, "zoneout_cell_stride": stride_cell}

    def to_keep(self, x: Tensor, GH: int, make: Callable[..., Tensor]) -> dict[str, Tensor]:
        """Tensors, made by `make`, that hold layer normalization for backward; x (T, B, D)."""
        if self.gain_hh is None:
            return {}
        T, B, _ = x.shape
        rows = {name: make(x, (T * B, GH)) for name in ("normed_x", "normed")}
        return rows | {name: make(self.gain_hh, T * B) for name in ("scale_x", "scale")}

    def room(self, x: Tensor, derivatives: int) -> dict[str, Tensor]:
        """Empty tensors for the derivatives by the weights of `Varied`.

        The derivatives by vectors of weights are sums for each row of the batch. With layer normalization so are those
        by the biases: `derivatives` numbers, as `dgates` would hold them.
        """
        T, B, _ = x.shape
        names = ("dpeephole", "dgain_x", "dgain", "dgain_cell", "dbias_cell")
        parts = zip(names, self[2:], strict=True)
        found = {name: part.new_empty(B, len(part)) for name, part in parts if isinstance(part, Tensor)}
        if self.weight_hr is not None:
            found["dprojected"] = x.new_empty(T * B, len(self.weight_hr))
        if self.gain_hh is not None:
            found |= {"dsums": x.new_empty(T * B, len(self.gain_hh)), "dbias": self.gain_hh.new_empty(B, derivatives)}
        return found


PLAIN = Varied()


def _rows(share: Tensor | None) -> tuple[Tensor | None, int]:
    """The share of zoneout and its stride: one row and 0 where the share is the same for all steps and rows."""
    if share is None:
        return None, 0
    if share.numel() and share.stride()[:2] == (0, 0):
        return share[0, 0], 0
    return share, share.shape[-1]

"""What the core is given, and what it gives, where a cell differs from the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from elman.kernels.seam import QUIET, Noise


class Varied(NamedTuple):
    """The noise, and the weights that a plain cell does not have, in the seam's order."""

    noise: Noise = QUIET
    weight_hr: Tensor | None = None  # (P, H)
    weight_peephole: Tensor | None = None  # (3 * H,)
    gain_ih: Tensor | None = None  # (G * H,)
    gain_hh: Tensor | None = None  # (G * H,)
    gain_cell: Tensor | None = None  # (H,)
    bias_cell: Tensor | None = None  # (H,)

    def fields(self) -> dict[str, Tensor | int | None]:
        """As the core wants them; empty for a plain cell."""
        if self is PLAIN:
            return {}
        recurrent, *shares = self.noise
        (zoneout, stride), (zoneout_cell, stride_cell) = (_rows(share) for share in shares)
        given = {
            "weight_r": _contiguous(self.weight_hr),
            "recurrent": _contiguous(recurrent),
            "zoneout": zoneout,
            "zoneout_stride": stride,
            "zoneout_cell": zoneout_cell,
            "zoneout_cell_stride": stride_cell,
            "peephole": _contiguous(self.weight_peephole),
            "gain_x": _contiguous(self.gain_ih),
            "gain": _contiguous(self.gain_hh),
            "gain_cell": _contiguous(self.gain_cell),
            "bias_cell": _contiguous(self.bias_cell),
        }
        return {name: value for name, value in given.items() if value is not None}

    def to_keep(self, x: Tensor, GH: int, make: Callable[..., Tensor]) -> dict[str, Tensor]:
        """What the core shall keep of layer normalization for backward, reading x (T, B, D); made by `make`."""
        if self.gain_hh is None:
            return {}
        T, B, _ = x.shape
        rows = {name: make(x, (T * B, GH)) for name in ("normed_x", "normed")}
        return rows | {name: make(self.gain_hh, T * B) for name in ("scale_x", "scale")}

    def room(self, x: Tensor, derivatives: int) -> dict[str, Tensor]:
        """Where the core shall leave what it derives by what only such cells have.

        The derivatives by vectors of weights are sums for each row of the batch. With layer normalization so are those
        by the biases: `derivatives` numbers, as `dgates` would hold them.
        """
        T, B, _ = x.shape
        weights = {
            "dpeephole": self.weight_peephole,
            "dgain_x": self.gain_ih,
            "dgain": self.gain_hh,
            "dgain_cell": self.gain_cell,
            "dbias_cell": self.bias_cell,
        }
        found = {name: part.new_empty(B, len(part)) for name, part in weights.items() if part is not None}
        if self.weight_hr is not None:
            found["dprojected"] = x.new_empty(T * B, len(self.weight_hr))
        if self.gain_hh is not None:
            found |= {"dsums": x.new_empty(T * B, len(self.gain_hh)), "dbias": self.gain_hh.new_empty(B, derivatives)}
        return found


PLAIN = Varied()


def _rows(share: Tensor | None) -> tuple[Tensor | None, int | None]:
    """One row that serves all steps and rows where it is expanded so, or all of them; how far they lie apart."""
    if share is None:
        return None, None
    if share.numel() and share.stride()[:2] == (0, 0):
        return share[0, 0].contiguous(), 0
    return share.contiguous(), share.shape[-1]


def _contiguous(part: Tensor | None) -> Tensor | None:
    return None if part is None else part.contiguous()

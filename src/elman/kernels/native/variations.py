"""What the core is given, and what it gives, where a cell differs from those of torch.nn.

Layer normalization of W_ih x_t is one call over all steps, out here; that of W_hh h_{t-1} and of c_t is the core's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from elman.kernels.native.matmul import matmul
from elman.kernels.seam import LAYER_NORM_EPSILON, QUIET, Noise


class Varied(NamedTuple):
    """The noise, and the weights that torch.nn does not have, in the seam's order."""

    noise: Noise = QUIET
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
            "recurrent": _contiguous(recurrent),
            "zoneout": zoneout,
            "zoneout_stride": stride,
            "zoneout_cell": zoneout_cell,
            "zoneout_cell_stride": stride_cell,
            "peephole": _contiguous(self.weight_peephole),
            "gain": _contiguous(self.gain_hh),
            "gain_cell": _contiguous(self.gain_cell),
            "bias_cell": _contiguous(self.bias_cell),
        }
        return {name: value for name, value in given.items() if value is not None}

    def room_for_sums(self, B: int) -> dict[str, Tensor]:
        """Where the core shall add up, for each row of the batch, the derivatives by these weights."""
        weights = {
            "dpeephole": self.weight_peephole,
            "dgain": self.gain_hh,
            "dgain_cell": self.gain_cell,
            "dbias_cell": self.bias_cell,
        }
        return {name: part.new_empty(B, len(part)) for name, part in weights.items() if part is not None}


PLAIN = Varied()


def project(x: Tensor, w_ih: Tensor, bias: Tensor | None, gain: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """W_ih x + b for x (N, D), normalized if there is a gain; and what backward then needs."""
    if gain is None:
        return matmul(x, w_ih.t(), None if bias is None else bias.to(x.dtype)), ()
    sums = matmul(x, w_ih.t())  # (N, G * H)
    normal, mean, scale = torch.native_layer_norm(sums, gain.shape, gain, bias, LAYER_NORM_EPSILON)
    return normal, (sums, mean, scale)


def unproject(
    dgates: Tensor, kept: Sequence[Tensor], gain: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The derivatives by W_ih x, by its gain and by the bias."""
    function = torch.ops.aten.native_layer_norm_backward
    return function(dgates, kept[0], gain.shape, *kept[1:], gain, bias, [True, True, bias is not None])


def _rows(share: Tensor | None) -> tuple[Tensor | None, int | None]:
    """One row that serves all steps and rows where it is expanded so, or all of them; how far they lie apart."""
    if share is None:
        return None, None
    if share.numel() and share.stride()[:2] == (0, 0):
        return share[0, 0].contiguous(), 0
    return share.contiguous(), share.shape[-1]


def _contiguous(part: Tensor | None) -> Tensor | None:
    return None if part is None else part.contiguous()

"""The backend "scan": all steps of a linear recurrence at once, where a cell's coefficients know the input alone.

    h_t = a_t h_{t-1} + b_t

Two steps in a row are one step of the same form, so half as many steps are read the same way, and the others follow
from them: T steps take 2 log2(T) operations on many steps each (Blelloch 1990, "Prefix sums and their applications";
Martin and Cundy 2018, "Parallelizing linear recurrent neural nets over sequence length", arXiv:1709.04057).
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import Cell, CellState, Weights, cell_named
from elman.kernels.masks import blank_padding, clears, real_steps
from elman.kernels.reference import project, unroll
from elman.kernels.seam import QUIET, Call, Kernel, Noise, Trajectory
from elman.state import reset_rows

WIDE = 4096  # numbers of a step from which a CPU is busy with one step: then it takes them in a row, in one pass


def read(
    cell: Cell,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
) -> Trajectory:
    """Read a window; with `cell` bound, this is a `Kernel` (see there)."""
    assert cell.coefficients is not None, "the choice of the backend comes first"
    (first,), T = state, len(x)
    real = None if lengths is None else real_steps(lengths, T)  # (T, B)
    if real is not None:
        x = blank_padding(x, real)
    a, b = (part.to(first.dtype) for part in cell.coefficients(project(x, weights)))  # (T, B, H)
    if noise.zoneout is not None:
        share = noise.zoneout if real is None else blank_padding(noise.zoneout, real)
        a, b = share + (1 - share) * a, (1 - share) * b
    if resets is not None:
        cleared = clears(resets, real, reverse)  # (T, B)
        a = a.masked_fill(cleared[..., None], 0)
        first = cast(Tensor, reset_rows(first, cleared[-1 if reverse else 0])) if T else first
        if not (a.isfinite() & b.isfinite()).all():
            # What is not finite would pass a border, for 0 times it is not 0.
            options: dict[str, Any] = {"reverse": reverse, "lengths": lengths, "resets": resets, "noise": noise}
            return unroll(cell.step, x, state, weights, **options)
    if real is not None:  # the padding leaves the state as it was
        a, b = torch.where(real[..., None], a, 1), torch.where(real[..., None], b, 0)
    if T == 0:
        return Trajectory(b, (), (first.clone(),))
    h = cast(Tensor, Scan.apply(a, b, first, reverse))
    final = h[0 if reverse else -1].clone()
    return Trajectory(h if real is None else blank_padding(h, real), (), (final,))


class Scan(torch.autograd.Function):
    """h from a and b (T, ...) and the state before; its derivative is a scan in the other direction."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, first: Tensor, reverse: bool) -> Tensor:  # noqa: D102
        if reverse:
            h = scan(a.flip(0), _begun(a, b, first, -1).flip(0)).flip(0)
        else:
            h = scan(a, _begun(a, b, first, 0))
        ctx.reverse = reverse
        ctx.save_for_backward(a, first, h)
        return h

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        a, first, h = ctx.saved_tensors
        # What h_t does to the loss, it does itself and through the step that reads it: a scan from the last to the
        # first, by the coefficients of the step after each.
        if ctx.reverse:
            after, before = torch.cat((torch.zeros_like(a[:1]), a[:-1])), torch.cat((h[1:], first[None]))
        else:
            after, before = torch.cat((a[1:], torch.zeros_like(a[:1]))), torch.cat((first[None], h[:-1]))
        db = cast(Tensor, Scan.apply(after, dh, torch.zeros_like(first), not ctx.reverse))
        edge = -1 if ctx.reverse else 0
        return db * before, db, a[edge] * db[edge], None


def _begun(a: Tensor, b: Tensor, first: Tensor, edge: int) -> Tensor:
    b = b.clone()
    b[edge] += a[edge] * first
    return b


def scan(a: Tensor, b: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from h = 0, with all T > 0 steps at once.

    >>> scan(torch.tensor([9.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 1.0]))
    tensor([ 1.,  3., 10.])
    """
    T = len(a)
    if T == 1:
        return b
    if a.device.type == "cpu" and a[0].numel() >= WIDE:
        h = b.clone()
        for t in range(1, T):
            h[t].addcmul_(a[t], h[t - 1])
        return h
    odd = a[1::2]  # steps 1, 3, ..., each joined with the one before
    h = torch.empty_like(b)
    h[1::2] = found = scan(odd * a[: T - 1 : 2], torch.addcmul(b[1::2], odd, b[: T - 1 : 2]))
    h[0] = b[0]
    torch.addcmul(b[2::2], a[2::2], found[: (T - 1) // 2], out=h[2::2])
    return h


def why_not(call: Call) -> str | None:
    """The reason why it cannot do it, or None."""
    cell = cell_named(call.cell)
    if cell.coefficients is None:
        return f"{cell.layer} is no linear recurrence"
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return "it has derivatives in reverse mode alone"
    if torch.compiler.is_compiling():
        return "torch cannot compile its derivative"
    return None


def kernel_of(cell: str) -> Kernel:
    """The kernel of a cell that is a linear recurrence."""
    return partial(read, cell_named(cell))

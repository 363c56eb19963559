"""The backend "scan": all steps of a linear recurrence at once, where the coefficients depend on the input alone.

    h_t = a_t h_{t-1} + b_t

Two steps in a row are one step of the same form, so half as many steps are read the same way, and the others follow
from them: T steps take 2 log2(T) operations on many steps each (Blelloch 1990, "Prefix sums and their applications";
Martin and Cundy 2018, "Parallelizing linear recurrent neural nets over sequence length", arXiv:1709.04057).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from elman.cells import CellState, Weights, cell_named
from elman.kernels.reference import project, unroll
from elman.kernels.seam import QUIET, Call, Noise, Trajectory, blank_padding, masks, why_not_transformed
from elman.state import reset_rows

WIDE = 4096  # numbers B * H that keep a CPU busy with one step: then the scan takes one step after the other
SHORT = 8  # steps


def read(
    cell: str,
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
    coefficients, step = cell_named(cell).coefficients, cell_named(cell).step
    assert coefficients is not None, "the choice of the backend comes first"
    (first,), T = state, len(x)
    real, cleared = masks(lengths, resets, T, reverse)
    if real is not None:
        x = blank_padding(x, real)
    a, b = (part.to(first.dtype) for part in coefficients(project(x, weights)))  # (T, B, H)
    if noise.zoneout is not None:
        share = noise.zoneout if real is None else blank_padding(noise.zoneout, real)
        a, b = share + (1 - share) * a, (1 - share) * b
    if cleared is not None:
        a = a.masked_fill(cleared[..., None], 0)
        first = cast(Tensor, reset_rows(first, cleared[-1 if reverse else 0])) if T else first
        if not (a.isfinite() & b.isfinite()).all():
            # A number that is not finite would pass a border, for 0 times such a number is not 0.
            options: dict[str, Any] = {"reverse": reverse, "lengths": lengths, "resets": resets, "noise": noise}
            return unroll(step, x, state, weights, **options)
    if real is not None:  # the padding leaves the state as it was
        a, b = torch.where(real[..., None], a, 1), torch.where(real[..., None], b, 0)
    if T == 0:
        return Trajectory(b, (), (first.clone(),))
    h = cast(Tensor, Scan.apply(a, b, first, reverse, cleared is not None))
    final = h[0 if reverse else -1].clone()
    return Trajectory(h if real is None else blank_padding(h, real), (), (final,))


class Scan(torch.autograd.Function):
    """h from a and b (T, ...) and the state before; its derivative is a scan in the other direction.

    With `borders`, no derivative passes a step whose a is 0, not even one that is not finite.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, first: Tensor, reverse: bool, borders: bool = False) -> Tensor:  # noqa: D102
        h = b.clone()
        edge = -1 if reverse else 0
        h[edge].addcmul_(a[edge], first)
        if h.device.type == "cpu" and h[0].numel() >= WIDE:
            for t in reversed(range(len(h) - 1)) if reverse else range(1, len(h)):
                h[t].addcmul_(a[t], h[t + 1 if reverse else t - 1])
        else:
            h = scan(a.flip(0), h.flip(0)).flip(0) if reverse else scan(a, h)
        ctx.reverse, ctx.borders = reverse, borders
        ctx.save_for_backward(a, first, h)
        return h

    @staticmethod
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        a, first, h = ctx.saved_tensors
        # h_t acts on the loss by itself and through the step that reads h_t: the derivatives by all steps are a scan
        # from the last step to the first, with the coefficients a of the step after each.
        if ctx.reverse:
            after, before = torch.cat((torch.zeros_like(a[:1]), a[:-1])), torch.cat((h[1:], first[None]))
        else:
            after, before = torch.cat((a[1:], torch.zeros_like(a[:1]))), torch.cat((first[None], h[:-1]))
        db = cast(Tensor, Scan.apply(after, dh, torch.zeros_like(first), not ctx.reverse, ctx.borders))
        if ctx.borders and not db.isfinite().all():
            db = between_borders(after, dh, not ctx.reverse)
        edge = -1 if ctx.reverse else 0
        return db * before, db, a[edge] * db[edge], None, None


def between_borders(a: Tensor, b: Tensor, reverse: bool) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from h = 0, one step after the other; where a_t is 0, h_t = b_t whatever h_{t-1} is."""
    found: list[Tensor] = []
    for now, new in zip(*(part.flip(0) if reverse else part for part in (a, b)), strict=True):
        found.append(torch.where(now == 0, new, now * found[-1] + new) if found else new)
    return torch.stack(found[::-1] if reverse else found)


def scan(a: Tensor, b: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from h = 0, with all T > 0 steps at once; h takes the place of b.

    >>> scan(torch.tensor([9.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 1.0]))
    tensor([ 1.,  3., 10.])
    """
    T = len(a)
    if T > 1:
        odd = a[1::2]  # of the steps 1, 3, ..., each of which is joined with the step before
        b[1::2] = scan(odd * a[: T - 1 : 2], torch.addcmul(b[1::2], odd, b[: T - 1 : 2]))
        b[2::2].addcmul_(a[2::2], b[1 : T - 1 : 2])
    return b


def why_not(call: Call) -> str | None:
    """The reason why the scan cannot serve a call, or None."""
    cell = cell_named(call.cell)
    if cell.coefficients is None:
        return f"{cell.layer} is no linear recurrence"
    if torch.compiler.is_compiling():
        return "torch cannot compile its derivative"
    return why_not_transformed()


def is_beaten(call: Call) -> bool:
    """Whether the readable loop was measured to be faster.

    With one thread of a CPU, forward and backward, the scan was 0.7 times as fast as the loop for T = 1 and 2, 1.2
    times for T = 8 and 2.7 times for T, B, H = 64, 8, 64; where B * H numbers leave the caches, 1.1 times for 8,192 and
    0.8 times for 16,384.
    """
    if call.size is None or call.device.type != "cpu":
        return False
    T, B, H = call.size
    return T < SHORT or B * H > 2 * WIDE

"""Backpropagation through time in bounded RAM: the steps between two stored states are computed anew.

A kernel keeps the gates, projections and states of T steps for backward. Here a window of T steps is read in chunks of
k steps, and only the state before each chunk is kept; backward takes the chunks from the last to the first, reads each
again from its stored state, and goes back through the chunk:

    RAM  T/k states + k steps, least near k = sqrt(T);         time  2 forward + 1 backward, about 4/3 of without.

By default k is 2 sqrt(T): about twice the least RAM, for fewer and larger chunks, which took 1.35 times the time of
a plain backward instead of 1.5 (LSTM, T, B, H = 1000, 32, 256). The method is that of Chen et al. 2016 ("Training deep
nets with sublinear memory cost", arXiv:1604.06174), and serves every backend of every cell, for reading in pieces
equals reading whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from elman.cells import CellState, Weights
from elman.kernels.seam import QUIET, Kernel, Noise, Trajectory, why_not_transformed
from elman.state import reset_rows

Tensors: TypeAlias = Sequence[Tensor | None]
"""The inputs of a kernel in a row: x, the state, and the weights, some of which may be None."""
Found: TypeAlias = list[Tensor | None]
WEIGHTS = len(Weights._fields)


def recompute(kernel: Kernel, every: int | None = None) -> Kernel:
    """A kernel of the same results and derivatives that keeps one state in `every` steps (None: 2 * ceil(sqrt(T))).

    First derivatives in reverse mode alone save RAM. Under `torch.func`, in forward mode, in a backward that is
    itself differentiated (`create_graph=True`), and while torch compiles or traces, the kernel reads the window whole.

    >>> from elman.cells import Weights
    >>> from elman.kernels import BACKENDS
    >>> kernel = BACKENDS["reference"].kernel("gru")
    >>> x, h = torch.randn(100, 2, 3), torch.zeros(2, 4)
    >>> weights = Weights(torch.randn(12, 3), torch.randn(12, 4))
    >>> torch.equal(recompute(kernel)(x, (h,), weights).h, kernel(x, (h,), weights).h)
    True
    """
    assert every is None or every > 0
    return partial(read, kernel, every)


def read(
    kernel: Kernel,
    every: int | None,
    x: Tensor,
    state: CellState,
    weights: Weights,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    noise: Noise = QUIET,
) -> Trajectory:
    """Read a window; with `kernel` and `every` bound, this is a `Kernel` (see there)."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or why_not_transformed():
        return kernel(x, state, weights, reverse=reverse, lengths=lengths, resets=resets, noise=noise)
    plan = ChunkPlan(kernel, chunks(len(x), every, reverse), reverse, lengths, resets, noise, _autocast(x.device.type))
    inputs = (x, *state, *weights)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs):
        found, n = _Recomputed.apply(plan, *inputs), len(state)
        visited, final = found[:-n], found[-n:]
        return Trajectory(visited[0], visited[1:] if len(visited) == n else None, final)
    return _forward(plan, inputs)[0]


def chunks(T: int, every: int | None, reverse: bool) -> list[tuple[int, int]]:
    """The steps [start, stop) of each chunk, in the order of reading; where there are no steps, an empty one.

    >>> chunks(7, None, reverse=False), chunks(7, 5, reverse=True), chunks(0, None, reverse=False)
    ([(0, 6), (6, 7)], [(5, 7), (0, 5)], [(0, 0)])
    """
    every = every or 2 * (math.isqrt(max(T, 1) - 1) + 1)
    found = [(start, min(start + every, T)) for start in range(0, max(T, 1), every)]
    return found[::-1] if reverse else found


class ChunkPlan(NamedTuple):
    """The arguments of a window's kernel that are not differentiated, and the chunks of the window."""

    kernel: Kernel
    chunks: list[tuple[int, int]]  # in the order of reading
    reverse: bool
    lengths: Tensor | None  # (B,)
    resets: Tensor | None  # (T, B)
    noise: Noise
    autocast: Callable[[], AbstractContextManager[Any]]  # the autocast in force when the window was first read

    def chunk(self, start: int, stop: int, inputs: Tensors) -> Trajectory:
        """Read the steps [start, stop) of the window; `inputs` hold x for these steps, and the state before them."""
        x, state, weights = _kinds(inputs)
        lengths, resets = self.lengths, self.resets
        if resets is not None and self.reverse and stop < len(resets):
            # In reverse, the border at a chunk's left edge is met between the two chunks (see `seam.clears`).
            cleared = resets[stop] if lengths is None else resets[stop] & (lengths > stop)
            state = cast(CellState, reset_rows(state, cleared))
        with self.autocast():
            return self.kernel(
                x,
                state,
                weights,
                reverse=self.reverse,
                lengths=None if lengths is None else (lengths - start).clamp(0, stop - start),
                resets=None if resets is None else resets[start:stop],
                noise=self.noise.of_steps(start, stop),
            )


def _kinds(inputs: Tensors) -> tuple[Tensor, CellState, Weights]:
    x, *state = inputs[:-WEIGHTS]
    return cast(Tensor, x), cast(CellState, tuple(state)), Weights(*cast(Any, inputs[-WEIGHTS:]))


def _forward(plan: ChunkPlan, inputs: Tensors) -> tuple[Trajectory, CellState]:
    """Every state and the final state; and the states before each chunk but the first, in the order of reading."""
    x, state, weights = _kinds(inputs)
    visited: list[Tensor] = []
    stored: CellState = ()
    for at, (start, stop) in enumerate(plan.chunks):
        read = plan.chunk(start, stop, (x[start:stop], *state, *weights))
        parts, state = (read.h, *(read.others or ())), read.final
        if at == 0:
            # All tensors that stay are allocated here, once: small pieces among the chunks' freed RAM would keep
            # the allocator from using that RAM again.
            visited = [part.new_empty((len(x), *part.shape[1:])) for part in parts]
            stored = tuple(part.new_empty((len(plan.chunks) - 1, *part.shape)) for part in state)
        for whole, part in zip(visited, parts, strict=True):
            whole[start:stop] = part
        if at < len(plan.chunks) - 1:
            state = tuple(places[at].copy_(part) for places, part in zip(stored, state, strict=True))
    others = tuple(visited[1:]) if len(visited) == len(state) else None
    return Trajectory(visited[0], others, state), stored


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: ChunkPlan, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
        (h, others, final), stored = _forward(plan, inputs)
        ctx.plan = plan
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *stored)
        return h, *(others or ()), *final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        inputs, stored = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        if torch.is_grad_enabled():
            return None, *_differentiable_backward(ctx.plan, wanted, inputs, gradients)
        return None, *_backward(ctx.plan, wanted, inputs, stored, gradients)


def _backward(
    plan: ChunkPlan, wanted: Sequence[bool], inputs: Tensors, stored: Sequence[Tensor], gradients: Tensors
) -> Found:
    x, state, _ = _kinds(inputs)
    n = len(state)
    weights = [_leaf(part, needed) for part, needed in zip(inputs[1 + n :], wanted[1 + n :], strict=True)]
    of_visited, carried = gradients[:-n], list(gradients[-n:])
    dx = torch.empty_like(x) if wanted[0] else None
    # The kernel's one sum over all steps is here a sum of chunks, which needs float32 at least.
    sums = [
        torch.zeros_like(part, dtype=torch.promote_types(part.dtype, torch.float32))
        if part is not None and part.requires_grad
        else None
        for part in weights
    ]

    for at in reversed(range(len(plan.chunks))):
        start, stop = plan.chunks[at]
        before = [places[at - 1] for places in stored] if at > 0 else state
        leaves = [
            _leaf(x[start:stop], wanted[0]),
            *(_leaf(part, at > 0 or needed) for part, needed in zip(before, wanted[1:], strict=False)),
            *weights,
        ]
        with torch.enable_grad():
            part = plan.chunk(start, stop, leaves)
        found = derivatives(
            (part.h, *(part.others or ()), *part.final),
            (*(None if whole is None else whole[start:stop] for whole in of_visited), *carried),
            leaves,
        )
        if dx is not None:
            dx[start:stop] = cast(Tensor, found[0])
        carried = found[1 : 1 + n]
        for total, more in zip(sums, found[1 + n :], strict=True):
            if total is not None and more is not None:
                total += more
    return [dx, *carried, *sums]  # autograd rounds each to the dtype of its weight


def _differentiable_backward(plan: ChunkPlan, wanted: Sequence[bool], inputs: Tensors, gradients: Tensors) -> Found:
    """The same derivatives as a graph that can itself be differentiated: the kernel's own, over all steps."""
    # Aliases, for the state may depend on these very weights, and the outer graph has those derivatives.
    aliases = [None if part is None else part.view_as(part) for part in inputs]
    result = plan.chunk(0, len(cast(Tensor, inputs[0])), aliases)
    found = derivatives((result.h, *(result.others or ()), *result.final), gradients, aliases, create_graph=True)
    return [part if needed else None for part, needed in zip(found, wanted, strict=True)]


def derivatives(outputs: Tensors, gradients: Tensors, inputs: Tensors, create_graph: bool = False) -> Found:
    """The derivatives by each input that requires one, and None for the others."""
    given = [
        (out, gradient)
        for out, gradient in zip(outputs, gradients, strict=True)
        if out is not None and out.requires_grad and gradient is not None
    ]
    sought = [part for part in inputs if part is not None and part.requires_grad]
    if given and sought:
        ends, starts = zip(*given, strict=True)
        some = torch.autograd.grad(ends, sought, starts, create_graph=create_graph, materialize_grads=True)
    else:
        some = tuple(torch.zeros_like(part) for part in sought)
    found = iter(some)
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]


def _leaf(part: Tensor | None, needed: bool) -> Tensor | None:
    return None if part is None else part.detach().requires_grad_(needed)


def _autocast(device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The autocast now in force, for a backward that runs outside of autocast or under another one."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext
    # Without the cache, which would hold every chunk's casts until the outermost region ends, and would offer casts
    # without gradients to code that needs gradients.
    return partial(
        torch.autocast,
        device,
        dtype=torch.get_autocast_dtype(device),
        enabled=torch.is_autocast_enabled(device),
        cache_enabled=False,
    )

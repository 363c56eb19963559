"""The choice of the backend: the first that can serve a call, or a named one and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from elman.cells import CELLS
from elman.errors import UserError, nearest
from elman.kernels import aten, native, reference, scan
from elman.kernels.seam import Call, Kernel


class Backend(NamedTuple):
    """The kernel of a cell, and rules about calls."""

    kernel: Callable[[str], Kernel]
    why_not: Callable[[Call], str | None]  # the reason why the backend cannot serve a call; None: the backend can
    is_beaten: Callable[[Call], bool] = lambda call: False  # whether the next backend was measured to be faster
    # Whether the backend keeps inputs and outputs alone for backward, for a cell with such variations.
    is_lean: Callable[[str, tuple[str, ...]], bool] = lambda cell, variations: False
    # The kernel that may keep `Trajectory.others` to itself, where that saves something.
    kernel_of_outputs: Callable[[str], Kernel] | None = None

    def kernel_for(self, cell: str, every_state: bool) -> Kernel:
        """The kernel for a caller that wants every state, or every h alone."""
        return self.kernel(cell) if every_state or self.kernel_of_outputs is None else self.kernel_of_outputs(cell)


# The order of preference.
BACKENDS: dict[str, Backend] = {
    "native": Backend(native.kernel_of, native.why_not, native.is_beaten, native.is_lean, native.kernel_of_outputs),
    "torch": Backend(lambda cell: partial(aten.read, cell), aten.why_not),
    "scan": Backend(lambda cell: partial(scan.read, cell), scan.why_not, scan.is_beaten),
    "reference": Backend(reference.kernel_of, reference.why_not),
}
"""Every backend by its name, in the order of preference; `choose` says which of them serves a call.

>>> import torch
>>> from elman.kernels import BACKENDS, Call
>>> list(BACKENDS), BACKENDS["scan"].why_not(Call("lstm", torch.device("cpu")))
(['native', 'torch', 'scan', 'reference'], 'LSTM is no linear recurrence')
"""


def check_backend(backend: str | None) -> None:
    """Raise `UserError` unless there is a backend of that name (None: automatic).

    >>> check_backend("refrence")
    Traceback (most recent call last):
    elman.errors.UserError: backend: expected one of native, ..., got 'refrence'; did you mean 'reference'?
    """
    if backend is not None and backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise UserError("backend", expected=f"one of {known}", got=repr(backend), remedy=nearest(backend, BACKENDS))


def choose(
    cell: str,
    device: torch.device | str,
    backend: str | None = None,
    dtype: torch.dtype = torch.float32,
    every_state: bool = False,
    variations: tuple[str, ...] = (),
    size: tuple[int, int, int] | None = None,
    whole: bool = False,
) -> str:
    """The name of the backend for a call: the first that can, or the given `backend` and no other. See `Call`.

    Raises:
        UserError: the given backend is unknown or cannot serve the call. There is no silent fallback.

    >>> choose("lstm", "meta"), choose("lstm", "meta", every_state=True)
    ('torch', 'reference')
    """
    check_backend(backend)
    call = Call(cell, torch.device(device), dtype, every_state, variations, size, whole)
    if backend is None:
        return next(name for name, it in BACKENDS.items() if it.why_not(call) is None and not it.is_beaten(call))
    refusal = BACKENDS[backend].why_not(call)
    if refusal is not None:
        raise UserError(
            f"backend '{backend}' cannot serve this {cell} call on {call.device.type}: {refusal}",
            remedy="leave backend=None, or choose backend='reference', which can do everything",
        )
    return backend


class Row(NamedTuple):
    """One line of `report()`."""

    cell: str
    device: str
    backend: str
    why: str


def report(devices: Sequence[str] | None = None) -> list[Row]:
    """The backend that serves each cell on each device (None: the devices at hand), and why no other does.

    >>> for row in report(["meta"])[2:5:2]:
    ...     print(row.cell, row.backend, row.why, sep=" | ")
    gru | torch | native: it runs on a CPU alone
    lstm | torch | native: it runs on a CPU alone; reference for every state: ATen's LSTM does not return every c_t
    """
    if devices is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    names = [each.name for cell in CELLS.values() for each in (cell, *cell.variants.values())]
    return [_row(name, device) for device in devices for name in names]


def _row(cell: str, device: str) -> Row:
    backend, for_every_state = choose(cell, device), choose(cell, device, every_state=True)
    call = Call(cell, torch.device(device))
    preferred = list(BACKENDS)[: list(BACKENDS).index(backend)]
    notes = [f"{name}: {BACKENDS[name].why_not(call)}" for name in preferred] or ["first choice"]
    if for_every_state != backend:
        notes.append(f"{for_every_state} for every state: {BACKENDS[backend].why_not(call._replace(every_state=True))}")
    return Row(cell, device, backend, "; ".join(notes))

"""Truncated backpropagation through time within a sequence, and the refusals of models that need a whole one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from torch import Tensor

from elman.errors import UserError
from elman.nn.sequences import Lengths, as_lengths
from elman.state import State, detach

Read = Callable[..., tuple[Tensor, State]]


def read_in_stretches(
    read: Read, inputs: Tensor, state: State, k2: int, lengths: Lengths
) -> tuple[list[Tensor], State]:
    """What `read(piece, state, lengths=lengths)` gives of each stretch of k2 steps, and the state after the last.

    inputs (B, T, ...). The state is detached between stretches, so that no gradient flows back over more than k2 steps.
    """
    B, T = inputs.shape[:2]
    whole, outputs = None if lengths is None else as_lengths(lengths, B, T, inputs.device), []
    for begin in range(0, T, k2):
        piece = inputs[:, begin : begin + k2]
        left = None if whole is None else (whole - begin).clamp(0, piece.shape[1])
        output, state = read(piece, detach(state), lengths=left)
        outputs.append(output)
    return outputs, state


def refuse_truncation(remedy: str) -> NoReturn:
    """Raise the `UserError` of a model that needs the whole sequence and is asked to truncate."""
    raise UserError("k2: truncation cuts between a state and the next", expected="a causal model", remedy=remedy)


def refuse_steps(remedy: str) -> NoReturn:
    """Raise the `UserError` of a model that needs the whole sequence and is asked for a step."""
    what = "this model reads in both directions: it needs the whole sequence, and cannot go on from a state"
    raise UserError(what, remedy=remedy)

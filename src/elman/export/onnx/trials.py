"""What a trial of graphs has in common for all tasks: which rows are read, and reading in pieces with the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.export.onnx.drawing import Call, Compared
from elman.state import State, leaves, map_state

ROWS = (1, 3, 8)  # of a batch
WHOLE = 32  # examples that are read whole, each by itself, for the loss
PIECES = 4  # the first is read by the run's model alone, so that the graph begins with a state that is not fresh
TOGETHER = 8  # target tokens of a call of a decoder
STEPS = 29  # of random inputs


def groups(examples: int) -> Iterator[list[int]]:
    """Which of so many examples are read together."""
    begin = 0
    for rows in ROWS:
        yield [at % examples for at in range(begin, begin + rows)]
        begin += rows


def generator() -> torch.Generator:
    """The source of random inputs: the same ones every time."""
    return torch.Generator().manual_seed(0)


def shortest(lengths: Tensor, *, ragged: bool) -> tuple[Tensor | None, int]:
    """The lengths for a graph that takes them, and the steps of the longest row; else those that all rows have."""
    return (lengths, int(lengths.max())) if ragged else (None, int(lengths.min()))


def lengths_of(lengths: Tensor | None) -> dict[str, Numbers]:
    """The input of that name, where there is one."""
    return {} if lengths is None else {"lengths": lengths.numpy()}


@torch.no_grad()
def in_pieces(
    call: Call,
    output: str,
    read: Callable[[slice, Any], tuple[Tensor, State]],
    feed: Callable[[slice], Mapping[str, Numbers]],
    steps: int,
    fresh: State,
) -> Iterator[Compared]:
    """The model's `read` of some steps, and the graph's of the same inputs, from piece to piece.

    Both go on from the state that the graph gave, so that what is rounded in one piece is not amplified in the next.
    """
    bounds = np.unique(np.linspace(0, steps, PIECES + 1).astype(int)).tolist()
    state = fresh
    if len(bounds) > 2:
        state = read(slice(*bounds[:2]), state)[1]
        bounds = bounds[1:]
    before = [leaf.numpy() for leaf in leaves(state)]
    for begin, end in pairwise(bounds):
        arrays = iter(before)
        given = map_state(lambda _, rest=arrays: torch.from_numpy(next(rest)), state)
        ours, state = read(slice(begin, end), given)
        found = call("model", {**feed(slice(begin, end)), **named(before)})
        before = [found[f"next_state_{n}"] for n in range(len(before))]
        yield Compared([ours.numpy(), *(leaf.numpy() for leaf in leaves(state))], [found[output], *before])


def named(state: Sequence[Numbers]) -> dict[str, Numbers]:
    """Arrays as the inputs of a state."""
    return {f"state_{n}": array for n, array in enumerate(state)}

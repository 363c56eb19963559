"""The rows of a state, each the memory of one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.state.tree import State, kinds_of, leaves, map_state


def select_rows(state: State, rows: Tensor) -> State:
    """The rows of the batch at `rows` (integer (K,) or boolean (B,)), in that order; rows may repeat.

    >>> select_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0])).tolist()
    [[3.0], [1.0]]
    """
    return map_state(lambda x: x[rows], state)


def move_rows(state: State, rows: Tensor, sources: Tensor, *, steps: int) -> State:
    """`select_rows` for a holder who gives `state` away: what stays at its place is not copied.

    `rows` (R,) are integers, and `sources` those of the shared tensors. Tensors with an entry for each step are changed
    in place: shared ones in whole, others in the first `steps` entries, which are in use. No two of these may be one.

    >>> move_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 1]), torch.tensor([0]), steps=0).tolist()
    [[3.0], [2.0]]
    """
    new, kinds = (_movement(rows), _movement(sources)), kinds_of(state)

    def move(x: Tensor) -> Tensor:
        stepwise, shared = next(kinds)
        count, index, places, origins = new[shared]
        if not stepwise or count > x.shape[0]:
            return x[index]
        if places.numel():
            used = x if shared else x[..., :steps, :]
            used.index_copy_(0, places, used.index_select(0, origins))
        return x[:count]

    return map_state(move, state)


def _movement(index: Tensor) -> tuple[int, Tensor, Tensor, Tensor]:
    """K and index (K,), the places i at which index is not i, and the index there."""
    places = (index != torch.arange(len(index), device=index.device)).nonzero().flatten()
    return len(index), index, places, index[places]


def close_gaps(stay: Tensor) -> Tensor:
    """The rows where stay (B,) is true, the last ones in the gaps between the others, so that few rows move.

    >>> close_gaps(torch.tensor([True, False, True, True, False]))
    tensor([0, 3, 2])
    """
    left = int(stay.sum())
    rows = torch.arange(left, device=stay.device)
    rows[~stay[:left]] = stay[left:].nonzero().flatten() + left
    return rows


def row_of(state: State, row: int, steps: int, before: State | None = None) -> State:
    """A copy of one row, with at most the first `steps` entries of tensors that hold one for each step.

    With `before`, a state of this row, the shared tensors are those of `before` themselves.

    >>> row_of((torch.tensor([[1.0], [2.0]]),), 1, 0)
    (tensor([[2.]]),)
    """
    kinds, others = kinds_of(state), None if before is None else leaves(before)

    def take(x: Tensor) -> Tensor:
        stepwise, shared = next(kinds)
        other = None if others is None else next(others)
        if other is not None and shared:
            return other
        return (x[row : row + 1, ..., :steps, :] if stepwise else x[row : row + 1]).clone()

    return map_state(take, state)


def put_rows(state: State, rows: Tensor, others: State) -> State:
    """A copy whose rows at `rows` (integer (K,), each once; or boolean) are the K rows of others of the same tree.

    >>> put_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([1]), torch.tensor([[5.0]])).tolist()
    [[1.0], [5.0]]
    """
    places = rows.nonzero().flatten() if rows.dtype == torch.bool else rows
    return map_state(lambda x, new: x.index_copy(0, places, new), state, others)


def concatenate(states: Sequence[State]) -> State:
    """The rows of several states of the same tree, one state after the other.

    Raises:
        ValueError: there is no state.
        RuntimeError: sizes still differ after padding.

    >>> concatenate([torch.tensor([[1.0]]), torch.tensor([[2.0], [3.0]])]).tolist()
    [[1.0], [2.0], [3.0]]
    """
    if not states:
        raise ValueError("concatenate: expected at least one state, got none")
    return map_state(lambda *tensors: torch.cat(tensors), *states)


def reset_rows(state: State, rows: Tensor) -> State:
    """Give the rows where `rows` (boolean (B,)) is true a fresh memory, even if the old one holds NaN.

    >>> reset_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([True, False])).tolist()
    [[0.0], [2.0]]
    """

    def zero(x: Tensor) -> Tensor:
        mask = rows.view(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, torch.zeros((), dtype=x.dtype, device=x.device), x)

    return map_state(zero, state)

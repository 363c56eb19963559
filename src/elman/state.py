"""The state contract's tree: all that a model remembers between two calls.

Every model is a function `outputs, state = model(inputs, state)`, and `state=None` is a fresh memory. A state is a
tensor, or a (named) tuple of states. The batch comes first in every tensor, so a row of the batch is a row of every
leaf. A fresh memory is all zeros, so resetting a row is zeroing it.

Tensors that hold an entry for each step, (B, …, steps, size), may be longer in one state than in another. Where states
come together, zeros follow the entries of the shorter ones. A named tuple with such fields has a property `stepwise`
with their names. A model must ignore what follows a row's own entries.

Tensors that depend on a source alone are equal in all rows that write a target of it. A named tuple with such fields
has a property `shared` with their names. They may have B rows where the others have B·W: each serves W neighbours.

Truncated BPTT, checkpoints, beam search and servers treat a state through the functions below alone.

>>> state = torch.ones(2, 4), (torch.ones(2, 3), torch.ones(2, 3))  # of two rows
>>> [part.sum().item() for part in leaves(reset_rows(state, torch.tensor([True, False])))]
[4.0, 3.0, 3.0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "State", "batch_size", "close_gaps", "concatenate", "detach", "entries", "entry_counts", "fits", "flatten",
    "leaves", "map_state", "move_rows", "put_rows", "reset_rows", "row_of", "select_rows", "to", "unflatten",
]  # fmt: skip

State: TypeAlias = "Tensor | tuple[State, ...]"
"""What a model remembers: a tensor, or a (named) tuple of states, the batch first in every tensor.

>>> state = (torch.zeros(2, 4), (torch.zeros(2, 3), torch.zeros(2, 3)))
>>> [part.shape[0] for part in leaves(state)]
[2, 2, 2]
"""


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """Apply a function to every tensor, keeping the tree (and the named tuples in it).

    With `others`, states of the same tree, the function gets the tensors of all states in one place, the shorter ones
    padded in `stepwise` fields.

    >>> h, c = torch.ones(2, 3), torch.ones(2, 3)
    >>> map_state(lambda x: x + 1, (h, c))[1][0]
    tensor([2., 2., 2.])
    >>> map_state(torch.sub, (h, c), (c, h))[0][0]
    tensor([0., 0., 0.])
    """
    if others:
        return _map_together(function, (state, *others), stepwise=False)
    if isinstance(state, Tensor):
        return function(state)
    return _like(state, [map_state(function, child) for child in state])


def _map_together(function: Callable[..., Tensor], states: Sequence[State], stepwise: bool) -> State:
    first = states[0]
    if isinstance(first, Tensor):
        return function(*(_pad(cast(Sequence[Tensor], states)) if stepwise else states))
    padded = getattr(first, "stepwise", ())
    names = getattr(first, "_fields", (None,) * len(first))
    places = zip(names, *states, strict=True)
    return _like(first, [_map_together(function, parts, stepwise or name in padded) for name, *parts in places])


def _pad(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Make tensors (B, …, steps, size) as long as the longest of them."""
    longest = max(x.shape[-2] for x in tensors)
    return [x if x.shape[-2] == longest else F.pad(x, (0, 0, 0, longest - x.shape[-2])) for x in tensors]


def _like(state: State, children: Sequence[State]) -> State:
    return type(state)(*children) if hasattr(state, "_fields") else tuple(children)


def leaves(state: State) -> Iterator[Tensor]:
    """The tensors of a state, in order.

    >>> [part.shape[1] for part in leaves((torch.zeros(2, 4), (torch.zeros(2, 3), torch.zeros(2, 5))))]
    [4, 3, 5]
    """
    if isinstance(state, Tensor):
        yield state
    else:
        for child in state:
            yield from leaves(child)


def batch_size(state: State) -> int:
    """How many rows a state has.

    >>> batch_size((torch.zeros(2, 4), torch.zeros(2, 3)))
    2
    """
    return next(leaves(state)).shape[0]


def detach(state: State) -> State:
    """The same values without their graph, through which no gradient flows back (truncated BPTT).

    >>> h = torch.ones(1, requires_grad=True) * 2
    >>> h.requires_grad, detach((h,))[0].requires_grad
    (True, False)
    """
    return map_state(Tensor.detach, state)


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
    new, kinds = (_movement(rows), _movement(sources)), _kinds(state)

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


def _kinds(state: State, stepwise: bool = False, shared: bool = False) -> Iterator[tuple[bool, bool]]:
    """For each tensor in order: whether it has an entry for each step, and whether it is shared."""
    if isinstance(state, Tensor):
        yield stepwise, shared
        return
    padded, common = getattr(state, "stepwise", ()), getattr(state, "shared", ())
    for name, child in zip(getattr(state, "_fields", (None,) * len(state)), state, strict=True):
        yield from _kinds(child, stepwise or name in padded, shared or name in common)


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
    kinds, others = _kinds(state), None if before is None else leaves(before)

    def take(x: Tensor) -> Tensor:
        stepwise, shared = next(kinds)
        other = None if others is None else next(others)
        if other is not None and shared:
            return other
        return (x[row : row + 1, ..., :steps, :] if stepwise else x[row : row + 1]).clone()

    return map_state(take, state)


def entries(state: State) -> int:
    """How many entries the tensors have that hold one for each step; 0 where there are no such tensors.

    >>> from elman.models import build
    >>> model = build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2})
    >>> _, state = model([[1, 2, 3]])
    >>> entries(state), entries(torch.zeros(1, 4))
    (3, 0)
    """
    return max(entry_counts(state), default=0)


def entry_counts(state: State) -> list[int]:
    """How many entries each tensor has that holds one for each step, in order.

    >>> from elman.models import build
    >>> model = build({"model": "transformer", "vocab_size": 9, "hidden_size": 8, "num_heads": 2, "num_layers": 1})
    >>> entry_counts(model([[1, 2, 3]])[1])  # the keys, the values
    [3, 3]
    """
    return [x.shape[-2] for x, (stepwise, _) in zip(leaves(state), _kinds(state), strict=True) if stepwise]


def fits(state: State, like: State) -> bool:
    """Whether a state has the tree, types and sizes of another; entries for each step may be more or fewer.

    >>> fits((torch.zeros(1, 2),), (torch.ones(1, 2),)), fits((torch.zeros(1, 2),), (torch.ones(1, 3),))
    (True, False)
    """
    ours, theirs = flatten(state), flatten(like)
    if ours.keys() != theirs.keys():
        return False
    for x, other, (stepwise, _) in zip(ours.values(), theirs.values(), _kinds(like), strict=True):
        sizes, expected = list(x.shape), list(other.shape)
        if stepwise and len(sizes) == len(expected):
            sizes[-2] = expected[-2] = 0
        if sizes != expected or x.dtype != other.dtype:
            return False
    return True


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


def to(state: State, device: torch.device | str) -> State:
    """Move every tensor to a device.

    >>> to((torch.zeros(1, 2),), "meta")[0].device.type
    'meta'
    """
    return map_state(lambda x: x.to(device), state)


def flatten(state: State, prefix: str = "state") -> dict[str, Tensor]:
    """Every tensor by a name that says its place in the tree, for a checkpoint.

    >>> sorted(flatten((torch.zeros(1), (torch.zeros(1), torch.zeros(1)))))
    ['state.0', 'state.1.0', 'state.1.1']
    """
    if isinstance(state, Tensor):
        return {prefix: state}
    flat: dict[str, Tensor] = {}
    for index, child in enumerate(state):
        flat |= flatten(child, f"{prefix}.{index}")
    return flat


def unflatten(flat: dict[str, Tensor], like: State, prefix: str = "state") -> State:
    """The inverse of `flatten`: the tree of `like` with the tensors of `flat`.

    The shapes of `like` do not matter: a key/value cache may have grown. Raises `KeyError` where a tensor is missing.

    >>> state = (torch.zeros(1), (torch.ones(1), torch.ones(1)))
    >>> unflatten(flatten(state), like=state)
    (tensor([0.]), (tensor([1.]), tensor([1.])))
    """
    if isinstance(like, Tensor):
        return flat[prefix]
    return _like(like, [unflatten(flat, child, f"{prefix}.{index}") for index, child in enumerate(like)])

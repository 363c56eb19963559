"""The state contract's tree: what a model remembers between two calls.

Every model is a function `outputs, state = model(inputs, state)`, and `state=None` is a fresh memory.
A state is a tensor, or a (named) tuple of states. Two conventions make everything else short:

- **the batch comes first** in every tensor, so a row of the batch is a row of every leaf;
- **a fresh memory is all zeros**, so resetting a row is zeroing it.

Nothing else in elman takes a state apart: truncated BPTT detaches it, a checkpoint saves it, beam search
selects its rows, a server keeps one row per client, all through the functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

State: TypeAlias = "Tensor | tuple[State, ...]"


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply a function to every tensor, keeping the tree (and the named tuples in it).

    >>> h, c = torch.ones(2, 3), torch.ones(2, 3)
    >>> map_state(lambda x: x + 1, (h, c))[1][0]
    tensor([2., 2., 2.])
    """
    if isinstance(state, Tensor):
        return function(state)
    children = [map_state(function, child) for child in state]
    return type(state)(*children) if hasattr(state, "_fields") else tuple(children)


def leaves(state: State) -> Iterator[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    else:
        for child in state:
            yield from leaves(child)


def batch_size(state: State) -> int:
    """How many rows a state has."""
    return next(leaves(state)).shape[0]


def detach(state: State) -> State:
    """Cut the gradient: what was remembered stays, how it came about is forgotten (truncated BPTT)."""
    return map_state(Tensor.detach, state)


def select_rows(state: State, rows: Tensor) -> State:
    """The rows of the batch at `rows` (integer (K,) or boolean (B,)), in that order; rows may repeat.

    >>> select_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0]))
    tensor([[3.],
            [1.]])
    """
    return map_state(lambda x: x[rows], state)


def put_rows(state: State, rows: Tensor, others: State) -> State:
    """A copy whose rows at `rows` (integer (K,), each once) are the K rows of another state of the same tree.

    >>> put_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([1]), torch.tensor([[5.0]]))
    tensor([[1.],
            [5.]])
    """
    new = leaves(others)
    return map_state(lambda x: x.index_copy(0, rows, next(new)), state)


def reset_rows(state: State, rows: Tensor) -> State:
    """Give the rows where `rows` (boolean (B,)) is true a fresh memory.

    The other rows keep their values and gradients; NaN in a row that is reset is gone.

    >>> reset_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([True, False]))
    tensor([[0.],
            [2.]])
    """

    def zero(x: Tensor) -> Tensor:
        mask = rows.view(-1, *[1] * (x.dim() - 1))
        return torch.where(mask, torch.zeros((), dtype=x.dtype, device=x.device), x)

    return map_state(zero, state)


def to(state: State, device: torch.device | str) -> State:
    """Move every tensor to a device."""
    return map_state(lambda x: x.to(device), state)


def flatten(state: State, prefix: str = "state") -> dict[str, Tensor]:
    """Name every tensor by its place in the tree, as a checkpoint wants it.

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

    Only the tree of `like` counts, not its shapes: a key/value cache may have grown since.
    Raises `KeyError` where a tensor is missing.
    """
    if isinstance(like, Tensor):
        return flat[prefix]
    children = [unflatten(flat, child, f"{prefix}.{index}") for index, child in enumerate(like)]
    return type(like)(*children) if hasattr(like, "_fields") else tuple(children)

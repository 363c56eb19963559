"""The tree of a state: its tensors, their names, and which of them hold an entry for each step or are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional as F

State: TypeAlias = "Tensor | tuple[State, ...]"
"""What a model remembers: a tensor, or a (named) tuple of states, the batch first in every tensor.

>>> import torch
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


def to(state: State, device: torch.device | str) -> State:
    """Move every tensor to a device.

    >>> to((torch.zeros(1, 2),), "meta")[0].device.type
    'meta'
    """
    return map_state(lambda x: x.to(device), state)


def kinds_of(state: State, stepwise: bool = False, shared: bool = False) -> Iterator[tuple[bool, bool]]:
    """For each tensor in order: whether it has an entry for each step, and whether it is shared."""
    if isinstance(state, Tensor):
        yield stepwise, shared
        return
    padded, common = getattr(state, "stepwise", ()), getattr(state, "shared", ())
    for name, child in zip(getattr(state, "_fields", (None,) * len(state)), state, strict=True):
        yield from kinds_of(child, stepwise or name in padded, shared or name in common)


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
    return [x.shape[-2] for x, (stepwise, _) in zip(leaves(state), kinds_of(state), strict=True) if stepwise]


def fits(state: State, like: State) -> bool:
    """Whether a state has the tree, types and sizes of another; entries for each step may be more or fewer.

    >>> fits((torch.zeros(1, 2),), (torch.ones(1, 2),)), fits((torch.zeros(1, 2),), (torch.ones(1, 3),))
    (True, False)
    """
    ours, theirs = flatten(state), flatten(like)
    if ours.keys() != theirs.keys():
        return False
    for x, other, (stepwise, _) in zip(ours.values(), theirs.values(), kinds_of(like), strict=True):
        sizes, expected = list(x.shape), list(other.shape)
        if stepwise and len(sizes) == len(expected):
            sizes[-2] = expected[-2] = 0
        if sizes != expected or x.dtype != other.dtype:
            return False
    return True


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

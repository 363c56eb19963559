"""The state contract's tree: all that a model remembers between two calls.

Every model is a function `outputs, state = model(inputs, state)`, and `state=None` is a fresh memory. A state is a
tensor, or a (named) tuple of states. The batch comes first in every tensor, so a row of the batch is a row of every
leaf. A fresh memory is all zeros, so resetting a row is zeroing it.

Tensors that hold an entry for each step, (B, …, steps, size), may be longer in one state than in another. Where states
come together, zeros follow the entries of the shorter ones. A named tuple with such fields has a property `stepwise`
with their names. A model must ignore what follows a row's own entries.

Tensors that depend on a source alone are equal in all rows that write a target of it. A named tuple with such fields
has a property `shared` with their names. They may have B rows where the others have B·W: each serves W neighbours.

Truncated BPTT, checkpoints, beam search and servers treat a state through these functions alone.

>>> import torch
>>> state = torch.ones(2, 4), (torch.ones(2, 3), torch.ones(2, 3))  # of two rows
>>> [part.sum().item() for part in leaves(reset_rows(state, torch.tensor([True, False])))]
[4.0, 3.0, 3.0]
"""

from __future__ import annotations

from elman.state.rows import close_gaps, concatenate, move_rows, put_rows, reset_rows, row_of, select_rows
from elman.state.tree import (
    State,
    batch_size,
    detach,
    entries,
    entry_counts,
    fits,
    flatten,
    leaves,
    map_state,
    to,
    unflatten,
)

__all__ = [
    "State", "batch_size", "close_gaps", "concatenate", "detach", "entries", "entry_counts", "fits", "flatten",
    "leaves", "map_state", "move_rows", "put_rows", "reset_rows", "row_of", "select_rows", "to", "unflatten",
]  # fmt: skip

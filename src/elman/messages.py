"""Tensors with their names as messages between the processes of a training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor


def gathered(tensors: Mapping[str, Tensor], rank: int, size: int) -> list[dict[str, Tensor]]:
    """The tensors of each of `size` ranks, for rank 0; nothing for the others. See `Ranks.gathered`."""
    if rank:
        for tensor in tensors.values():
            dist.send(torch.tensor(tensor.shape), 0)
            dist.send(tensor.contiguous(), 0)
        return []
    found = [dict(tensors)]
    for source in range(1, size):
        theirs = {}
        for name, mine in tensors.items():
            shape = torch.zeros(mine.dim(), dtype=torch.int64)
            dist.recv(shape, source)
            theirs[name] = mine.new_empty(shape.tolist())
            dist.recv(theirs[name], source)
        found.append(theirs)
    return found


def packed(tensors: Mapping[str, Tensor]) -> Tensor:
    """Tensors with their names as bytes (n,)."""
    whole = save({name: each.contiguous().clone() for name, each in tensors.items()})
    return torch.frombuffer(bytearray(whole), dtype=torch.uint8)


def broadcast(own: Tensor, source: int, rank: int, size: int) -> dict[str, Tensor]:
    """The tensors that rank `source` has `packed` into `size` bytes; `own` are those of this rank."""
    theirs = own if rank == source else torch.empty(size, dtype=torch.uint8)
    dist.broadcast(theirs, source)
    return load(theirs.numpy().tobytes())

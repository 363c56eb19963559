"""Tensors that lie in parts on the ranks, as FSDP2 divides the parameters of a model: rows first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

from elman.distributed import Ranks

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_in_parts(tensor: Tensor | None) -> TypeGuard[DTensor]:
    """Whether a tensor is one of torch's that lie in parts; their module, which takes long, is not imported for it."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor; a tensor that every rank has whole is its own part."""
    return tensor.to_local() if is_in_parts(tensor) else tensor


def as_part(part: Tensor, like: Tensor) -> Tensor:
    """The tensor, in parts as `like` is, of which this is this rank's part."""
    if not is_in_parts(like):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def divided(tensor: Tensor, like: Tensor | None) -> Tensor:
    """A tensor that every rank has whole, in parts as `like` is, if that is in parts and has its shape."""
    if not is_in_parts(like) or like.shape != tensor.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def empty(size: torch.Size, dtype: torch.dtype, like: Tensor | None) -> Tensor:
    """Room for a tensor, in parts as `like` is, if that is in parts and has its shape."""
    if is_in_parts(like) and like.shape == size:
        return torch.empty_like(like, dtype=dtype)
    return torch.empty(size, dtype=dtype)


def whole(name: str, parts: Mapping[str, Tensor], like: Mapping[str, Tensor], ranks: Ranks) -> Tensor:
    """The tensor of a name, for rank 0, of its parts on a CPU; another rank gets its own part."""
    if not is_in_parts(like[name]):
        return parts[name]
    every = ranks.gathered({name: parts[name]})
    return torch.cat([theirs[name] for theirs in every]) if ranks.first else parts[name]

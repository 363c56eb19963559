"""Safetensors files that are written one tensor at a time, so that no copy of all of them is in RAM.

The bytes are those that the library's own `save` makes of all tensors at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from elman import atomic

Layout = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]
"""The dtype and the shape of each tensor by name."""

NAMES = {  # of dtypes in such files, in which the tensors of equally wide dtypes are in this order
    torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16",
    torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def order(layout: Layout) -> list[str]:
    """The names in the order in which their tensors lie in a file: the widest dtypes first, so that all are aligned."""
    kinds = list(NAMES)
    return sorted(layout, key=lambda name: (-layout[name][0].itemsize, kinds.index(layout[name][0]), name))


def write(
    path: Path, layout: Layout, tensor: Callable[[str], Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file atomically; `tensor` is asked for one name after the other, in `order`.

    Raises `UserError` where the disk is full or the place is not writable; the old file is unchanged then.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for name in order(layout):
        dtype, shape = layout[name]
        end = begin + torch.Size(shape).numel() * dtype.itemsize
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = len(text).to_bytes(8, "little") + text
    atomic.write_pieces(path, chain([start], (as_bytes(tensor(name)) for name in order(layout))))


def as_bytes(tensor: Tensor) -> memoryview:
    """The numbers of a tensor on a CPU, in the order of its last dimension; not copied where they lie so."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data

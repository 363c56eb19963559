"""Checkpoints: one file each, atomic and checked, holding all that a training is made of.

A checkpoint is a safetensors file: tensors by name, and one JSON text in its header for everything that is
no tensor, with a CRC-32 of each tensor and of that text. Nothing is pickled. The last two are kept, so that
when the newest turns out to be damaged the one before still serves.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from elman import atomic
from elman.reading import Unreadable, check_file, parse_json

KEEP = 2
VALUES = "values"  # the name of the text in the header, and of its checksum


@dataclass
class Checkpoint:
    """Tensors by dotted name, and plain values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix.`, without it."""
        start = prefix + "."
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}


class Damaged(Exception):
    """A checkpoint that cannot be trusted, and why."""


def save(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint of a step, and keep the newest `KEEP` up to it. Returns its path.

    Those of later steps are damaged, or the training would have gone on from them: they go too, as does what a
    killed write left.
    """
    # Shared storage (tied weights) must be written twice: safetensors refuses aliases.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    values = json.dumps(checkpoint.values)
    sums = {name: _crc(tensor) for name, tensor in tensors.items()} | {VALUES: zlib.crc32(values.encode())}
    header = {VALUES: values, "crc32": json.dumps(sums)}
    path = folder / f"step-{step:09d}.safetensors"
    atomic.write_bytes(path, safetensors.torch.save(tensors, metadata=header))
    present = paths(folder)
    serving = [old for old in present if old <= path][-KEEP:]
    for useless in [*(old for old in present if old not in serving), *folder.glob(".step-*.tmp")]:
        useless.unlink(missing_ok=True)
    return path


def paths(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*.safetensors") if not path.is_dir())


def load(path: Path) -> Checkpoint:
    """Read and check one checkpoint.

    Raises:
        Damaged: the file is cut short, altered, or no checkpoint.
    """
    try:
        check_file(path)
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # Copied, for a file's tensors begin anywhere in memory, and products of such matrices may round otherwise.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        values, sums = header[VALUES], parse_json(header["crc32"], dict[str, int], "crc32")
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(f"{path.name}: {error}") from error
    found = {name: _crc(tensor) for name, tensor in tensors.items()} | {VALUES: zlib.crc32(values.encode())}
    if found != sums:
        raise Damaged(f"{path.name}: a checksum is wrong")
    try:
        return Checkpoint(tensors, parse_json(values, dict[str, Any], f"{path.name}: {VALUES}"))
    except Unreadable as error:
        raise Damaged(str(error)) from None


def newest(folder: Path) -> Iterator[Checkpoint | Damaged]:
    """Try the checkpoints, newest first: what is damaged is given as its error, and the search goes on.

    The caller takes the first whole one.
    """
    for path in reversed(paths(folder)):
        try:
            yield load(path)
            return
        except Damaged as error:
            yield error


def _crc(tensor: Tensor) -> int:
    return zlib.crc32(safetensors.torch.save({"": tensor}))

"""Checkpoints: files that hold a whole training, each written atomically and checked when it is read.

A checkpoint is a safetensors file. Its header holds one JSON text with all values that are no tensors, and a CRC-32 of
each tensor and of that text. Nothing is pickled. The last two checkpoints are kept: where the newest is damaged, the
training goes on from the one before.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from elman.reading import Count, check_file, parse_json
from elman.train import tensor_files

KEEP = 2
STATES = 2  # since then, attention's memory is a ring
VALUES = "values"  # the name of the JSON text in the header, and of its checksum


@dataclass
class Counters:
    """The numbers that a training counts."""

    step: Count = 0  # optimiser steps, taken or skipped
    epoch: Count = 0
    batch: Count = 0  # the next batch of this epoch
    targets: Count = 0  # targets read so far
    seconds: float = 0.0  # spent in this session and earlier ones
    reserved: float = 0.0  # seconds of a time budget that are kept for the last validation
    skipped: Count = 0  # steps whose loss or gradient was not finite
    bad_in_a_row: Count = 0
    best: float = float("inf")  # the least cost of a validation
    since_best: Count = 0  # validations
    metrics_bytes: Count = 0  # of metrics.jsonl
    validated_at: Count = 0  # the step of the last validation


@dataclass(frozen=True)
class Averaged:
    """The numbers of an average of the weights."""

    updates: Count
    decay: float


@dataclass(frozen=True)
class Values:
    """All of a training that is no tensor."""

    counters: Counters
    norms: list[float]
    losses: list[float]
    carried: bool
    adaptive: dict[str, int] | None = None
    average: Averaged | None = None
    states: Count = 1  # the form of the carried state: `STATES`, or 1 of earlier builds


@dataclass
class Checkpoint:
    """A training as tensors by dotted name, and values."""

    tensors: dict[str, Tensor]
    values: Values

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix.`, by the rest of their names."""
        start = prefix + "."
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}


class Damaged(Exception):
    """A checkpoint cannot be trusted; the message says why."""


Load = Callable[[Path], Checkpoint]


def save(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint of a step, keep the newest `KEEP` up to this step, and return its path.

    Checkpoints of later steps are damaged, since the training went on from an earlier one. They are removed, and so are
    the leftovers of a killed write.
    """
    tensors = {name: tensor.detach().cpu() for name, tensor in checkpoint.tensors.items()}
    values = json.dumps(asdict(checkpoint.values))
    sums = {name: _checksum(tensor) for name, tensor in tensors.items()} | {VALUES: zlib.crc32(values.encode())}
    layout = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    path = folder / f"step-{step:09d}.safetensors"
    tensor_files.write(path, layout, tensors.__getitem__, {VALUES: values, "crc32": json.dumps(sums)})
    prune(folder, path)
    return path


def prune(folder: Path, newest: Path) -> None:
    """Remove all checkpoints but the last `KEEP` up to the newest, and the leftovers of killed writes."""
    present = paths(folder)
    serving = [old for old in present if _step(old) <= _step(newest)][-KEEP:]
    for useless in [*(old for old in present if old not in serving), *folder.glob(".step-*.tmp")]:
        remove(useless)


def remove(path: Path) -> None:
    """Remove a checkpoint, where there is one: a file, or the folder of one that is in parts."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def paths(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first: files, and the folders of those that are in parts."""
    found = (path for path in folder.glob("step-*") if path.is_dir() != (path.suffix == ".safetensors"))
    return sorted((path for path in found if path.suffix in ("", ".safetensors")), key=_step)


def _step(path: Path) -> str:
    return path.name.removesuffix(".safetensors")


def load(path: Path, place: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor) -> Checkpoint:
    """Read and check one checkpoint, of which `place` keeps what is needed of each tensor.

    Raises `Damaged` where the file is cut short, altered, or no checkpoint.
    """
    try:
        check_file(path)
        tensors, sums = {}, {}
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118
                # Copied, for a file's tensors begin anywhere in RAM, and products of such matrices may round otherwise.
                tensor = file.get_tensor(name).clone()
                sums[name], tensors[name] = _checksum(tensor), place(name, tensor)
        if sums | {VALUES: zlib.crc32(header[VALUES].encode())} != parse_json(header["crc32"], dict[str, int], "crc32"):
            raise ValueError("a checksum is wrong")
        return Checkpoint(tensors, parse_json(header[VALUES], Values, VALUES))
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(f"{path.name}: {error}") from error


def newest(folder: Path, load: Load = load) -> Iterator[Checkpoint | Damaged]:
    """The errors of damaged checkpoints from the newest on, and then the newest whole checkpoint, if there is one."""
    for path in reversed(paths(folder)):
        try:
            yield load(path)
            return
        except Damaged as error:
            yield error


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(safetensors.torch.save({"": tensor.contiguous()}))

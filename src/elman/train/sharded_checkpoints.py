"""Checkpoints of weights that lie in parts on the ranks: folders, into which every rank writes its own parts.

torch's distributed checkpoints write and read the tensors, as safetensors files that say where their parts belong: any
number of ranks can go on with them. Beside them lies one JSON file with all values that are no tensors and a CRC-32 of
each file, written last; then the folder gets its name. Nothing is pickled.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import save as save_tensors

from elman import atomic
from elman.distributed import Ranks
from elman.errors import UserError
from elman.reading import check_file, parse_json, read_json
from elman.train import checkpoints
from elman.train.checkpoints import VALUES, Checkpoint, Damaged, Values
from elman.train.sharding import divided, empty, local

FILE_BYTES = 1 << 24  # of a rank's tensors in a file: the library keeps the bytes of a file in RAM beside its tensors


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint has beside its tensors."""

    values: str  # JSON of `checkpoints.Values`
    files: dict[str, int]  # the CRC-32 of each file by name
    crc32: int  # of the values


def save(folder: Path, step: int, checkpoint: Checkpoint, ranks: Ranks) -> Path:
    """Write the checkpoint of a step, on all ranks; the rest is as `checkpoints.save` does it.

    Raises `UserError` where a rank could not write.
    """
    path = folder / f"step-{step:09d}"
    unfinished = folder / atomic.temporary(path.name)
    if ranks.first:
        with atomic.told(unfinished):
            checkpoints.remove(unfinished)
            unfinished.mkdir(parents=True)
    ranks.told(0.0)
    tensors = _unshared(checkpoint.tensors)
    writer = HuggingFaceStorageWriter(str(unfinished), _file_numbers(tensors), save_distributed=True)
    try:
        with _alone(ranks):
            save_tensors(tensors, storage_writer=writer, no_dist=ranks.size == 1)
    except CheckpointException as error:
        raise UserError(f"cannot write {unfinished}: {_first_failure(error)}") from error
    written = {file.name: _crc32(file) for file in unfinished.glob(f"shard-{ranks.rank + 1:05d}-*")}
    files = {name: crc32 for theirs in ranks.listed(written) for name, crc32 in theirs.items()}
    if ranks.first:
        values = json.dumps(asdict(checkpoint.values))
        manifest = Manifest(values, files, zlib.crc32(values.encode()))
        with atomic.told(path):
            atomic.write_text(unfinished / f"{VALUES}.json", json.dumps(asdict(manifest)))
            checkpoints.remove(path)
            unfinished.rename(path)
            atomic.sync_folder(folder)
            checkpoints.prune(folder, path)
    return path


def load(path: Path, layout: Callable[[str], Tensor | None], ranks: Ranks) -> Checkpoint:
    """Read and check one checkpoint of either kind, on all ranks; its tensors are in parts as those of the layout.

    Raises `Damaged` where it is cut short, altered, or no checkpoint.
    """
    if path.suffix:
        return checkpoints.load(path, lambda name, tensor: divided(tensor, layout(name)))
    found: Manifest | None = None
    reason = "another rank finds it damaged"
    try:
        found = _checked(path, ranks)
    except (OSError, ValueError, UserError) as error:
        reason = str(error)
    if any(ranks.sums(found is None)) or found is None:
        raise Damaged(f"{path.name}: {reason}")
    reader = HuggingFaceStorageReader(str(path))
    try:
        about = cast(Mapping[str, TensorStorageMetadata], reader.read_metadata().state_dict_metadata)
        tensors = {name: empty(one.size, one.properties.dtype, layout(name)) for name, one in about.items()}
        with _alone(ranks):
            load_tensors(tensors, storage_reader=reader, no_dist=ranks.size == 1)
        return Checkpoint(tensors, parse_json(found.values, Values, VALUES))
    except (CheckpointException, SafetensorError, OSError, KeyError, ValueError) as error:
        raise Damaged(f"{path.name}: {error}") from error


def _checked(path: Path, ranks: Ranks) -> Manifest:
    """The manifest; the ranks divide the files among them, whose checksums must be right."""
    found = read_json(path / f"{VALUES}.json", Manifest)
    if zlib.crc32(found.values.encode()) != found.crc32:
        raise ValueError("a checksum is wrong")
    names = sorted(found.files)
    if names != sorted(file.name for file in path.glob("*.safetensors")):
        raise ValueError("files are missing, or there are others")
    for name in names[ranks.rank :: ranks.size]:
        check_file(path / name)
        if _crc32(path / name) != found.files[name]:
            raise ValueError(f"the checksum of {name} is wrong")
    return found


@contextmanager
def _alone(ranks: Ranks) -> Iterator[None]:
    """Without the warning that one process is not several."""
    with warnings.catch_warnings():
        if ranks.size == 1:
            warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        yield


def _crc32(file: Path) -> int:
    return zlib.crc32(file.read_bytes())


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, of which none shares its memory: a tied matrix is copied, for such files hold none twice."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = local(tensor).data_ptr()
        found[name] = tensor.clone() if place in seen else tensor.detach()
        seen.add(place)
    return found


def _file_numbers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The number, from 1, of the file that each tensor is put into."""
    found, total = {}, 0
    for name, tensor in tensors.items():
        total += local(tensor).nbytes
        found[name] = 1 + total // FILE_BYTES
    return found


def _first_failure(error: CheckpointException) -> str:
    rank, (failure, _) = min(error.failures.items())
    return f"rank {rank}: {failure}"

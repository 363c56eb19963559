"""State dicts of torch: safetensors, and `.pt` as far as it holds tensors alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from torch import Tensor

from elman.errors import UserError
from elman.interop.imported import Imported, ImportOptions
from elman.interop.layer_guess import guess_layers
from elman.interop.torch_layers import assemble, parse_layers
from elman.reading import Unreadable, parse_yaml, read_text

METADATA = "layers"  # the key of a description in the metadata of safetensors
WRAPPED = ("state_dict", "model_state_dict", "model")  # where checkpoints keep a state dict
PREFIXES = ("_orig_mod.", "module.", "model.")  # of torch.compile, DataParallel, Lightning
UNUSED = "num_batches_tracked"  # of batch normalisation
MOST_PICKLE = 1 << 26  # bytes of a pickle that names the tensors
REMEDY = "save model.state_dict() alone, as safetensors"


class StateDict(NamedTuple):
    """The tensors of a file in its order, and a description of the layers where the file has one."""

    tensors: dict[str, Tensor]  # float32
    described: Any | None
    ordered: bool  # whether the order is that in which the module made its layers
    notes: tuple[str, ...]


def read_torch(path: Path, options: ImportOptions) -> Imported:
    """The layers of a state dict, as `options.layers` or the file describes them, or guessed from names and shapes.

    Raises:
        UserError: the file holds anything else than tensors, is damaged, or the layers cannot be told.
    """
    read, notes = read_state_dict(path), tuple[str, ...]()
    if options.layers is not None:
        described = _described(Path(options.layers))
        layers = parse_layers(described, options.layers)
    elif read.described is not None:
        layers = parse_layers(read.described, f"{path}: metadata")
    else:
        layers, notes = guess_layers(read.tensors, read.ordered, options, f"{path}")
    made = assemble(layers, read.tensors, options, f"{path}")
    return Imported(made.config, made.tensors, (*read.notes, *notes, *made.notes))


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a file. Raises `UserError` where it is damaged, or holds more than tensors."""
    with path.open("rb") as file:
        head = file.read(16)
    described, ordered = None, head.startswith(b"PK")
    if ordered:
        found = _unpickled(path)
    elif head[8:9] == b"{":
        found, described = _of_safetensors(path)
    else:
        raise UserError(f"{path} is no archive of torch", remedy=f"{REMEDY}, or by torch.save of torch 1.6 or later")
    for prefix in PREFIXES:
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    tensors = {name: tensor for name, tensor in found.items() if not name.endswith(UNUSED)}
    if not tensors:
        raise UserError(f"{path} holds no tensors", remedy=REMEDY)
    size = path.stat().st_size
    for name, tensor in tensors.items():
        plain = tensor.layout is torch.strided and tensor.is_floating_point() and tensor.device.type == "cpu"
        if not plain or tensor.numel() * tensor.element_size() > size:
            got = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise UserError(f"{path}: {name}", expected="numbers of a floating point that the file holds", got=got)
    other = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()} - {"float32"})
    notes = (f"weights of {' and '.join(other)} are float32 now",) if other else ()
    return StateDict({name: tensor.detach().float() for name, tensor in tensors.items()}, described, ordered, notes)


def _of_safetensors(path: Path) -> tuple[dict[str, Tensor], Any | None]:
    """The tensors by name, and the description in the metadata."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(METADATA)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error})") from None
    try:
        return found, None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: metadata", expected=f"JSON under {METADATA!r}", got="other text") from None


def _unpickled(path: Path) -> dict[str, Tensor]:
    """The tensors that `torch.load` reads without running anything that the file says."""
    _check_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises errors of many kinds, with messages of many lines
        raise UserError(f"{path}: torch.load(weights_only=True) refuses what it holds", remedy=REMEDY) from None
    for key in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()
    ):
        raise UserError(f"{path}", expected="a state dict, tensors by name", got=type(found).__name__, remedy=REMEDY)
    return dict(found)


def _check_archive(path: Path) -> None:
    """Raise `UserError` where reading an archive could take more memory than its own size, or it holds a program."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            sizes = [member.file_size for member in members]
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if not stored or sum(sizes) > path.stat().st_size:
                raise UserError(f"{path} is damaged: its parts are larger than the file", remedy=REMEDY)
            names = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            if any(member.filename.rpartition("/")[2] == "constants.pkl" for member in members):
                raise UserError(f"{path} is a TorchScript program", expected="a state dict", remedy=REMEDY)
            if len(names) != 1 or names[0].file_size > MOST_PICKLE:
                raise UserError(f"{path} is no state dict of torch", remedy=REMEDY)
            if b"bytearray" in archive.read(names[0]):  # of any size, which no state dict has
                raise UserError(f"{path} holds more than tensors", remedy=REMEDY)
    except UserError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path} is damaged ({error})", remedy=REMEDY) from None


def _described(path: Path) -> Any:
    """What a file of layers holds."""
    try:
        return parse_yaml(read_text(path))  # JSON is YAML
    except Unreadable:
        raise
    except ValueError as error:
        raise UserError(f"{path}: not readable as YAML: {error}") from None

"""The two kinds of files that Keras writes, opened without Keras: a model's configuration and its layers' arrays.

Files may come from anywhere: sizes that they claim are compared with their own size before memory is taken, links and
data outside of a file are refused, and no name that a file holds becomes a path.
"""

from __future__ import annotations

import io
import re
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from elman import reading
from elman.arrays import Numbers
from elman.errors import UserError, missing_extra

LONGEST_JSON = 1 << 26  # bytes
EXPANSION = 16  # weights hardly shrink in compression: a file that holds so many times its size is made to fill the RAM
WRONG = (OSError, RuntimeError, KeyError, ValueError, TypeError, LookupError, zipfile.BadZipFile, NotImplementedError)


class KerasArchive(ABC):
    """A file that Keras wrote."""

    def __init__(self, model: dict[str, Any], version: str, backend: str | None, weights: Any, size: int) -> None:
        self.model, self.version, self.backend = model, version, backend  # the backend is None where it is not written
        self._weights, self._left = weights, EXPANSION * size + (1 << 20)

    @abstractmethod
    def arrays(self, path: Sequence[str], parts: Sequence[str]) -> list[Numbers]:
        """The arrays of a layer in Keras's order.

        `path` has the names of the models around it and its own; `parts` are the places of its cells, "" being itself.
        """

    def _read(self, dataset: Any, where: str) -> Numbers:
        """The numbers of a dataset, if these lie in the file and fit into it."""
        import h5py

        if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise UserError(where, expected="numbers in the file", got="none")
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize not in (2, 4, 8):
            raise UserError(where, expected="numbers of 16, 32 or 64 bits with a point", got=str(dataset.dtype))
        self._left -= dataset.size * max(dataset.dtype.itemsize, 4)
        if self._left < 0:
            raise UserError(where, expected="no more numbers than the file holds", got=f"shape {dataset.shape}")
        return np.asarray(dataset[()], np.float32)


class ZippedArchive(KerasArchive):
    """A `.keras` file: a zip of config.json, metadata.json and model.weights.h5.

    A group of the latter is called after a layer's class; the layer's name is an attribute. Earlier versions wrote no
    such attribute: there the groups of a class are numbered in the order of the configuration.
    """

    def arrays(self, path: Sequence[str], parts: Sequence[str]) -> list[Numbers]:  # noqa: D102
        group, model = self._weights, self.model
        for name in path:
            layers = model["config"]["layers"]
            key = _key(group, layers, name)
            group = _child(_child(group, "layers"), key)
            model = next(layer for layer in layers if layer["config"].get("name") == name)
        found = []
        for part in parts:
            own = group
            for step in (*part.split("/"), "vars") if part else ("vars",):
                own = _child(own, step)
            for key in sorted(own, key=int):
                found.append(self._read(_child(own, key), "/".join((*path, part, key))))
        return found


class LegacyArchive(KerasArchive):
    """An HDF5 file whose attribute model_config has the configuration; a group for each layer names its arrays."""

    def arrays(self, path: Sequence[str], parts: Sequence[str]) -> list[Numbers]:  # noqa: D102
        group = _child(_child(self._weights, "model_weights"), path[0])
        found = []
        for name in _attribute(group, "weight_names"):
            steps = (name.decode() if isinstance(name, bytes) else str(name)).split("/")
            if len(path) > 1 and path[-1] not in steps[:-1]:  # another layer of a model in the model
                continue
            own = group
            for step in steps:
                own = _child(own, step)
            found.append(self._read(own, name))
        return found


@contextmanager
def open_archive(path: Path) -> Iterator[KerasArchive]:
    """Open a `.keras` file, or a legacy HDF5 file, by its first bytes.

    Raises:
        UserError: another file, or a damaged one; also where something in the block finds the file damaged.
    """
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "keras", "files of Keras") from None
    reading.check_file(path)
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                model = _json(_member(archive, "config.json", min(LONGEST_JSON, EXPANSION * size)), path)
                about = _json(_member(archive, "metadata.json", min(LONGEST_JSON, EXPANSION * size)), path)
                weights = _member(archive, "model.weights.h5", EXPANSION * size)
            with h5py.File(io.BytesIO(weights), "r") as file:
                yield ZippedArchive(model, str(about.get("keras_version")), None, file, size)
        elif h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                text = _text(file, "model_config")
                if text is None:
                    got = "weights alone, without the model's configuration"
                    raise UserError(f"{path}", expected="a whole model of Keras", got=got, remedy="model.save(FILE)")
                version, backend = _text(file, "keras_version"), _text(file, "backend")
                yield LegacyArchive(_json(text, path), str(version), backend, file, size)
        else:
            raise UserError(f"{path}", expected="a file of Keras (.keras or .h5)", got="another")
    except UserError:
        raise
    except WRONG as error:
        raise reading.Unreadable(f"{path} is damaged ({' '.join(str(error).split())[:200]})") from None


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise ValueError(f"{name} claims {archive.getinfo(name).file_size:,} bytes")
    with archive.open(name) as file:  # which may hold more than it claims
        contents = file.read(most + 1)
    if len(contents) > most:
        raise ValueError(f"{name} has more than {most:,} bytes")
    return contents


def _json(text: str | bytes, path: Path) -> dict[str, Any]:
    return reading.parse_json(text, dict[str, Any], f"{path}")


def _attribute(group: Any, name: str) -> Any:
    """An attribute, unless its claimed size is too large for one."""
    if group.attrs.get_id(name).get_storage_size() > LONGEST_JSON:
        raise ValueError(f"the attribute {name} is too large")
    return group.attrs[name]


def _text(group: Any, name: str) -> str | None:
    if name not in group.attrs:
        return None
    value = _attribute(group, name)
    return value.decode() if isinstance(value, bytes) else str(value)


def _child(group: Any, name: str) -> Any:
    """A child of a group: never one that a link finds in another file."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise KeyError(f"no {name} in {getattr(group, 'name', 'a dataset')}")
    return group[name]


def _key(group: Any, layers: Sequence[dict[str, Any]], name: str) -> str:
    """The name of a layer's group."""
    found, named = _child(group, "layers"), {}
    for key in found:
        child = _child(found, key)
        if "vars" in child and (own := _text(_child(child, "vars"), "name")) is not None:
            named[own] = key
    if named:
        if name not in named:
            raise KeyError(f"no weights of the layer {name}")
        return named[name]
    counts = Counter[str]()
    for layer in layers:
        kind = snake_case(layer["class_name"])
        if layer["config"].get("name") == name:
            return kind + (f"_{counts[kind]}" if counts[kind] else "")
        counts[kind] += 1
    raise KeyError(f"no layer {name}")


def snake_case(name: str) -> str:
    """As Keras writes the name of a class.

    >>> [snake_case(name) for name in ("GRU", "SimpleRNN", "TimeDistributed", "GlobalMaxPooling1D")]
    ['gru', 'simple_rnn', 'time_distributed', 'global_max_pooling1d']
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

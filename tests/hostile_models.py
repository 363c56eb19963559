"""Hostile files of models drawn by chance from a seed, each read by `elman import` in bounded memory.

    python tests/hostile_models.py GIVEN FIRST COUNT

GIVEN is a folder of good files, which are damaged: cut, with other bytes, or as files of their format whole, but with
other opsets, operators, shapes, sizes that no file has, paths that lead out, or a program where tensors should be.
Prints what was wrong, a paragraph for each file. A file passes if the command ends in time, with one line for a person
where it fails, and then leaves nothing behind.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

MEMORY = 1 << 30  # beyond what the process has when it begins
GROWTH = 384 << 10  # kB that one file of some kB may make the process larger by
HUGE = [0, -1, 1 << 20, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 62) - 1, (1 << 63) - 1]


# --- any file


def cut(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Some bits are others."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 30))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, rng: random.Random) -> bytes:
    """A piece is zeros, ones, noise, or another piece; or it is there once more."""
    at, size = rng.randrange(len(data)), rng.choice((1, 8, 64, 1000))
    piece = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size), data[-size:]))
    return data[:at] + piece + data[at + rng.choice((0, size)) :]


def noise(data: bytes, rng: random.Random) -> bytes:
    """Nothing but the beginning of the file is like it."""
    return data[: rng.choice((0, 4, 16))] + rng.randbytes(rng.choice((0, 10, 3000)))


BYTES = [cut, flipped, flipped, overwritten, noise]


# --- ONNX


def other_graph(data: bytes, rng: random.Random) -> bytes:
    """A graph that is whole, with one or two things changed."""
    import onnx
    from onnx import TensorProto

    model = onnx.load_model_from_string(data)
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2))):
        node, tensor = rng.choice(graph.node), rng.choice(graph.initializer)
        names = [name for each in graph.node for name in [*each.input, *each.output]]
        match rng.randrange(12):
            case 0:
                model.opset_import[0].version = rng.choice((0, 1, 6, 9, 11, 99, *HUGE))
            case 1:
                ops = (
                    "Nothing",
                    "",
                    "If",
                    "Loop",
                    "Scan",
                    "Attention",
                    "Conv",
                    "../x",
                    *(n.op_type for n in graph.node),
                )
                node.op_type = rng.choice(ops)
            case 2 if tensor.dims:
                tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((*HUGE, 1, 2, 3))
            case 3:
                tensor.data_type = rng.randrange(25)
            case 4:
                tensor.raw_data = rng.choice((b"", tensor.raw_data[:-4], tensor.raw_data * 2))
            case 5:
                tensor.data_location = TensorProto.EXTERNAL
                tensor.external_data.add(key="location", value=rng.choice(("../outside/mine.txt", "/etc/passwd")))
            case 6 if node.input:
                node.input[rng.randrange(len(node.input))] = rng.choice((*names, "", "no such"))
            case 7 if node.attribute:
                attribute = rng.choice(node.attribute)
                attribute.i, attribute.f = rng.choice(HUGE), rng.choice((float("nan"), -1.0, 1e30))
                attribute.type = rng.randrange(15)
                attribute.ints.extend(rng.choices(HUGE, k=2))
            case 8:
                del graph.node[rng.randrange(len(graph.node))]
            case 9:
                graph.node.append(graph.node[0])
                graph.initializer.remove(tensor)
            case 10 if tensor.data_type == TensorProto.INT64 and tensor.raw_data:
                count = len(tensor.raw_data) // 8
                tensor.raw_data = b"".join((rng.choice(HUGE)).to_bytes(8, "little", signed=True) for _ in range(count))
            case _:
                port = rng.choice([*graph.input])
                shape = port.type.tensor_type.shape
                shape.dim.add().dim_value = rng.choice(HUGE)
                port.type.tensor_type.elem_type = rng.choice((1, 1, 7, 8, 16))
    return model.SerializeToString()


# --- safetensors


def other_header(data: bytes, rng: random.Random) -> bytes:
    """Another header: sizes and offsets that no file has, other JSON, another length."""
    from fuzzing import changed

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    match rng.randrange(5):
        case 0:
            entry["shape"] = rng.choice(([1 << 40], [1 << 33, 1 << 33], [0], [], [-1], [1] * 70))
        case 1:
            entry["data_offsets"] = rng.choice(([0, 1 << 40], [1 << 63, 1 << 64], [4, 0], [0, 1]))
        case 2:
            entry["dtype"] = rng.choice(("F64", "I8", "BF16", "BOOL", "X", "F4"))
        case 3:
            header["__metadata__"] = {"layers": rng.choice(("[" * 10**5, "{}", '[{"lstm": "../x"}]', "[1e999]"))}
        case _:
            header = changed(header, rng)
    text = json.dumps(header).encode()
    claimed = rng.choice((len(text), len(text), len(text), 1 << 40, (1 << 64) - 1, 0))
    return claimed.to_bytes(8, "little") + text + data[8 + length :]


# --- zip files: `.keras` and `.pt`


class Program:
    """Makes a pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return print, ("a program ran",)


def other_archive(data: bytes, rng: random.Random) -> bytes:
    """A member has other contents, a name that leads out, or claims to be huge; or another member is beside it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    contents = members[name]
    match rng.randrange(8):
        case 0:
            del members[name]
        case 1:
            members["../outside/new.txt"] = members["/tmp/new.txt"] = b"x"
        case 2:
            members["../outside/" + name] = members.pop(name)
        case 3 if name.endswith(".json"):
            members[name] = other_json(contents, rng)
        case 4 if name.endswith(".pkl"):
            members[name] = pickle.dumps(rng.choice((Program(), {"weight": Program()}, bytearray(10), [1], "x" * 1000)))
        case 5:
            members[name] = bytes(64 << 20)  # deflated, it is small
        case _:
            members[name] = rng.choice(BYTES)(contents, rng) if contents else b"x"
    out, packed = io.BytesIO(), rng.random() < 0.5 or any(len(each) > 1 << 24 for each in members.values())
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for each, value in members.items():
            archive.writestr(each, value)
    found = bytearray(out.getvalue())
    if rng.random() < 0.2:  # the directory at the end says another size
        at = found.rfind(b"PK\x01\x02")
        found[at + 24 : at + 28] = rng.choice(HUGE[2:5]).to_bytes(4, "little")
    return bytes(found)


def other_json(data: bytes, rng: random.Random) -> bytes:
    """One value is another."""
    from fuzzing import DEEP, changed

    return DEEP.encode() if rng.random() < 0.1 else json.dumps(changed(json.loads(data), rng)).encode()


# --- HDF5


def other_hdf5(data: bytes, rng: random.Random) -> bytes:
    """As HDF5 it is whole; an array claims a shape that it has no numbers for, lies outside, or is no array."""
    import h5py
    import numpy as np

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        name = rng.choice(found)
        match rng.randrange(8):
            case 0:
                del file[name]
                file.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(64, 64))
            case 1:
                del file[name]
                file.create_dataset(
                    name, (1 << 12, 1 << 12), "f4", chunks=(1 << 10, 1 << 10), compression="gzip", fillvalue=1.0
                )
            case 2:
                shape = file[name].shape
                del file[name]
                file.create_dataset(name, shape, "f4", external=[("../outside/mine.txt", 0, h5py.h5f.UNLIMITED)])
            case 3:
                del file[name]
                file[name] = h5py.ExternalLink("../outside/mine.txt", "/x")
            case 4:
                del file[name]
                file[name] = h5py.SoftLink("/" + name.rpartition("/")[0])
            case 5:
                del file[name]
                file[name] = rng.choice((np.array("text", h5py.string_dtype()), np.zeros(3), np.zeros((2, 2), "i8")))
            case 6:
                del file[name]
            case _ if "model_config" in file.attrs:
                text = file.attrs["model_config"]
                text = text.encode() if isinstance(text, str) else text
                file.attrs["model_config"] = other_json(text, rng).decode()[: 1 << 15]
    return buffer.getvalue()


def other_weights(data: bytes, rng: random.Random) -> bytes:
    """A `.keras` file with other weights."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as made:
        for name in archive.namelist():
            contents = archive.read(name)
            made.writestr(name, other_hdf5(contents, rng) if name.endswith(".h5") else contents)
    return out.getvalue()


WAYS: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    ".onnx": [*BYTES, *[other_graph] * 8],
    ".safetensors": [*BYTES, *[other_header] * 5],
    ".pt": [*BYTES, *[other_archive] * 5],
    ".keras": [*BYTES, *[other_archive] * 5, *[other_weights] * 3],
    ".h5": [*BYTES, *[other_hdf5] * 5],
}


def check(given: Path, seed: int, place: Path) -> str:
    """Draw a file and read it in an empty folder; returns what was wrong, or nothing."""
    from elman import runs
    from fuzzing import faults, names, tried

    rng = random.Random(seed)
    source = rng.choice(sorted(path for path in given.iterdir() if path.suffix in WAYS))
    way = rng.choice(WAYS[source.suffix])
    file = place / f"model{rng.choice((source.suffix, source.suffix, source.suffix, *WAYS))}"
    file.write_bytes(way(source.read_bytes(), rng))
    outside = place.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "mine.txt").write_text("mine")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with chdir(place), warnings.catch_warnings():
        warnings.simplefilter("error")
        task = rng.choice(("auto", "tagging", "classification", "forecasting", "language-modelling"))
        code, out, err = tried(["import", str(file), "-o", "run", "--task", task], b"", memory=limit())
    wrong = faults(code, out, err, as_json=False)
    if (grown := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) > GROWTH:
        wrong.append(f"{grown >> 10} MB of memory for a file of {file.stat().st_size >> 10} kB")
    if sum(line.startswith("elman: ") for line in err.splitlines()) > 1 or "a program ran" in out:
        wrong.append("more than a line, or a program ran")
    if code and names(place) != {file.name}:
        wrong.append(f"left behind: {names(place)}")
    if names(outside) != {"mine.txt"} or (outside / "mine.txt").read_text() != "mine":
        wrong.append("a file outside was touched")
    if code == 0:
        runs.load(place / "run")
    said = f"seed {seed}: {source.name}, {way.__name__}, as {file.name}"
    return f"{said}\n  {'; '.join(wrong)}\n{err}" if wrong else ""


def limit() -> int:
    """The most address space that reading may take: what there is now, and `MEMORY`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize() + MEMORY


def main(given: Path, first: int, count: int) -> None:
    """Check files of consecutive seeds."""
    for seed in range(first, first + count):
        print(f"seed {seed}", file=sys.stderr, flush=True)  # the last one, where the process itself ends
        with tempfile.TemporaryDirectory() as folder:
            (place := Path(folder) / "here").mkdir()
            if wrong := check(given, seed, place):
                print(wrong, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]))

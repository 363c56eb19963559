"""Properties of this machine and installation: `elman env` shows them, and a run keeps them of where it began."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from elman import __version__, kernels, launcher
from elman.kernels import native

EXTRAS = {
    "tokenizers": "bpe",
    "zstandard": "zstd",
    "num2words": "pairs",
    "babel": "pairs",
    "sacrebleu": "translate",
    "optuna": "compare",
    "onnx": "bench",
    "onnxruntime": "bench",
    "seqeval": "spans",
    "narwhals": "tables",
    "pyarrow": "tables",
    "statsmodels": "series",
    "scikit-learn": "estimators",
    "fastapi": "serve",
    "fastapi-offline": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
    "prometheus-client": "serve",
}

# Of glibc's malloc.h: names of settings that mallopt takes.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc refuses more
SPARE = 64 << 20  # bytes
RETURNED = 1 << 20  # bytes of a piece, from which on it is returned


def describe() -> dict[str, Any]:
    """Versions, processor, threads, processes, and the backend that serves each recurrent cell."""
    # torch's own version tells the builds of a release apart; the metadata of a build from the package index does not.
    versions = {"torch": str(torch.__version__)}
    versions |= {name: metadata.version(name) for name in ("numpy", "pydantic", "safetensors")}
    return {
        "elman": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions | {name: _version(name) for name in EXTRAS},
        "processor": torch.backends.cpu.get_cpu_capability(),
        "native": native.instruction_set(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "processes": launcher.launched(),
        "messages": _messengers(),
        "devices": ["cpu", *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))],
        "backends": [row._asdict() for row in kernels.report()],
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _messengers() -> list[str]:
    """The backends by which processes can send each other tensors."""
    if not dist.is_available():
        return []
    there = {"gloo": dist.is_gloo_available, "nccl": dist.is_nccl_available, "mpi": dist.is_mpi_available}
    return [name for name, is_there in there.items() if is_there()]


def best_device() -> Literal["cpu", "cuda"]:
    """The device on which a training is fastest here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def ram(device: str = "cpu") -> int | None:
    """Bytes of RAM that a device has, in use or not; on the CPU, at most those of our control group. None: unknown."""
    if device == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    known = []
    with suppress(AttributeError, OSError, ValueError):  # the system cannot say
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # no control group, or a group without a limit ("max")
        known.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(known, default=None)


def bytes_in_words(count: int) -> str:
    """A number of bytes as people write it.

    >>> bytes_in_words(3_440_000_000_000), bytes_in_words(12)
    ('3.4 TB', '12 bytes')
    """
    for power, unit in ((18, "EB"), (15, "PB"), (12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:,.1f} {unit}"
    return f"{count:,} bytes"


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 numbers natively."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def keep_freed() -> bool:
    """Make glibc's malloc keep freed RAM for later use, and return whether it does; another malloc stays as it is.

    A training frees and allocates the same tensors at every step. By default, glibc hands the larger ones back to the
    system each time, which must blank their pages before the next use: about a tenth of a step.
    """
    return _set_malloc({M_MMAP_THRESHOLD: LARGEST_MMAP_THRESHOLD, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: SPARE})


def return_freed() -> bool:
    """Make glibc's malloc return freed RAM at once, where tensors come and go of which not all fit into RAM.

    By default, what was freed comes to lie between what is in use, and is kept: half as much again of a training whose
    weights are gathered layer by layer.
    """
    return _set_malloc({M_MMAP_THRESHOLD: RETURNED, M_TRIM_THRESHOLD: RETURNED})


def _set_malloc(settings: Mapping[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    accepted = [mallopt(name, value) for name, value in settings.items()]
    return all(answer == 1 for answer in accepted)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads while the block runs, in this thread and in those that begin within it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Let torch use one thread while the block runs.

    Small steps are slower on several threads, by far where another process is busy; and sums depend on their number.
    """
    return torch_threads(1)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

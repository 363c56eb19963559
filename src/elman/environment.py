"""What this machine and installation can do: what `elman env` shows, and a run keeps of where it began."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch

from elman import __version__, kernels
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
}


def describe() -> dict[str, Any]:
    """Versions, processor, threads, and the backend that serves each recurrent cell."""
    # What torch says itself tells the builds of a release apart; the metadata of one from the package index does not.
    versions = {"torch": str(torch.__version__)}
    versions |= {name: metadata.version(name) for name in ("numpy", "pydantic", "safetensors")}
    return {
        "elman": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions | {name: _version(name) for name in EXTRAS},
        "processor": torch.backends.cpu.get_cpu_capability(),
        "native": native.instruction_set(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": ["cpu", *(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))],
        "backends": [row._asdict() for row in kernels.report()],
    }


def best_device() -> Literal["cpu", "cuda"]:
    """Where a training is fastest here, if nobody asks for a device."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def memory(device: str = "cpu") -> int | None:
    """The bytes that a device has, in use or not; of a machine's, so many as it gives us. None where nobody says."""
    if device == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    known = []
    with suppress(AttributeError, OSError, ValueError):  # no such question, or no answer
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # no control group, or one that says "max"
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


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread for a while.

    Steps that are too small to share are slower on several, beside another busy process by far; and sums depend on how
    many there are.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

"""What this machine and installation can do: what `elman env` shows, and a run keeps of where it began."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

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

"""`elman env`: what this machine and installation can do."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

EXTRAS = {"tokenizers": "bpe", "zstandard": "zstd"}


def describe() -> dict[str, Any]:
    """Versions, processor, threads, and the backend that serves each recurrent cell."""
    import torch

    from elman import __version__, kernels
    from elman.kernels import native

    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pydantic", "safetensors")}
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


def command(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show versions, processor, threads, and which backend serves each recurrent cell."""
    report = describe()
    if as_json:
        print(json.dumps(report))
        return
    for name in ("elman", "python", "platform", "processor", "native", "cores", "threads"):
        print(f"{name:12}{report[name] or 'not built'}")
    print(f"{'devices':12}{', '.join(report['devices'])}")
    for name, version in report["packages"].items():
        print(f"{name:12}{version or f'not installed: pip install elman[{EXTRAS[name]}]'}")
    print("backends")
    for row in report["backends"]:
        print(f"  {row['cell']:11}{row['device']:6}{row['backend']:11}{row['why']}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

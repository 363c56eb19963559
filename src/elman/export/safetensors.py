"""The plain arrays of any model, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from elman.errors import UserError
from elman.export.exported import Exported
from elman.export.options import ExportOptions
from elman.tasks.exchange import Say, Trained


def places(run: Trained, path: Path) -> list[Path]:
    """The file."""
    return [path]


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's parameters and buffers under their names in `run.model`, and what the model is as metadata."""
    about = {"task": run.task.name, "config": run.config["model"]}
    content = safetensors_file(run.model.state_dict(), {"elman": json.dumps(about)})
    notes = ("the metadata's \"elman\" holds the task and the model's configuration as JSON",)
    return Exported("safetensors", path, {path: content}, notes)


def safetensors_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file whose tensors are those given, bit by bit: read back, for a writer has stored views wrongly.

    Raises:
        UserError: the file holds other numbers.
    """
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    content = safetensors.torch.save(plain, {"format": "pt", **metadata})
    again = safetensors.torch.load(content)
    for name, tensor in plain.items():
        same = name in again and again[name].dtype == tensor.dtype and again[name].shape == tensor.shape
        if not same or again[name].numpy().tobytes() != tensors[name].detach().cpu().contiguous().numpy().tobytes():
            raise UserError(f"safetensors {safetensors.__version__} stored other numbers for {name}")
    return content

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from elman.train import tensor_files


@pytest.mark.parametrize("metadata", [None, {"values": 'é "1"'}])
def test_the_bytes_are_those_of_the_library(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    """Every dtype, tensors without a number and without a dimension, and a name that is not ASCII."""
    draw = torch.Generator().manual_seed(1)
    tensors = {
        f"{i}.{shape}": torch.randint(0, 2, shape, generator=draw).to(dtype)
        for i, dtype in enumerate(tensor_files.NAMES)
        for shape in ((3, 5), (0, 4), ())
    }
    tensors |= {"é": torch.randn(7, generator=draw), 'a"b': torch.randn(3, 2, generator=draw).t()}
    asked: list[str] = []

    def tensor(name: str) -> torch.Tensor:
        asked.append(name)
        return tensors[name]

    layout = {name: (x.dtype, tuple(x.shape)) for name, x in tensors.items()}
    tensor_files.write(tmp_path / "file", layout, tensor, metadata)
    dense = {name: x.contiguous() for name, x in tensors.items()}
    assert (tmp_path / "file").read_bytes() == safetensors.torch.save(dense, metadata)
    assert asked == tensor_files.order(layout)

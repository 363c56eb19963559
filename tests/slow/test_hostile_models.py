"""Files of models that are damaged or lie, by the hundred: one line each, nothing left behind, memory bounded.

INPUTS=20000 SEED=7 make slow        more of them, from another seed
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import hostile_models
from torch_networks import network

pytestmark = pytest.mark.slow
INPUTS, SEED = int(os.environ.get("INPUTS", "500")), int(os.environ.get("SEED", "1"))
PART = 50  # files of one process
RECORDED = Path(__file__).parents[1] / "interop" / "recorded"


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files of every kind."""
    folder = tmp_path_factory.mktemp("good")
    for name in ("lstm", "gru_both"):
        tensors = network(name).state_dict()
        torch.save(tensors, folder / f"{name}.pt")
        safetensors.torch.save_file(tensors, folder / f"{name}.safetensors")
    for path in RECORDED.rglob("*"):
        if path.suffix in hostile_models.WAYS:
            shutil.copy(path, folder)
    assert {path.suffix for path in folder.iterdir()} == {*hostile_models.WAYS}
    return folder


@pytest.mark.parametrize("first", range(SEED, SEED + INPUTS, PART))
def test_one_line_each(given: Path, first: int) -> None:
    arguments = [hostile_models.__file__, str(given), str(first), str(min(PART, SEED + INPUTS - first))]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stdout, done.stdout

"""The plain arrays of any model, as safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import elman
from elman.cli import run
from elman.errors import UserError
from elman.export.safetensors import safetensors_file

STORED = Path(__file__).parents[1] / "stored_runs" / "format_1"


def test_views_are_stored_as_they_read() -> None:
    """Transposed, strided and overlapping tensors: the numbers, not the memory behind them."""
    whole = torch.arange(12.0).view(3, 4)
    given = {"t": whole.t(), "strided": whole[:, ::2], "same": whole, "expanded": whole[:1].expand(3, 4)}
    found = safetensors.torch.load(safetensors_file(given, {"about": "views"}))
    assert found.keys() == given.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


def test_a_writer_that_scrambles_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def scrambled(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
        tensors = {name: tensor.t().contiguous().view(tensor.shape) for name, tensor in tensors.items()}
        return save(tensors, metadata)

    save = safetensors.torch.save
    monkeypatch.setattr(safetensors.torch, "save", scrambled)
    with pytest.raises(UserError, match=r"^safetensors .* stored other numbers for weight$"):
        safetensors_file({"weight": torch.arange(6.0).view(2, 3)}, {})


@pytest.mark.parametrize("name", ["lstm", "transformer", "pairs-gru"])
def test_every_model_goes_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(STORED / name, tmp_path / "run")
    file = tmp_path / "model.safetensors"
    assert run(["export", str(tmp_path / "run"), "--to", "safetensors", "-o", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == {str(file): file.stat().st_size}
    loaded = elman.load(tmp_path / "run")
    with safetensors.safe_open(file, framework="np") as stored:
        about = json.loads(stored.metadata()["elman"])
        state = loaded.model.state_dict()
        assert {*stored.keys()} == {*state}
        for key, tensor in state.items():
            np.testing.assert_array_equal(stored.get_tensor(key), tensor.numpy())
    assert loaded.task.build(about["config"]).load_state_dict(safetensors.torch.load_file(file))


@pytest.mark.parametrize(("to", "file"), [("torch", "m.safetensors"), ("keras", "m.keras"), ("flax", "m.npz")])
def test_a_run_goes_to_every_framework_or_is_refused(
    to: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    assert run(["export", str(tmp_path / "lstm"), "--to", to, "-o", str(tmp_path / file)]) == 0
    assert "outputs are logits of the next token" in capsys.readouterr().out
    assert (tmp_path / file).stat().st_size > 1000
    assert run(["export", str(tmp_path / "transformer"), "--to", to, "-o", str(tmp_path / f"other-{file}")]) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not (tmp_path / f"other-{file}").exists()
    assert run(["export", str(tmp_path / "lstm"), "--to", to, "-o", str(tmp_path / file), "--lengths"]) == 2
    assert "lengths is an option of onnx" in capsys.readouterr().err

"""Checkpoints in parts, as one process writes and reads them; tests/slow has those of several."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from elman.distributed import ALONE
from elman.train import checkpoints, sharded_checkpoints
from elman.train.checkpoints import Checkpoint, Counters, Damaged, Values

SHARED = torch.arange(6.0).view(2, 3)
TENSORS = {
    "model.embedding": SHARED,
    "model.decoder": SHARED,  # tied
    "model.bias": torch.tensor([0.1, -0.0, float("inf")], dtype=torch.float64),
    "optimizer.0.step": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
    "random.cpu": torch.arange(5, dtype=torch.uint8),
}
VALUES = Values(Counters(step=12, best=float("inf")), norms=[1.0], losses=[], carried=False)


def load(path: Path) -> Checkpoint:
    return sharded_checkpoints.load(path, lambda name: None, ALONE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return sharded_checkpoints.save(tmp_path, 12, Checkpoint(dict(TENSORS), VALUES), ALONE)


def test_what_is_saved_is_loaded(path: Path) -> None:
    found = load(path)
    assert found.values == VALUES
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor), name


def test_nothing_is_pickled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something is pickled")

    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert load(path).values == VALUES


def test_a_large_checkpoint_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded_checkpoints, "FILE_BYTES", 20)
    path = sharded_checkpoints.save(tmp_path, 1, Checkpoint(dict(TENSORS), VALUES), ALONE)
    assert len(list(path.glob("*.safetensors"))) > 2
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in load(path).tensors.items())


def shorten(path: Path) -> None:
    [file] = path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])


def alter(path: Path) -> None:
    [file] = path.glob("*.safetensors")
    file.write_bytes(file.read_bytes().replace(b"bias", b"bigs"))


def lose(path: Path) -> None:
    [file] = path.glob("*.safetensors")
    file.unlink()


def add(path: Path) -> None:
    [file] = path.glob("*.safetensors")
    (path / "shard-00002-model-00001-of-00001.safetensors").write_bytes(file.read_bytes())


def alter_values(path: Path) -> None:
    manifest = json.loads((path / "values.json").read_text())
    manifest["values"] = manifest["values"].replace('"step": 12', '"step": 13')
    (path / "values.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "damage", [shorten, alter, lose, add, alter_values, lambda path: (path / "values.json").unlink()]
)
def test_damage_is_seen_and_the_one_before_is_taken(damage, path: Path) -> None:
    later = sharded_checkpoints.save(path.parent, 13, Checkpoint(dict(TENSORS), VALUES), ALONE)
    damage(later)
    found = list(checkpoints.newest(path.parent, load))
    assert isinstance(found[0], Damaged)
    assert str(found[0]).startswith("step-000000013: ")
    assert isinstance(found[1], Checkpoint)


def test_both_kinds_are_kept_together(tmp_path: Path) -> None:
    """The newest two up to the step, whatever their kind; what a killed write has left goes."""

    def saved(step: int, save) -> list[str]:
        save(step)
        return sorted(path.name for path in tmp_path.iterdir())

    def in_parts(step: int) -> None:
        sharded_checkpoints.save(tmp_path, step, Checkpoint(dict(TENSORS), VALUES), ALONE)

    def whole(step: int) -> None:
        checkpoints.save(tmp_path, step, Checkpoint(dict(TENSORS), VALUES))

    saved(1, whole)
    (tmp_path / ".step-000000009.tmp").mkdir()
    (tmp_path / ".step-000000009.tmp" / "shard").write_bytes(b"killed")
    assert saved(2, in_parts) == ["step-000000001.safetensors", "step-000000002"]
    assert saved(3, in_parts) == ["step-000000002", "step-000000003"]
    assert saved(4, whole) == ["step-000000003", "step-000000004.safetensors"]
    assert saved(3, in_parts) == ["step-000000003"]
    assert load(tmp_path / "step-000000003").values == VALUES

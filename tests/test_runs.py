from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import elman
from elman import run_folders
from elman.data.tokenizers import CharTokenizer
from elman.errors import UserError
from elman.models import build
from elman.models.weights import load_weights


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def test_load(run: Path) -> None:
    loaded = elman.load(run)
    assert not loaded.model.training
    tokens = torch.tensor([loaded.tokenizer.encode("the cat").tolist()])
    logits, state = loaded.model(tokens)
    assert logits.shape == (1, 7, loaded.tokenizer.vocab_size)
    assert loaded.model(tokens[:, :1], state)[0].shape == (1, 1, loaded.tokenizer.vocab_size)
    assert loaded.tokenizer.decode(tokens[0]) == "the cat"


def test_the_model_folder_is_all_that_is_needed(run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(run / "model", tmp_path / "elsewhere")
    a, b = elman.load(run).model, elman.load(str(moved)).model
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_tied_weights_are_written_once_and_loaded_twice(tmp_path: Path) -> None:
    config = {"model": "gru", "vocab_size": 9, "hidden_size": 4, "embedding_size": 4, "tied": True}
    model = build(config)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != "decoder.weight"}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    other = build(config)
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(other.get_parameter("decoder.weight"), model.get_parameter("embedding.weight"))
    untied = build(config | {"tied": False})
    with pytest.raises(UserError, match=r"holds another model's weights \(see decoder.weight\)"):
        load_weights(untied, tmp_path / "model.safetensors")


def change_config(run: Path, **change: object) -> None:
    path = run / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model": config["model"] | change}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such run"),
    "no model": (lambda run: shutil.rmtree(run / "model"), "holds no model"),
    "no config": (lambda run: (run / "model/config.json").unlink(), "holds no model"),
    "a torn config": (lambda run: cut(run / "model/config.json"), "config.json is damaged"),
    "a config of something else": (lambda run: (run / "model/config.json").write_text("[1]"), "is damaged"),
    "an unknown model": (lambda run: change_config(run, model="lstn"), "did you mean 'lstm'?"),
    "an unknown setting": (lambda run: change_config(run, hiden_size=3), "did you mean 'hidden_size'?"),
    "a setting of the wrong type": (
        lambda run: change_config(run, hidden_size="big"),
        "config.json: hidden_size: expected a valid integer, got 'big'",
    ),
    "a setting that is a mapping": (
        lambda run: change_config(run, dropout_hidden={}),
        "expected a valid number, got {}",
    ),
    "a size beyond all memory": (lambda run: change_config(run, hidden_size=2**16), "holds another model's weights"),
    "a size beyond its limit": (lambda run: change_config(run, hidden_size=10**6), "less than or equal to 65536"),
    "a size beyond all numbers": (lambda run: change_config(run, vocab_size=10**30), "config.json is damaged"),
    "layers without end": (lambda run: change_config(run, num_layers=10**9), "holds another model's weights"),
    "another size": (lambda run: change_config(run, hidden_size=9), "holds another model's weights"),
    "another vocabulary": (lambda run: change_config(run, vocab_size=9), "holds another model's weights"),
    "another tokenizer": (
        lambda run: CharTokenizer("abc").save(run / "model/tokenizer.json"),
        "tokenizer.json is another model's",
    ),
    "no weights": (lambda run: (run / "model/model.safetensors").unlink(), "not there yet"),
    "torn weights": (lambda run: cut(run / "model/model.safetensors"), "is damaged"),
    "no tokenizer": (lambda run: (run / "model/tokenizer.json").unlink(), "tokenizer"),
    "a torn tokenizer": (lambda run: cut(run / "model/tokenizer.json"), "tokenizer"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_what_cannot_be_loaded(run: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(run)
    with pytest.raises(UserError) as error:
        elman.load(run)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_it_does_not_know(run: Path) -> None:
    path = run / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "tagging"}))
    with pytest.raises(UserError, match="expected language-modelling or translation, got the task 'tagging'"):
        elman.load(run)


def test_a_lock_that_led_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with run_folders.lock(folder):
            (folder / "cache").mkdir(exist_ok=True)
            (folder / "cache" / "train.bin").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a" / "b")
    assert names(tmp_path) == []

    (tmp_path / "mine" / "cache").mkdir(parents=True)
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "mine")
    assert names(tmp_path / "mine") == ["cache", "notes.txt"]


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    with run_folders.lock(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is training"), run_folders.lock(tmp_path / "run"):
            pass
        (tmp_path / "run" / "config.yaml").touch()
    with run_folders.lock(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_lock_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), run_folders.lock(tmp_path / "file" / "run"):
        pass

"""What an import says, refuses and leaves behind; and losses of models whose file has probabilities."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import elman
from elman.cli import run as command
from elman.errors import UserError
from elman.importing import kind_of
from elman.models.layered_classifier import LayeredClassifier
from elman.models.layered_language_model import LayeredLanguageModel
from elman.models.layered_tagger import LayeredTagger
from foreign_models import FOREIGN


def described(head: list[Any], reads: str = "last") -> dict[str, str]:
    """The metadata of a safetensors file that describes its layers."""
    return {
        "layers": json.dumps([{"embedding": "embedding"}, {"gru": "rnn", "reads": reads}, {"linear": "head"}, *head])
    }


def write(path: Path, outputs: int, *head: str, reads: str = "last", scale: float = 1.0) -> nn.Module:
    torch.manual_seed(4)
    module = nn.ModuleDict(
        {"embedding": nn.Embedding(9, 4), "rnn": nn.GRU(4, 5, batch_first=True), "head": nn.Linear(5, outputs)}
    )
    with torch.no_grad():
        module["head"].weight *= scale
    safetensors.torch.save_file(module.state_dict(), path, described([*head], reads))
    return module


@torch.no_grad()
def scores_of(module: Any, tokens: torch.Tensor, whole: bool) -> torch.Tensor:
    outputs, state = module["rnn"](module["embedding"](tokens))
    made: torch.Tensor = module["head"](state[-1] if whole else outputs)
    return made


@pytest.mark.parametrize("failing", ["safetensors.torch.save_model", "elman.runs.load"])
def test_nothing_is_left_of_an_import_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """The disk is full while the run is written, or what was written cannot be read."""
    write(tmp_path / "m.safetensors", 9, reads="sequence")
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    def fail(*given: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(failing, fail)
    with pytest.raises((OSError, UserError), match="No space left on device"):
        elman.import_model(tmp_path / "m.safetensors")
    assert [*place.iterdir()] == []


TOKENS = torch.tensor([[1, 2, 3, 4], [8, 7, 6, 5]])


def test_softmax_of_a_file_is_in_the_output_and_not_in_the_loss(tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 9, "softmax", reads="sequence", scale=500.0)
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run")
    z = scores_of(module, TOKENS, whole=False)
    torch.testing.assert_close(run.model(TOKENS)[0], z.softmax(-1), rtol=0, atol=1e-6)
    torch.testing.assert_close(run.model.read(TOKENS)[0], z, rtol=1e-5, atol=1e-5)
    assert run.model(TOKENS)[0].min() == 0  # its logarithm is none
    (tmp_path / "text.txt").write_text("1 2 3 4 8 7 6 5 1 2 3 4")
    assert math.isfinite(run.evaluate(tmp_path / "text.txt")["loss"])


def test_of_a_probability_alone_the_loss_takes_the_logarithm(tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 9, "softmax", reads="sequence")
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run")
    network = {**run.model.network.config, "logits": None}
    model = LayeredLanguageModel(9, network).eval()
    model.load_state_dict(run.model.state_dict())
    expected = scores_of(module, TOKENS, whole=False).log_softmax(-1)
    torch.testing.assert_close(model.read(TOKENS)[0], expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        model.network.named_nodes["head"].layer.weight.mul_(1e4)
    found = model.read(TOKENS)[0]
    assert found.isfinite().all()
    found.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("logits", [True, False])
def test_one_sigmoid_is_two_classes(logits: bool, tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 1, "sigmoid")
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run", labels=["no", "yes"])
    z = scores_of(module, TOKENS, whole=True)
    torch.testing.assert_close(run.model(TOKENS)[0], z.sigmoid(), rtol=0, atol=1e-6)
    model = run.model
    if not logits:
        config = {**run.config["model"], "network": {**model.network.config, "logits": None}}
        model = LayeredClassifier(**{name: value for name, value in config.items() if name != "model"}).eval()
        model.load_state_dict(run.model.state_dict())
    torch.testing.assert_close(model.scores(TOKENS)[0], torch.cat((0 * z, z), 1), rtol=0, atol=1e-5)
    [answer] = run.answers(["1 2 3 4"])
    assert answer.record["probabilities"]["yes"] == pytest.approx(float(z[0].sigmoid()), abs=1e-6)
    torch.testing.assert_close(model.scores(TOKENS, k2=2)[0], model.scores(TOKENS)[0])


def test_several_sigmoids_are_several_labels(tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 3, "sigmoid", scale=20.0)
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run", labels=["a", "b", "c"])
    p = scores_of(module, TOKENS, whole=True).sigmoid()
    said = run.predict(["1 2 3 4", "8 7 6 5"])
    assert said == [tuple(name for name, one in zip("abc", row, strict=True) if one >= 0.5) for row in p]


def test_one_sigmoid_at_each_step_is_two_tags(tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 1, "sigmoid", reads="sequence")
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run", labels=["O", "X"])
    assert isinstance(run.model, LayeredTagger)
    p = scores_of(module, TOKENS, whole=False).sigmoid()[0, :, 0]
    assert run.predict(["1 2 3 4"]) == [["X" if one > 0.5 else "O" for one in p]]
    torch.testing.assert_close(run.model(TOKENS)[0][0, :, 0], p, rtol=0, atol=1e-6)


def test_one_number(tmp_path: Path) -> None:
    module = write(tmp_path / "m.safetensors", 1)
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run")
    assert run.config["model"]["kind_of_labels"] == "number"
    assert run.predict("1 2 3 4") == pytest.approx(float(scores_of(module, TOKENS, whole=True)[0, 0]), abs=1e-6)


def test_words_without_a_number_are_refused_by_a_tagger(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", 3, reads="sequence")
    run = elman.import_model(tmp_path / "m.safetensors", tmp_path / "run")
    with pytest.raises(elman.UserError, match="expected one of the vocabulary's 9, got 'cat'"):
        run.predict(["1 cat"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.save(FOREIGN["classification"].make().state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


REFUSED = {
    "no such file": (["nothing.pt"], 1, "nothing.pt is missing"),
    "another kind": (["labels.txt"], 2, "a file that is none of them"),
    "task": (["model.pt", "--task", "taging"], 2, "did you mean 'tagging'"),
    "translation": (["model.pt", "--task", "translation"], 2, "takes no model of another framework"),
    "no language model": (["model.pt", "--task", "lm"], 1, "an output for each token at every step, got 2 outputs"),
    "labels": (["model.pt", "--labels", "labels.txt"], 1, "expected 2 different names, got 3"),
    "tokenizer": (["model.pt", "--tokenizer", "long.txt"], 1, "at most the 13 tokens"),
    "layers": (["model.pt", "--layers", "labels.txt"], 1, "expected a list of layers"),
    "no layers": (["model.pt", "--layers", "nothing.yaml"], 1, "nothing.yaml is missing"),
    "leading": (["model.pt", "--leading", "left"], 2, "--leading: expected state or zero"),
    "damaged": (["damaged.safetensors"], 1, "is damaged"),
    "graph": (["model.onnx"], 1, ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_written_where_anything_is_refused(
    name: str, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model.parent
    monkeypatch.chdir(folder)
    (folder / "labels.txt").write_text("a\nb\nc\n")
    (folder / "long.txt").write_text("".join(f"w{n}\n" for n in range(14)))
    (folder / "damaged.safetensors").write_bytes(b"\xff" * 7 + b"\x00{" + b"a" * 40)
    (folder / "model.onnx").write_bytes(b"\x08\x07garbage")
    before = sorted(folder.rglob("*"))
    arguments, code, words = REFUSED[name]
    assert command(["import", *arguments, "-o", "deep/run"]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.splitlines()[-1].startswith("elman: ")
    assert "Traceback" not in error
    assert sorted(folder.rglob("*")) == before


def test_a_run_is_replaced_only_when_the_new_one_stands_ready(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert command(["import", str(model), "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["task"] == "classification"
    assert [node["op"] for node in report["nodes"]] == ["embedding", "recurrent", "linear"]
    assert any("guessed" in note for note in report["notes"])
    (out / "mine.txt").write_text("stays")
    first = (out / "model" / "model.safetensors").read_bytes()
    assert command(["import", str(model), "-o", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err
    torch.save({"a.weight": torch.zeros(2, 2, 2)}, tmp_path / "other.pt")
    (out / "mine.txt").unlink()
    assert command(["import", str(tmp_path / "other.pt"), "-o", str(out), "--overwrite"]) == 1
    assert (out / "model" / "model.safetensors").read_bytes() == first
    torch.save(FOREIGN["tagging"].make().state_dict(), tmp_path / "other.pt")
    assert command(["import", str(tmp_path / "other.pt"), "-o", str(out), "--overwrite", "--task", "pos"]) == 0
    assert elman.load(out).task.name == "tagging"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_usual_folder(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    assert command(["import", "model.pt"]) == 0
    assert command(["import", "model.pt"]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["model-imported", "model-imported-2"]


def test_kinds_of_files(tmp_path: Path, model: Path) -> None:
    assert kind_of(model) == "torch"
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 20)
    assert kind_of(tmp_path / "old.h5") == "keras"
    (tmp_path / "graph").write_bytes(b"\x08\x08\x12\x07pytorch")
    assert kind_of(tmp_path / "graph") == "onnx"


def test_overwrite_waits_for_no_training(model: Path, tmp_path: Path) -> None:
    from elman import run_folders

    out = tmp_path / "run"
    elman.import_model(model, out)
    (out / "config.yaml").write_text("")
    with run_folders.lock(out), pytest.raises(elman.UserError, match="another process is training"):
        elman.import_model(model, out, overwrite=True)


def test_a_shell_completes_an_imported_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from elman.cli.completion import run_folder

    monkeypatch.chdir(tmp_path)
    elman.import_model(model, "runs/mine")
    assert run_folder(None, "ru") == ["runs/mine"]  # type: ignore[arg-type]

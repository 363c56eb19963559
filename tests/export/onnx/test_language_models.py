"""Language models as graphs in onnxruntime, leaf by leaf; and the export of a run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman.cells import CELLS
from elman.cli import run as command
from elman.errors import UserError
from elman.export import export
from elman.export.onnx import check, drawing, recurrent_operators
from elman.export.onnx.drawing import draw
from elman.export.onnx.warnings import warnings_of
from elman.export.options import ExportOptions
from elman.models import LanguageModel, build
from elman.state import concatenate, leaves

onnxruntime = pytest.importorskip("onnxruntime")
RECURRENT: dict[str, dict[str, Any]] = {
    **{cell: {"model": cell} for cell in CELLS},
    "two layers": {"model": "lstm", "num_layers": 2},
    "tied": {"model": "gru", "tied": True, "num_layers": 2},
    "residual": {"model": "lstm", "residual": True, "num_layers": 3, "embedding_size": 8},
    "everything of the lstm": {
        "model": "lstm", "peepholes": True, "zoneout": 0.1, "zoneout_cell": 0.3, "layer_norm": True, "num_layers": 2,
    },
    "layer norm": {"model": "gru", "layer_norm": True},
}  # fmt: skip
TRANSFORMERS: dict[str, dict[str, Any]] = {
    f"{positions}, window {window}": {"model": "transformer", "positions": positions, "window": window, **more}
    for positions, more in (("rotary", {"tied": True}), ("sinusoidal", {"qk_norm": False}))
    for window in (None, 1, 2, 5, 64)
}
SIZES = {"vocab_size": 11, "hidden_size": 8, "num_layers": 2}


def made(config: dict[str, Any]) -> LanguageModel:
    torch.manual_seed(1)
    sizes = SIZES | ({"num_heads": 2} if config["model"] == "transformer" else {"embedding_size": 6})
    model = build(sizes | config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def caller(model: LanguageModel, **options: Any) -> check.Call:
    graphs = draw(SimpleNamespace(model=model, path="run"), ExportOptions(**options)).graphs
    return check.OPENERS["onnxruntime"]({name: graph.model({}).SerializeToString() for name, graph in graphs.items()})


def compare(model: LanguageModel, call: check.Call, state: Any, B: int, T: int, lengths: bool) -> None:
    """Three pieces, each from the state that the graph gave."""
    feeds = {f"state_{n}": leaf.numpy() for n, leaf in enumerate(leaves(state))}
    for _ in range(3):
        tokens = torch.randint(model.vocab_size, (B, T))
        ends = torch.randint(T + 1, (B,)) if lengths else None
        with torch.no_grad():
            logits, state = model(tokens, state, lengths=ends)
        given = {} if ends is None else {"lengths": ends.numpy()}
        found = call("model", {"tokens": tokens.numpy(), **given, **feeds})
        real = np.arange(T) < (np.full((B, 1), T) if ends is None else ends.numpy()[:, None])
        np.testing.assert_allclose(found["logits"][real], logits.numpy()[real], atol=1e-5)
        feeds = {f"state_{n}": found[f"next_state_{n}"] for n in range(len(feeds))}
        for theirs, ours in zip(feeds.values(), leaves(state), strict=True):
            np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", RECURRENT | TRANSFORMERS)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
def test_models(name: str, lengths: bool) -> None:
    model = made((RECURRENT | TRANSFORMERS)[name])
    call = caller(model, lengths=lengths)
    for B, T in ((1, 1), (3, 7), (2, 33)):
        for past in (0, 4):
            with torch.no_grad():
                _, state = model(torch.randint(model.vocab_size, (B, past)))
            compare(model, call, state, B, T, lengths)


@pytest.mark.parametrize("window", [None, 4])
def test_rows_of_a_transformer_that_have_read_different_numbers_of_steps(window: int | None) -> None:
    model = made({"model": "transformer", "window": window})
    with torch.no_grad():
        states = [model(torch.randint(model.vocab_size, (1, steps)))[1] for steps in (9, 2, 0)]
    compare(model, caller(model), concatenate(states), 3, 3, lengths=False)


def test_positions_of_a_long_stream() -> None:
    """A stream of 16 million steps: 32 bits would not tell a position from the next one."""
    model = made({"model": "transformer", "positions": "sinusoidal", "window": 4})
    with torch.no_grad():
        _, state = model(torch.randint(model.vocab_size, (1, 9)))
    state = state._replace(position=state.position + 3 * (1 << 24))
    compare(model, caller(model), state, 1, 5, lengths=False)


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_matrix_is_written_once(tied: bool) -> None:
    run = SimpleNamespace(model=made({"model": "gru", "tied": tied}), path="run")
    weights = draw(run, ExportOptions()).graphs["model"].weights
    assert len([array for _, array in weights.values() if array.ndim == 2 and 11 in array.shape]) == 2 - tied


def test_export_writes_a_file_or_a_folder(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["export", str(trained), "-o", str(tmp_path / "model.onnx"), "--check", "reference"]) == 0
    said = capsys.readouterr().out
    assert said.count("differs by at most") == 2
    assert command(["export", str(trained), "--to", "onnx", "-o", str(tmp_path / "folder"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        "config.json", "model.onnx", "tokenizer.json",
    ]  # fmt: skip
    [row] = report["checks"]
    assert row["difference"] < 1e-5
    assert row["loss"] == pytest.approx(row["runtime_loss"], abs=1e-5)
    config = json.loads((tmp_path / "folder/config.json").read_text())
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["elman"]) == config
    assert [each["name"] for each in config["state"]] == ["state_0", "state_1"]
    assert config["state"][0] == {
        "name": "state_0", "dtype": "float32", "shape": ["batch", 8], "next": "next_state_0", "initial": 0,
    }  # fmt: skip
    assert config["inputs"] == [{"name": "tokens", "dtype": "int64", "shape": ["batch", "time"]}]
    assert config["codecs"] == {"tokenizer": "tokenizer.json"}


def test_a_graph_that_computes_something_else_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = recurrent_operators.OPERATORS
    wrong = operators["lstm"]._replace(convention="onnx.GRU")
    monkeypatch.setitem(operators, "lstm", wrong._replace(convention="onnx.LSTM", attributes={"clip": 0.01}))
    with pytest.raises(UserError, match=r"nothing was written: onnxruntime .* is wrong: differs by at most"):
        export(trained, "onnx", tmp_path / "model.onnx")
    assert not [*tmp_path.iterdir()]


def test_without_its_data_a_run_is_compared_on_random_tokens(trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained / "model", tmp_path / "model")
    said: list[str] = []
    exported = export(elman.load(model), "onnx", tmp_path / "model.onnx", say=said.append)
    assert "the inputs of the check are random" in said[0]
    assert exported.checks[0].difference < 1e-5
    assert exported.checks[0].loss is None


def test_without_onnxruntime_nothing_is_checked_and_said(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    absent = ("onnxruntime", "openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))
    said: list[str] = []
    assert not export(elman.load(trained), "onnx", tmp_path / "model.onnx", say=said.append).checks
    assert said == ["nothing was checked: onnxruntime is not installed (pip install 'elman[onnx]')"]
    with pytest.raises(UserError, match="check: onnxruntime is not installed; pip install onnxruntime"):
        export(elman.load(trained), "onnx", tmp_path / "other.onnx", check=("onnxruntime", "openvino"))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model": "lstm"}, ["MNN", "OpenVINO"]),
        ({"model": "elman"}, ["OpenCV", "MNN", "OpenVINO"]),
        ({"model": "mingru"}, ["OpenCV", "OpenVINO"]),
        ({"model": "transformer"}, ["tract", "OpenVINO"]),
    ],
)
def test_runtimes_that_are_known_to_fail_are_named(config: dict[str, Any], named: list[str]) -> None:
    graphs = draw(SimpleNamespace(model=made(config), path="run"), ExportOptions()).graphs
    assert [words.split()[0] for words in warnings_of(graphs.values())] == named


REFUSALS = {
    "a format": (["--to", "onix"], "did you mean 'onnx'?"),
    "a runtime": (["--check", "openvin"], "expected onnxruntime or openvino or tract or reference"),
    "an option of another format": (["--to", "c", "--lengths"], "lengths is an option of onnx"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = REFUSALS[name]
    assert command(["export", str(trained), "-o", str(tmp_path / "x.onnx"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_folder_or_file_in_the_way(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("mine")
    assert command(["export", str(trained), "-o", str(tmp_path / "folder.onnx")]) == 1
    assert "a folder is in its place" in capsys.readouterr().err
    assert command(["export", str(trained), "-o", str(tmp_path / "file")]) == 2
    assert "expected a folder, or a name that ends in .onnx, got a file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_every_model_of_elman_has_graphs() -> None:
    from elman.models import EncoderDecoder
    from elman.models.classifier import Classifier
    from elman.models.forecaster import SeriesForecaster
    from elman.models.tagger import Tagger

    bases = LanguageModel.__subclasses__() + EncoderDecoder.__subclasses__() + [Classifier, SeriesForecaster, Tagger]
    names = {each.__name__ for each in bases if each.__module__.startswith("elman.")}
    assert names - {"OwnLanguageModel"} <= drawing.DRAWERS.keys()

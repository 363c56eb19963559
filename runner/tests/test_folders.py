"""Folders that nobody should have made: one line each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import elman_runner
from elman_runner.command import main
from exported_runs import TEXT, exported


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("runs"), TEXT, model="lstm", lanes=4, k1=8).folder


def _config(**values: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        data = json.loads((folder / "config.json").read_text())
        return (folder / "config.json").write_text(json.dumps(data | values))

    return change


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "expected a folder"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "no graph": (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
    "a pipe": (lambda folder: (folder / "config.json").unlink() or (folder / "config.json").mkdir(), "expected a file"),
    "no JSON": (_write("config.json", b"{"), "config.json is damaged"),
    "no UTF-8": (_write("config.json", b"\xff\xfe{}"), "config.json is damaged"),
    "deep": (_write("config.json", b"[" * 100_000), "config.json is damaged"),
    "NaN": (_write("config.json", b'{"format": NaN}'), "config.json is damaged"),
    "a list": (_write("config.json", b"[]"), "expected dict"),
    "another format": (_config(format=9), "expected format 1, got 9"),
    "true as a number": (_config(format=True), "expected int"),
    "another task": (_config(task="../../bin/sh"), "task: expected language-modelling or"),
    "a path": (_config(graphs={"model": "/etc/passwd"}), ""),
    "cut short": (
        lambda folder: _write("model.onnx", (folder / "model.onnx").read_bytes()[:500])(folder),
        "onnxruntime",
    ),
    "no graph in it": (_write("model.onnx", b"\xff" * 99), "onnxruntime cannot run it"),
    "another tokenizer": (_write("tokenizer.json", b'{"kind": "char", "characters": "ab", "eod": false}'), "tokens"),
    "no tokenizer": (_write("tokenizer.json", b'{"kind": "os.system"}'), "expected a tokenizer of char"),
    "damaged tokenizer": (_write("tokenizer.json", b'{"kind": "word", "words": [1], "eod": false}'), "list\\[str\\]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line(name: str, sound: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, message = HOSTILE[name]
    folder = tmp_path / "folder"
    shutil.copytree(sound, folder)
    change(folder)
    code = main([f"{folder}", "the", "--tokens", "3", "--seed", "1"])
    err = capfd.readouterr().err
    if not message:  # names of files are not read from files
        assert (code, err) == (0, "")
        return
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("elman-run: ")
    with pytest.raises(elman_runner.RunnerError, match=message):
        elman_runner.load(folder).generate("the", tokens=3)


def test_a_graph_of_another_model(sound: Path, tmp_path: Path) -> None:
    import onnx

    folder = tmp_path / "folder"
    shutil.copytree(sound, folder)
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].name = "other"
    for node in model.graph.node:
        node.input[:] = ["other" if name == "tokens" else name for name in node.input]
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(elman_runner.RunnerError, match=r"expected tokens -> logits, got other, "):
        elman_runner.load(folder)

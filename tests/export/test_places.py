"""Where exports go: what is there already stays, unless a person says otherwise, and a run's own files always."""

from __future__ import annotations

import errno
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from elman import atomic
from elman.cli import run as command
from elman.export import FORMATS, export
from elman.export.onnx.graph import Graph
from elman.runs import load

FORMS = {
    "torch": ["model.safetensors", "model.py"],
    "keras": ["model.keras"],
    "flax": ["model.npz", "model.py"],
    "safetensors": ["model.safetensors"],
    "c": ["model.h", "model.c"],
    "onnx": ["model.onnx"],
}


@pytest.fixture(scope="module")
def trained(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    sizes = [f"--set={name}=4" for name in ("hidden_size", "embedding_size", "lanes", "k1")]
    assert command(["train", str(plain_text), "-o", str(folder), "--steps", "2", *sizes]) == 0
    return folder


def target(form: str, folder: Path) -> Path:
    """What `-o` names."""
    return folder / ("model" if form == "c" else FORMS[form][0])


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_there_stays(
    form: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FORMS[form]:
        others = {other: (tmp_path / other).unlink(missing_ok=True) for other in FORMS[form]}
        (tmp_path / name).write_text("mine")
        given = ["export", str(trained), "--to", form, "-o", str(target(form, tmp_path))]
        assert command(given) == 2
        error = capsys.readouterr().err
        assert f"{tmp_path / name} already exists; replace it (--overwrite)" in error
        assert [file.name for file in tmp_path.iterdir()] == [name], others
        assert (tmp_path / name).read_text() == "mine"
    assert command([*given, "--overwrite", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == {str(tmp_path / name): (tmp_path / name).stat().st_size for name in FORMS[form]}
    assert {"run", "format", "path", "notes", "checks", "quantised"} <= {*report}


@pytest.mark.parametrize("form", FORMS)
def test_a_place_is_refused_before_anything_is_made(
    form: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*given: Any) -> None:
        raise AssertionError("a model was written")

    monkeypatch.setattr(FORMATS[form].load(), "write", write)
    (tmp_path / FORMS[form][-1]).write_text("mine")
    given = ["export", str(trained), "--to", form, "-o", str(target(form, tmp_path))]
    assert command(given) == 2
    assert "already exists" in capsys.readouterr().err
    monkeypatch.setattr(atomic.os, "access", lambda path, mode: False)  # what a folder says that one may not write to
    given[-1] = str(target(form, tmp_path / "new" / "folder"))
    assert command(given) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "Permission denied; choose a place you may write to with -o" in line
    given[-1] = str(target(form, tmp_path / FORMS[form][-1]))  # a file is no folder
    assert command(given) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / FORMS[form][-1]} is not a folder" in line


def test_int8_reads_the_validation_data_once_and_draws_each_graph_once(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    run, counts = load(trained), Counter[str]()

    def counted(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*given: Any) -> Any:
            counts[name] += 1
            return function(*given)

        monkeypatch.setattr(owner, name, call)

    counted(type(run.task), "observe")
    counted(Graph, "model")
    export(run, "onnx", tmp_path / "model.onnx", int8=True)
    assert counts == {"observe": 1, "model": 1}


def test_files_of_the_run_are_never_replaced(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (trained / "model", trained / "model" / ".." / "model"):  # a folder with a config.json of its own
        before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
        assert command(["export", str(trained), "-o", str(place), "--overwrite"]) == 2
        assert "is a file of the run: it is not replaced" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_nothing(
    form: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    assert command(["export", str(trained), "--to", form, "-o", str(target(form, tmp_path))]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    assert not [*tmp_path.iterdir()]


def test_names_and_options_that_are_not_there(trained: Path, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("onx", {}, "did you mean 'onnx'"),
        ("keras", {"int8": True}, "int8 is an option of onnx and c"),
        ("torch", {"check": ("onnxruntime",)}, "check is an option of onnx"),
        ("onnx", {"int": True}, "int"),
    ]
    for form, options, message in cases:
        with pytest.raises(Exception, match=message) as raised:
            export(trained, form, tmp_path / "x.onnx", **options)
        assert getattr(raised.value, "exit_code", None) == 2
    assert not [*tmp_path.iterdir()]

"""`elman bench`."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elman.bench import contest, onnx_layer, timing
from elman.cli import run as command

TINY = ["--shapes", "3,2,4,1,1,4", "--threads", "1", "--seconds", "0"]


@pytest.fixture(autouse=True)
def small_matmuls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "MATMUL_SIZES", (8, 16))


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        onnx_layer.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else found(name)
    )


def bench(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command(["bench", *arguments]) == code
    return capsys.readouterr()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(bench([*TINY, "--json"], capsys)[0])
    assert report["environment"]["packages"]["torch"]
    assert (report["threads"], report["backend"], report["seconds"], report["clock"]) == ([1], None, 0, "wall")
    assert report["complete"] is True
    assert [(it["threads"], it["dtype"]) for it in report["matmul"]] == [(1, "float32"), (1, "bfloat16")]
    assert len(report["lines"]) == 2 * 3 * 2 * 2
    for line in report["lines"]:
        others = {"torch"} | ({"elman_float32"} if line["dtype"] == "bfloat16" else set())
        if (line["dtype"], line["pass"]) == ("float32", "inference") and onnx_layer.missing_package() is None:
            others.add("onnxruntime")
        assert set(line["ratios"]) == others
        assert set(line["seconds"]) == others | {"elman"}
        assert line["ratios"]["torch"] == pytest.approx(line["seconds"]["torch"] / line["seconds"]["elman"])
        assert line["gflops"] > 0
        assert line["fraction"] > 0
    assert len(report["means"]) == 3 * 2 * 2
    for mean in report["means"]:
        group = [line for line in report["lines"] if all(line[key] == mean[key] for key in ("pass", "dtype", "cell"))]
        assert [line["shape"][0] for line in group] == [3, 1]
        assert [mean["grid"], mean["step"]] == [pytest.approx(line["ratios"]) for line in group]
    assert report["worst"]["torch"]["ratio"] == min(line["ratios"]["torch"] for line in report["lines"])


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = bench([*TINY, "--cells", "gru", "--backend", "reference", "--clock", "cpu"], capsys)
    lines = out.splitlines()
    assert lines[0].startswith("inference, float32, 1 thread; torch.mm reaches ")
    assert [line.split()[0] for line in lines[1:4]] == ["cell", "gru", "gru"]
    assert sum(line.startswith("gru ") for line in lines) == 2 * 2 * 2
    means = lines[lines.index(next(line for line in lines if line.startswith("geometric means"))) + 1 :]
    assert [line.split()[:2] for line in means[1:5]] == [
        ["inference", "float32"],
        ["training", "float32"],
        ["inference", "bfloat16"],
        ["training", "bfloat16"],
    ]
    assert lines[-1].startswith("worst against ")
    assert all(line.isascii() and "\x1b" not in line for line in lines)


def test_named_shapes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "medians", lambda *_: {"elman": 1.0, "torch": 2.0})
    arguments = ["--shapes", "step, 2,1,3 ,step", "--cells", "elman", "--passes", "training", "--dtypes", "float32"]
    report = json.loads(bench([*arguments, "--threads", "1", "--seconds", "0", "--json"], capsys)[0])
    assert [line["shape"] for line in report["lines"]] == [[1, 1, 512], [2, 1, 3]]


def test_onnxruntime_is_left_out_where_it_is_missing(
    without_onnxruntime: None, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--cells", "lstm", "--dtypes", "float32"]
    out, err = bench([*TINY, *only], capsys)
    assert "onnxruntime" not in out
    assert err.count("\n") == 1
    assert "elman[bench]" in err
    assert bench([*TINY, *only, "--passes", "training"], capsys)[1] == ""


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_an_interrupted_run_reports_what_it_has(
    without_onnxruntime: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    def medians(*args: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return {"elman": 1.0, "torch": 2.0}

    monkeypatch.setattr(contest, "medians", medians)
    out, err = bench([*TINY, "--passes", "training", *(["--json"] if as_json else [])], capsys, code=130)
    assert err == "stopped; the report has the measurements until then\n"
    if as_json:
        report = json.loads(out)
        assert (len(report["lines"]), report["complete"]) == (1, False)
    else:
        assert sum(line.startswith("elman ") for line in out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "gru,lstn"], "--cells: there is no 'lstn'; did you mean 'lstm'?"),
        (["--cells", "gru,mingru"], "--cells: torch.nn has no layer to compare 'mingru' with; did you mean 'gru'?"),
        (["--cells", "slstm"], "--cells: torch.nn has no layer to compare 'slstm' with; did you mean 'lstm'?"),
        (["--backend", "mingru"], "--backend: there is no 'mingru'"),
        (["--cells", ""], "--cells: there is no ''; known are: elman, gru, lstm"),
        (["--shapes", "gird"], "--shapes: there is no 'gird'; did you mean 'grid'?"),
        (["--shapes", "grid,3,4"], "--shapes: expected three positive numbers T,B,H, got '3,4'"),
        (["--shapes", "3,0,4"], "--shapes: expected three positive numbers T,B,H, got '3,0,4'"),
        (["--shapes", "-3,1,4"], "--shapes: expected three positive numbers T,B,H, got '-3,1,4'"),
        (["--shapes", "3,step,4"], "--shapes: expected three positive numbers T,B,H, got '3,step,4'"),
        (["--dtypes", "float16"], "--dtypes: there is no 'float16'; did you mean 'bfloat16'?"),
        (["--passes", "train"], "--passes: there is no 'train'; did you mean 'training'?"),
        (["--threads", "0"], "--threads: expected from 1 to "),
        (["--threads", "many"], "--threads: expected from 1 to "),
        (["--backend", "natve"], "--backend: there is no 'natve'; did you mean 'native'?"),
        (["--backend", "native,torch"], "--backend: there is no 'native,torch'"),
        (["--clock", "cup"], "--clock: there is no 'cup'; did you mean 'cpu'?"),
        (["--clock", "cpu", "--threads", "1,2"], "--clock cpu times one thread alone; give --threads 1"),
        (["--seconds", "nan"], "--seconds"),
        (["--seconds", "inf"], "--seconds"),
        (["--seconds", "-1"], "--seconds"),
    ],
)
def test_wrong_options(fails: Callable[[list[str | Path], int], str], arguments: list[str], message: str) -> None:
    assert message in fails(["bench", *arguments], 2)

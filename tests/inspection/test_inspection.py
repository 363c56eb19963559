"""`elman inspect`, from a run to a report."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

import elman
from elman.cli import run as command
from elman.inspection import PARTS, inspect
from elman.inspection.subject import open_subject
from elman.inspection.windows import window_marks
from elman.lens import fit_decay, gradient_flow, read_gates, visit_layers
from elman.lens.decay import WORDS

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


def said(arguments: list[str | Path], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


HAS = {
    "lstm": {"gradients", "gates", "memory", "truncation", "clipping"},
    "gru": {"gradients", "gates", "memory", "truncation", "clipping"},
    "elman": {"gradients", "memory", "truncation", "clipping"},
    "transformer": {"gradients", "memory", "attention", "truncation", "clipping"},
}


@pytest.mark.parametrize("kind", HAS)
def test_every_kind_of_run_has_its_report(
    runs: dict[str, Path], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    report = tmp_path / "report.html"
    out, err = said(["inspect", runs[kind], "-o", report, "--json"], capsys)
    numbers = json.loads(out)
    assert set(numbers) & set(PARTS) == HAS[kind]
    assert str(report) in err
    html = report.read_text(encoding="utf-8")
    assert len(html) < 3_000_000
    assert "nan" not in re.sub(r"base64,[^\"]*|<table.*?</table>|<div class=\"strip\">.*?</div>", "", html)
    assert html.count("<figure") == html.count("<details>") == html.count('class="reading"') >= 6
    assert torch.get_num_threads() == threads


def test_lines_for_a_terminal_and_the_report_in_the_run(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs["gru"], tmp_path / "run")
    out, err = said(["inspect", run], capsys)
    assert out.startswith("gradient by input: trained ")
    assert (run / "report.html").is_file()
    assert f"the report is in {run / 'report.html'}" in err
    said(["inspect", run, "--json"], capsys)


def test_the_numbers_are_the_lens(runs: dict[str, Path]) -> None:
    numbers = inspect(runs["lstm"], parts=["gradients", "gates"]).numbers
    subject = open_subject(elman.load(runs["lstm"]), None)
    windows = subject.windows(16, 256)
    [first, _] = [read_gates(v) for v in visit_layers(subject.run.model, lambda: subject.run.model.read(windows))]
    np.testing.assert_allclose(numbers["gates"]["trained"][0]["time_scale"], first.time_scale, rtol=1e-5)
    windows = subject.windows(32, 265)
    past = (windows.shape[1] - 1) * 64 // 264
    with torch.no_grad():
        _, state = subject.run.model.read(windows[:, :past])
    flow = gradient_flow(subject.run.model, windows[:, past:-1], windows[:, -1], state)
    found = numbers["gradients"]["trained"]["gradients"]["input"]
    np.testing.assert_allclose(found["quantiles"]["0.5"], flow.input.quantile(0.5), rtol=1e-5, atol=1e-30)
    assert found["lags"] == flow.input.lags.tolist()


def test_words_horizon_rate_and_shares_are_of_one_curve(runs: dict[str, Path]) -> None:
    found = inspect(runs["lstm"], parts=["gradients"])
    numbers = found.numbers["gradients"]["trained"]["gradients"]
    for name, flow in numbers.items():
        median = np.array(flow["quantiles"]["0.5"])
        decay = fit_decay(np.array(flow["lags"]), median)
        [line] = [line for line in found.lines if line.startswith(f"gradient by {name}: ")]
        assert line.startswith(f"gradient by {name}: trained {decay.words}; untrained ")
        assert (flow["horizon"], flow["verdict"], flow["end"]) == (decay.horizon, decay.verdict, decay.end)
        assert flow["rate"] == pytest.approx(decay.rate, rel=1e-4)
        assert flow["left"]["10"] == pytest.approx(median[flow["lags"].index(10)] / median[0], rel=1e-4)
        assert str(flow["lags"][-1]) in flow["left"]
    html = found.html()
    assert WORDS in html
    assert "steps back in each layer" not in html
    horizon = numbers["input"]["horizon"]
    assert f">trained: 1 % at lag {horizon}</text>" in html


def test_steps_of_a_bounded_window_are_marked_and_explained(runs: dict[str, Path]) -> None:
    """Two layers of a window of 8: seven steps back in one, fourteen in two."""
    found = inspect(runs["transformer"], parts=["gradients"])
    flow = found.numbers["gradients"]["trained"]["gradients"]["input"]
    assert flow["end"] == 15
    html = found.html()
    assert (
        "Attention looks 7 steps back in each layer. A gradient passes from lag 8 on through at least 2 layers" in html
    )
    assert "From lag 15 on the gradient is zero." in html
    assert ">2 layers</text>" in html
    assert ">nothing</text>" in html


@pytest.mark.parametrize(
    ("window", "layers", "longest", "marks"),
    [
        (64, 4, 199, [(64, "2 layers"), (127, "3 layers"), (190, "4 layers")]),
        (64, 1, 199, [(64, "nothing")]),
        (64, 4, 63, []),
        (None, 4, 199, []),
        (1, 3, 9, [(1, "nothing")]),
    ],
)
def test_marks_of_a_window(window: int | None, layers: int, longest: int, marks: list[tuple[int, str]]) -> None:
    found, caption = window_marks(window, layers, longest)
    assert [(mark.x, mark.text) for mark in found] == marks
    assert bool(caption) == bool(marks)
    for lag, text in marks:
        said = (
            f"rom lag {lag} on the gradient is zero."
            if text == "nothing"
            else f"from lag {lag} on through at least {text}"
        )
        assert said in caption
    assert ("is zero" in caption) == (bool(marks) and marks[-1][1] == "nothing")
    assert ("passes" in caption) == any("layers" in text for _, text in marks)


def test_what_clipping_did_is_the_runs_own(runs: dict[str, Path]) -> None:
    numbers = inspect(runs["lstm"], parts=["clipping"]).numbers["clipping"]
    lines = (runs["lstm"] / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "clipped" in record]
    assert numbers["fraction_clipped"] == pytest.approx(sum(r["clipped"] for r in records) / len(records))
    assert numbers["before"] == pytest.approx([r["gradient_norm"] for r in records], rel=1e-5)
    assert numbers["value_cosines"][-1] == pytest.approx(1)


def test_no_page_has_the_old_captions(runs: dict[str, Path]) -> None:
    for run in runs.values():
        assert not re.search("bright|dark |reaches all of it alike", inspect(run).html().partition("</style>")[2])


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_documents_of_a_few_tokens_are_looked_at_one_after_another(
    kind: str, words: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    """Three characters each, and a border: nothing reaches further back than that, whatever is looked at."""
    run = train(words, tmp_path / "run", f"--model={kind}")
    numbers = inspect(run).numbers
    assert set(numbers) & set(PARTS) == HAS[kind]
    for model in ("trained", "untrained"):
        for flow in numbers["gradients"][model]["gradients"].values():
            lags, median = np.array(flow["lags"]), np.array(flow["quantiles"]["0.9"])
            assert lags[-1] > 100
            assert (median[lags >= 4] == 0).all()
    subject = open_subject(elman.load(run), None)
    windows = subject.windows(4, 64)
    resets = subject.resets(windows)
    assert resets is not None
    assert resets.float().mean() == 1 / 4
    if kind == "transformer":
        for name, head in numbers["attention"]["heads"].items():
            weights = np.array(head["map"])
            assert (weights[np.subtract.outer(range(len(weights)), range(len(weights))) >= 4] == 0).all(), name
            assert head["distance"] < 2


def test_a_text_of_ones_own(runs: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "other.txt"
    text.write_text("a cat sat on the mat.\n" * 30)
    found = inspect(runs["elman"], str(text), parts=["gradients"])
    assert found.numbers["text"] == str(text)
    assert "other.txt" in found.html()
    assert str(tmp_path) not in found.html()


def test_the_text_of_the_run_is_read_again_where_its_cache_is_gone(
    runs: dict[str, Path], tmp_path: Path, plain_text: Path
) -> None:
    run = shutil.copytree(runs["elman"], tmp_path / "run")
    kept = open_subject(elman.load(run), None).tokens
    shutil.rmtree(run / "cache")
    np.testing.assert_array_equal(open_subject(elman.load(run), None).tokens, kept)


def spoil(run: Path, what: str) -> None:
    if what == "text gone":
        shutil.rmtree(run / "cache")
        settings = yaml.safe_load((run / "config.yaml").read_text())
        settings["data"]["source"] = str(run / "gone.txt")
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
    if what == "no settings":
        (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("kind", "arguments", "what", "code", "message"),
    [
        ("elman", ["--parts", "gates"], "", 1, "--parts gates: it has no gates; this run has gradients, memory"),
        ("transformer", ["--parts", "gates"], "", 1, "it has no gates"),
        ("lstm", ["--parts", "attention"], "", 1, "it has no attention"),
        ("lstm", ["--parts", "gate"], "", 2, "did you mean 'gates'?"),
        ("lstm", ["--parts", ""], "", 2, "no part called ''"),
        (
            "lstm",
            ["other"],
            "unknown",
            1,
            "does not fit the run: expected text in the tokens it was trained",
        ),
        ("lstm", ["other"], "short", 1, "too short to look at: expected at least 9 tokens, got 3"),
        ("lstm", ["missing.txt"], "", 2, "no such file or named source"),
        ("lstm", [], "text gone", 1, "the text of the run is gone"),
        ("lstm", [], "no settings", 1, "does not say what it was trained on; give a text"),
        ("lstm", ["-o", "."], "", 2, "expected a file for the report, got a folder"),
    ],
)
def test_what_cannot_be_looked_at(
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    arguments: list[str],
    what: str,
    code: int,
    message: str,
) -> None:
    run = shutil.copytree(runs[kind], tmp_path / "run")
    spoil(run, what)
    texts = {"unknown": "☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃", "short": "cat"}
    (tmp_path / "other.txt").write_text(texts.get(what, ""))
    arguments = [str(tmp_path / "other.txt") if argument == "other" else argument for argument in arguments]
    out, err = said(["inspect", run, *arguments], capsys, code)
    assert out == ""
    assert message in err
    assert "own fault" not in err
    assert [line for line in err.splitlines() if line.startswith("elman: ")] == [err.splitlines()[-1]]
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", HAS)
def test_weights_that_are_no_numbers_are_refused(
    runs: dict[str, Path], kind: str, value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs[kind], tmp_path / "run")
    stored = run / "model" / "model.safetensors"
    with safetensors.safe_open(stored, "pt") as file:
        weights, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    name = next(key for key, _ in elman.load(run).model.named_parameters())
    weights[name][0, 0] = value
    safetensors.torch.save_file(weights, stored, metadata)
    out, err = said(["inspect", run], capsys, 1)
    assert out == ""
    assert err.splitlines()[-1].startswith(f"elman: {run}: {name}: expected finite weights, got infinities or NaN; ")
    assert not (run / "report.html").exists()


def test_no_such_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(["inspect", tmp_path / "none"], capsys, 1)
    assert err == f"elman: {tmp_path / 'none'}: no such run; train one with `elman train DATA -o RUN`\n"


def test_a_place_that_cannot_be_written(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "report.html"
    _, err = said(["inspect", runs["elman"], "--parts", "clipping", "-o", place], capsys, 1)
    assert err.startswith(f"elman: cannot write {place}")


def test_a_shorter_text_makes_shorter_windows(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("the cat sat on a mat")
    found = inspect(runs["lstm"], str(tmp_path / "short.txt"))
    assert found.numbers["truncation"]["windows"][-1] < 20
    assert found.html()


def test_overwriting_a_run_takes_its_report_with_it(
    runs: dict[str, Path], train: Callable[..., Path], plain_text: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(runs["elman"], tmp_path / "run")
    (run / "report.html").write_text("old")
    train(plain_text, run, "--overwrite")
    assert not (run / "report.html").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the report in")
@pytest.mark.parametrize("width", [1200, 390])
def test_the_report_opens_in_a_browser(runs: dict[str, Path], tmp_path: Path, width: int) -> None:
    """No errors, and nothing wider than the page."""
    report = tmp_path / "report.html"
    html = inspect(runs["lstm"]).html()
    probe = (
        "<script>const w=document.documentElement;document.title='wide '+(w.scrollWidth-w.clientWidth)"
        "+' figures '+document.querySelectorAll('figure').length"
        "+' hidden '+[...document.querySelectorAll('svg')].filter(s=>!s.getBoundingClientRect().height).length</script>"
    )
    report.write_text(html.replace("</body>", probe + "</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    result = subprocess.run(
        [str(CHROMIUM), *flags, f"--window-size={width},2000", "--dump-dom", report.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    count = html.count("<figure")
    assert f"<title>wide 0 figures {count} hidden 0</title>" in result.stdout


def test_the_pages_numbers_are_finite(runs: dict[str, Path]) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                check(item)
        elif isinstance(value, list):
            for item in value:
                check(item)
        elif isinstance(value, float):
            assert math.isfinite(value)

    check(inspect(runs["transformer"], parts=["gradients", "attention"]).numbers)


def test_it_is_offered_in_python(runs: dict[str, Path]) -> None:
    progress: list[str] = []
    found = elman.inspection.inspect(runs["gru"], parts=["gates"], progress=lambda name, done: progress.append(name))
    assert progress == ["looking at its gates"]
    assert found.lines


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

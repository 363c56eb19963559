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
import torch

import elman
from elman.cli import run as command
from elman.inspection import LOOKS as PARTS
from elman.lens import gradient_flow, read_gates, visit_layers
from elman.tasks.language_modelling.subject import open_subject
from inspecting import inspect

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


def said(arguments: list[str | Path], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


HAS = {
    "lstm": {"gradients", "gates", "memory", "surprise", "truncation", "clipping"},
    "gru": {"gradients", "gates", "memory", "surprise", "truncation", "clipping"},
    "elman": {"gradients", "memory", "surprise", "truncation", "clipping"},
    "transformer": {"gradients", "memory", "surprise", "attention", "truncation", "clipping"},
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
    # Every figure says how it is read and has its numbers; a figure of several to choose from has them for each.
    assert html.count("<details>") == html.count('class="reading"') >= html.count("<figure") >= 6
    assert torch.get_num_threads() == threads


def test_lines_for_a_terminal_and_the_report_in_the_run(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs["gru"], tmp_path / "run")
    out, err = said(["inspect", run], capsys)
    assert out.startswith("The token read ")
    assert (run / "report.html").is_file()
    assert f"the report is in {run / 'report.html'}" in err
    said(["inspect", run, "--json"], capsys)


def test_the_numbers_are_the_lens(runs: dict[str, Path]) -> None:
    numbers = inspect(runs["lstm"], parts=["gradients", "gates"]).numbers
    subject = open_subject(elman.load(runs["lstm"]), None)
    windows = subject.windows(16, 256)
    [first, _] = [read_gates(v) for v in visit_layers(subject.model, lambda: subject.model.read(windows))]
    np.testing.assert_allclose(numbers["gates"]["trained"][0]["time_scale"], first.time_scale, rtol=1e-5)
    windows = subject.windows(32, 265)
    past = (windows.shape[1] - 1) * 64 // 264
    with torch.no_grad():
        _, state = subject.model.read(windows[:, :past])
    flow = gradient_flow(subject.model, windows[:, past:-1], windows[:, -1], state)
    found = numbers["gradients"]["trained"]["gradients"]["input"]
    np.testing.assert_allclose(found["quantiles"]["0.5"], flow.input.quantile(0.5), rtol=1e-5, atol=1e-30)
    assert found["lags"] == flow.input.lags.tolist()


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
    found = inspect(runs["gru"], parts=["gates"], progress=lambda name, done: progress.append(name))
    assert progress == ["looking at the gates"]
    assert found.lines

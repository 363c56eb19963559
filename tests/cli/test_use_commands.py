"""`elman evaluate`, `elman generate` and `elman env`."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import elman.environment
from elman.cli import run as command
from elman.data.corpus import encode_file
from elman.tasks.language_modelling.evaluation import evaluate


def said(arguments: list[str | Path], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command([str(argument) for argument in arguments]) == code
    return capsys.readouterr()


def test_evaluate(trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(["evaluate", trained, plain_text, "--json"], capsys)
    report = json.loads(out)
    run = elman.load(trained)
    tokens = encode_file(plain_text, run.tokenizer, tmp_path)
    expected = evaluate(run.model, tokens, run.tokenizer.eod, lanes=1)
    assert {name: report[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert report["perplexity"] == pytest.approx(math.exp(report["loss"]))
    assert report["seconds"] > 0
    assert err == ""
    assert (report["exact"], report["lanes"], report["run_up"]) == (True, None, None)
    text, _ = said(["evaluate", trained, plain_text], capsys)
    assert f"{report['loss']:.4f} nats a token\n" in text


def test_evaluate_in_lanes_says_that_it_approximates(
    trained: Path, plain_text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(said(["evaluate", trained, plain_text, "--lanes", "3", "--json"], capsys)[0])
    assert (report["exact"], report["lanes"], report["run_up"]) == (False, 3, 256)
    text, _ = said(["evaluate", trained, plain_text, "--lanes", "3"], capsys)
    assert "nats a token, approximately: 3 lanes, each after a run-up of 256 tokens\n" in text
    assert json.loads(said(["evaluate", trained, plain_text, "--lanes", "1", "--json"], capsys)[0])["exact"]


def test_evaluate_says_what_is_unknown(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("the ☃")
    assert "1 of them unknown" in said(["evaluate", trained, tmp_path / "text.txt"], capsys)[0]


def test_generate_says_what_is_unknown(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = said(["generate", trained, "the ☃☃", "--tokens", "3"], capsys)
    assert err == "warning: 2 of the prompt's 6 tokens are unknown to the model\n"
    assert json.loads(said(["generate", trained, "the ☃☃", "--tokens", "3", "--json"], capsys)[0])["unknown"] == 2


@pytest.mark.parametrize("text", [None, b"", b"a", b"\xff\xfe\x00"], ids=["missing", "empty", "short", "binary"])
def test_evaluate_on_no_text(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes | None
) -> None:
    if text is not None:
        (tmp_path / "text.txt").write_bytes(text)
    out, err = said(["evaluate", trained, tmp_path / "text.txt"], capsys, code=2 if text is None else 1)
    assert out == ""
    assert err.startswith("elman: ")
    assert err.count("\n") == 1
    assert "own fault" not in err


def test_generate(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(["generate", trained, "the", "--tokens", "30", "--seed", "1"], capsys)
    assert out.startswith("the")
    assert len(out) == 3 + 30 + 1
    assert err == ""
    assert said(["generate", trained, "the", "--tokens", "30", "--seed", "1"], capsys)[0] == out
    assert said(["generate", trained, "the", "--tokens", "30", "--seed", "2"], capsys)[0] != out
    assert said(["generate", trained, "the", "--tokens", "0"], capsys)[0] == "the\n"


def test_generate_as_json_is_the_same_text(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments: list[str | Path] = ["generate", trained, "the cat", "--tokens", "20"]
    report = json.loads(said([*arguments, "--json"], capsys)[0])
    again, _ = said([*arguments, "--seed", str(report["seed"])], capsys)
    assert again == report["prompt"] + report["text"] + "\n"
    assert len(report["tokens"]) == len(report["log_probabilities"]) == 20


def test_generate_greedily_is_the_argmax_of_a_full_forward(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(["generate", trained, "the c", "--tokens", "12", "--temperature", "0"], capsys)
    run = elman.load(trained)
    ids = run.tokenizer.encode("the c").tolist()
    for _ in range(12):
        logits = run.model(torch.tensor([ids]))[0][0, -1]
        if run.tokenizer.unk is not None:
            logits[run.tokenizer.unk] = -math.inf
        ids.append(int(logits.argmax()))
    assert out == run.tokenizer.decode(ids) + "\n"


def test_generate_from_stdin_and_from_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é cat".encode())))
    assert said(["generate", trained, "-", "--tokens", "3"], capsys)[0].startswith("é cat")
    assert len(said(["generate", trained, "--tokens", "3"], capsys)[0]) == 4


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\xef\xbb\xbfcat\r\non", 0, "cat\non"),
        ("cat".encode("utf-16"), 1, "elman: stdin is UTF-16 text"),
        (b"cat\xff", 1, "elman: stdin is not UTF-8 text: line 1, byte 3"),
        (None, 2, "elman: PROMPT: expected a text, got a closed stdin"),
    ],
)
def test_a_prompt_from_stdin_is_read_as_any_text_is(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes | None,
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", None if data is None else io.TextIOWrapper(io.BytesIO(data)))
    out, err = said(["generate", trained, "-", "--tokens", "0"], capsys, code=code)
    assert (err if code else out).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "-1"], "--temperature"),
        (["--temperature", "inf"], "--temperature"),
        (["--temperature", "nan"], "--temperature"),
        (["--top-k", "0"], "--top-k"),
        (["--top-p", "1.5"], "--top-p"),
        (["--min-p", "-0.1"], "--min-p"),
        (["--tokens", "-1"], "--tokens"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**63)], "--seed"),
        (["\udcff"], "PROMPT: expected UTF-8 text"),
    ],
)
def test_generate_with_wrong_options(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out, err = said(["generate", trained, *arguments], capsys, code=2)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("filters", [["--top-p", "0"], ["--top-k", "1"], ["--min-p", "1"], ["--temperature", "1e-320"]])
def test_the_strictest_filters_leave_the_most_probable(
    trained: Path, capsys: pytest.CaptureFixture[str], filters: list[str]
) -> None:
    greedy, _ = said(["generate", trained, "the", "--tokens", "9", "--temperature", "0"], capsys)
    assert said(["generate", trained, "the", "--tokens", "9", *filters], capsys)[0] == greedy


@pytest.mark.parametrize("name", ["evaluate", "generate"])
def test_no_such_run(tmp_path: Path, plain_text: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    out, err = said([name, tmp_path / "none", plain_text], capsys, code=1)
    assert out == ""
    assert err == f"elman: {tmp_path / 'none'}: no such run; train one with `elman train DATA -o RUN`\n"


def test_env(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(said(["env", "--json"], capsys)[0])
    assert report["packages"]["torch"] == torch.__version__
    assert report["threads"] == torch.get_num_threads()
    assert {row["cell"] for row in report["backends"]} >= {"gru", "lstm"}
    told = said(["env"], capsys)[0]
    for name, version in report["packages"].items():
        assert re.search(rf"^{name} {{2,}}{re.escape(version or 'not installed')}", told, re.MULTILINE)
    for row in report["backends"]:
        assert re.search(rf"^  {row['cell']} +{row['device']} +{row['backend']} +\S", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--version"], 0, elman.__version__),
        (["--help"], 0, "train"),
        (["train", "--help"], 0, "--resume"),
        (["trian"], 2, "trian"),
        ([], 2, "Usage"),
        (["train"], 2, "DATA"),
    ],
)
def test_the_command_itself(
    capsys: pytest.CaptureFixture[str], arguments: list[str | Path], code: int, message: str
) -> None:
    out, err = said(arguments, capsys, code)
    assert message in out + err
    assert "Traceback" not in err


def raising(error: BaseException) -> Callable[..., object]:
    def fail(*args: object, **kwargs: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "elman: cannot go on: No space left on device\n"),
        (RuntimeError("a\nb"), 1, "elman: RuntimeError: a b (elman's own fault: --debug shows where)\n"),
    ],
)
def test_what_nobody_foresaw_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr(elman.environment, "describe", raising(error))
    assert said(["env"], capsys, code)[1].lstrip() == message


@pytest.mark.parametrize(
    ("word", "remedy"), [("generat", "did you mean 'generate'?"), ("frobnicate", "known are: bench, ")]
)
def test_a_command_that_there_is_not(word: str, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([word, "--help"]) == 2
    assert f"elman: no command called '{word}'; {remedy}" in capsys.readouterr().err


def test_info_names_a_model_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["info", str(run)]) == 0
    assert "\nmodel         lstm, vocab_size " in capsys.readouterr().out

"""`elman train`, `evaluate` and `predict` of translation, as a person uses and misuses them."""

from __future__ import annotations

import io
import itertools
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import elman
from elman.cli import run as command
from elman.tasks.configuration import read_yaml

SETTINGS = "hidden_size=16 embedding_size=8 batch_tokens=100 validation_sentences=4 validate_every=4 checkpoint_every=2"
SMALL = [word for setting in SETTINGS.split() for word in ("--set", setting)]
Fails = Callable[[list[str | Path], int], str]
Said = Callable[..., tuple[str, str]]

# Every sequence of one to four letters, in an order by chance, and its reverse.
PAIRS = ["".join(letters) for length in range(1, 5) for letters in itertools.product("abcd", repeat=length)]
random.Random(1).shuffle(PAIRS)
SOURCES, TARGETS = PAIRS, [source[::-1] for source in PAIRS]


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_tsv(path: Path, sources: list[str], targets: list[str]) -> Path:
    return write_lines(path, [f"{pair[0]}\t{pair[1]}" for pair in zip(sources, targets, strict=True)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pairs in every form."""
    folder = tmp_path_factory.mktemp("reversed")
    write_lines(folder / "train.en", SOURCES)
    write_lines(folder / "train.de", TARGETS)
    write_lines(folder / "valid.en", SOURCES[:20])
    write_lines(folder / "valid.de", TARGETS[:20])
    write_tsv(folder / "pairs.tsv", SOURCES, TARGETS)
    write_tsv(folder / "seen.tsv", SOURCES[40:], TARGETS[40:])
    write_tsv(folder / "unseen.tsv", SOURCES[:40], TARGETS[:40])
    records = [{"source": source, "target": target} for source, target in zip(SOURCES, TARGETS, strict=True)]
    write_lines(folder / "pairs.jsonl", [json.dumps(record) for record in records])
    return folder


@pytest.fixture(scope="module")
def translator(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is finished: it reverses a few letters, most of the time."""
    run = tmp_path_factory.mktemp("translator") / "run"
    learn(run, folder, "gru", RECURRENT, steps=60)
    return run


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def say(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        result = command([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert result == code, err
        return out, err

    return say


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# Learning: every kind of model, end to end.

RECURRENT = "hidden_size=32 embedding_size=16 dropout=0 learning_rate=0.02"
TRANSFORMER = "hidden_size=32 encoder_layers=1 decoder_layers=1 num_heads=2 dropout=0"
LEARNERS = {
    "no attention": ("lstm", f"{RECURRENT} attention=none"),
    "general": ("lstm", f"{RECURRENT} attention=general"),
    "additive": ("gru", f"{RECURRENT} attention=additive"),
    "dot": ("gru", f"{RECURRENT} attention=dot"),
    "input feeding": ("gru", f"{RECURRENT} input_feeding=true"),
    "transformer": ("transformer", f"{TRANSFORMER} norm=pre"),
    "post-norm": ("transformer", f"{TRANSFORMER} norm=post"),
}


def learn(run: Path, folder: Path, kind: str, settings: str, steps: int) -> int:
    fast = "label_smoothing=0 batch_tokens=384 metric=exact_match precision=float32 validate_every=50"
    sets = [word for setting in f"{fast} {settings}".split() for word in ("--set", setting)]
    data = [str(folder / "seen.tsv"), "--valid", str(folder / "unseen.tsv")]
    return command(["train", *data, "-o", str(run), "--model", kind, "--steps", str(steps), "--json", *sets])


@pytest.mark.parametrize(("kind", "settings"), LEARNERS.values(), ids=LEARNERS)
def test_it_learns_to_reverse(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, settings: str
) -> None:
    """More than 90 % of sequences that it never saw, in a few seconds."""
    assert learn(tmp_path / "run", folder, kind, settings, steps=200) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["exact_match"] > 90, err
    assert f"best validation exact_match {report['exact_match']:.4f}" in err
    assert "elman predict" in err


# Training: the forms of pairs.


@pytest.mark.parametrize("data", [["train.en", "train.de"], ["pairs.tsv"], ["pairs.jsonl"]], ids=" ".join)
def test_every_form_of_pairs_gives_the_same_run(
    folder: Path, translator: Path, tmp_path: Path, said: Said, data: list[str]
) -> None:
    run = tmp_path / "run"
    out, err = said("train", *(folder / name for name in data), "-o", run, "--steps", "4", "--json", *SMALL)
    report = json.loads(out)
    assert (report["task"], report["steps"], report["reason"]) == ("translation", 4, "budget")
    assert math.isfinite(report["loss"])
    assert "validation pairs" in err
    names = {path.name for path in (run / "model").iterdir()}
    both = {"source_tokenizer.json", "target_tokenizer.json"}
    assert names == {"README.md", "config.json", "model.safetensors", *both}
    reference = tmp_path / "reference"
    said("train", folder / "pairs.tsv", "-o", reference, "--steps", "4", *SMALL)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (run / name).read_bytes() == (reference / name).read_bytes()
    loaded = elman.load(run)
    assert loaded.task.name == "translation"
    assert loaded.model.config["hidden_size"] == 16


def test_a_named_source(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.data.pair_corpus.LEARN_FROM", 2000)
    monkeypatch.setattr("elman.data.pair_corpus.HELD_OUT_PAIRS", 30)
    monkeypatch.chdir(tmp_path)
    _, err = said("train", "numbers-pt_BR", "--steps", "3", "--set", "epoch_pairs=50", *SMALL)
    assert "50 fresh training and 30 validation pairs" in err
    report = json.loads(said("evaluate", "runs/numbers-pt_BR-lstm", "numbers-pt_BR", "--json", "--beam", "1")[0])
    assert report["pairs"] == 30


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
def test_every_tokenizer(folder: Path, tmp_path: Path, said: Said, kind: str) -> None:
    run = tmp_path / "run"
    said("train", folder / "pairs.tsv", "-o", run, "--steps", "2", "--tokenizer", kind, *SMALL)
    loaded = elman.load(run)
    assert loaded.task.name == "translation"
    assert loaded.source_tokenizer.kind == loaded.target_tokenizer.kind == kind
    assert len(said("predict", run, folder / "valid.en", "--max-length", "5")[0].splitlines()) == 20


def both_sides(folder: Path, of: str) -> list[Path]:
    return [folder / f"{of}.en", folder / f"{of}.de"]


@pytest.mark.parametrize("first", ["data", "valid"])
def test_validation_on_two_files(folder: Path, tmp_path: Path, said: Said, first: str) -> None:
    data, valid = both_sides(folder, "train"), ["--valid", *both_sides(folder, "valid")]
    files = [*data, *valid] if first == "data" else [*valid, *data]
    _, err = said("train", *files, "-o", tmp_path / "run", "--steps", "2", *SMALL)
    assert f"{len(PAIRS)} training and 20 validation pairs" in err
    settings = read_yaml(tmp_path / "run" / "config.yaml")["data"]
    assert [settings["source"], settings["target"]] == [str(path) for path in data]
    assert [settings["valid"], settings["valid_target"]] == [str(path) for path in valid[1:]]


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (["train.en", "train.de"], ["pairs.tsv"]),
        (["pairs.tsv"], ["valid.en", "valid.de"]),
        (["pairs.tsv"], ["pairs.tsv"]),
    ],
    ids=["two, one", "one, two", "one, one"],
)
def test_validation_on_pairs_of_another_form(
    folder: Path, tmp_path: Path, said: Said, data: list[str], valid: list[str]
) -> None:
    files = [*(folder / name for name in data), "--valid", *(folder / name for name in valid)]
    _, err = said("train", *files, "-o", tmp_path / "run", "--steps", "2", *SMALL)
    expected = 20 if len(valid) == 2 else len(PAIRS)
    assert f"{len(PAIRS)} training and {expected} validation pairs" in err


# Interruption.


def test_killed_and_resumed(folder: Path, tmp_path: Path, said: Said) -> None:
    """`metrics.jsonl` and the weights end as if nothing had happened."""
    files = [*both_sides(folder, "train"), "--valid", *both_sides(folder, "valid")]
    constant = [
        "--set",
        "schedule=constant",
        "--set",
        "warmup=0",
        "--set",
        "dropout=0.1",
        *SMALL,
    ]  # whatever the budget
    arguments = [str(x) for x in ("train", *files, "-o", tmp_path / "run", "--resume", *constant)]
    forever = [sys.executable, "-m", "elman", *arguments, "--steps", str(10**9)]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        before = steps_saved(tmp_path / "run")
        process = subprocess.Popen(forever, stderr=subprocess.PIPE)
        while steps_saved(tmp_path / "run") < before + 3 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate()
        assert process.returncode == code, err
    assert b"stopped at step" in err
    steps = steps_saved(tmp_path / "run") + 7
    assert command([*arguments, "--steps", str(steps)]) == 0
    said("train", *files, "-o", tmp_path / "whole", "--steps", str(steps), *constant)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def steps_saved(run: Path) -> int:
    return max((int(path.stem.split("-")[1]) for path in run.glob("checkpoints/step-*")), default=0)


def test_pairs_may_move_into_another_form(folder: Path, tmp_path: Path, said: Said, fails: Fails) -> None:
    run = tmp_path / "run"
    said("train", *both_sides(folder, "train"), "-o", run, "--steps", "2", *SMALL)
    said("train", folder / "pairs.tsv", "-o", run, "--resume", "--steps", "3")
    other = write_tsv(tmp_path / "other.tsv", TARGETS, TARGETS)
    assert "does not hold the pairs that the run began with" in fails(["train", other, "-o", run, "--resume"], 1)
    text = write_lines(tmp_path / "text.txt", SOURCES)
    assert "text.txt is not a file of pairs" in fails(["train", text, "-o", run, "--resume"], 2)
    line = fails(["train", text, "-o", run, "--resume", "--task", "language-modelling"], 1)
    assert "is a run of another task: expected translation, got language-modelling" in line


def test_validation_pairs_may_move_into_another_form(folder: Path, tmp_path: Path, said: Said, fails: Fails) -> None:
    train = ["train", folder / "pairs.tsv", "-o", tmp_path / "run"]
    said(*train, "--valid", *both_sides(folder, "valid"), "--steps", "2", *SMALL)
    one_file = write_tsv(tmp_path / "valid.tsv", SOURCES[:20], TARGETS[:20])
    said(*train, "--valid", one_file, "--resume", "--steps", "3")
    data = read_yaml(tmp_path / "run" / "config.yaml")["data"]
    assert (data["valid"], data["valid_target"]) == (str(one_file), None)
    said(*train, "--resume", "--steps", "4")
    other = write_tsv(tmp_path / "other.tsv", SOURCES[:20], TARGETS[1:21])
    line = fails([*train, "--valid", other, "--resume"], 1)
    assert f"pairs.tsv with {other} does not hold the pairs that the run began with" in line


# What a run is used for.


def test_evaluate(folder: Path, translator: Path, said: Said) -> None:
    out, err = said("evaluate", translator, *both_sides(folder, "valid"), "--json")
    report = json.loads(out)
    assert report["pairs"] == 20
    assert report["perplexity"] == pytest.approx(math.exp(report["loss"]))
    assert report["unknown"] == 0
    assert err == ""
    predicted = said("predict", translator, folder / "valid.en")[0].splitlines()
    right = sum(x == y for x, y in zip(predicted, TARGETS[:20], strict=True))
    assert report["exact_match"] == pytest.approx(100 * right / 20)
    assert report["bleu"] == 0
    text, _ = said("evaluate", translator, folder / "pairs.tsv")
    assert "BLEU needs references of four words or more" in text
    assert "nats a token" in text
    assert f"{len(PAIRS):,}, translated in" in text


def test_lines_in_are_lines_out(translator: Path, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file and from stdin, in any batch, empty lines and a missing last end among them."""
    lines = ["abc", "", "a", "  ", "dcba", "b" * 9, "", "ab"]
    alone = [said("predict", translator, write_lines(tmp_path / "one", [line]))[0] for line in lines]
    assert alone[1] == alone[3] == "\n"
    (tmp_path / "all").write_text("\n".join(lines))
    for batch in ("1", "3", "64"):
        assert said("predict", translator, tmp_path / "all", "--batch", batch)[0] == "".join(alone)
    for data in ("\n".join(lines), "\n".join(lines) + "\n", "\r\n".join(lines)):
        stdin(monkeypatch, data.encode())
        assert said("predict", translator)[0] == "".join(alone)
    stdin(monkeypatch, b"")
    assert said("predict", translator, "-")[0] == ""


def test_nbest(translator: Path, said: Said, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in", ["abc", "da"])
    out, _ = said("predict", translator, file, "--nbest", "3")
    found = [line.split(" ||| ") for line in out.splitlines()]
    assert [number for number, _, _ in found] == ["1"] * 3 + ["2"] * 3
    for (number, _, score), (following, _, worse) in pairwise(found):
        assert number != following or float(score) >= float(worse)
    best = said("predict", translator, file)[0].splitlines()
    assert [text for _, text, _ in found[::3]] == best
    records = [json.loads(line) for line in said("predict", translator, file, "--nbest", "3", "--json")[0].splitlines()]
    assert [x["text"] for record in records for x in record["nbest"]] == [text for _, text, _ in found]


def test_alignments(translator: Path, said: Said, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in", ["abc", "", "da"])
    records = [json.loads(line) for line in said("predict", translator, file, "--json", "--alignments")[0].splitlines()]
    assert [record["line"] for record in records] == [1, 2, 3]
    assert [len(record["source_tokens"]) for record in records] == [4, 0, 3], "the end of a source is attended to"
    for record in records:
        assert "".join(record["tokens"]) == record["text"]
        assert len(record["alignment"]) == len(record["tokens"])
        for row in record["alignment"]:
            assert len(row) == len(record["source_tokens"])
            assert sum(row) == pytest.approx(1, abs=0.01)
    shown = said("predict", translator, file, "--alignments")[0]
    assert records[0]["text"] in shown.splitlines()


def test_samples_are_drawn_again_by_their_seed(translator: Path, said: Said, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in", ["abc", "da"])
    draw = ["predict", translator, file, "--sample", "--nbest", "4", "--temperature", "2"]
    record = json.loads(said(*draw, "--json")[0].splitlines()[0])
    again, _ = said(*draw, "--seed", str(record["seed"]))
    assert [line.split(" ||| ")[1] for line in again.splitlines()[:4]] == [x["text"] for x in record["nbest"]]


def test_lengths_and_prefixes(translator: Path, said: Said, tmp_path: Path, fails: Fails) -> None:
    file = write_lines(tmp_path / "in", ["abc", "abcdabcd"])
    assert all(len(line) <= 2 for line in said("predict", translator, file, "--max-length", "2")[0].splitlines())
    assert all(len(line) >= 9 for line in said("predict", translator, file, "--min-length", "9")[0].splitlines())
    assert all(line.startswith("dd") for line in said("predict", translator, file, "--prefix", "dd")[0].splitlines())
    out, err = said("predict", translator, file, "--max-source", "5", code=1)
    assert out == said("predict", translator, write_lines(tmp_path / "one", ["abc"]))[0] + "\n"
    assert err == (
        f"{file}, line 2: expected at most 5 tokens, got 9; split it, or raise the limit (--max-source)\n"
        "elman: 1 of 2 lines have no answer\n"
    )


def test_what_the_model_does_not_know(translator: Path, said: Said, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in", ["a☃b"])
    assert json.loads(said("predict", translator, file, "--json")[0])["unknown"] == 1
    pairs = write_tsv(tmp_path / "x.tsv", ["a☃b"], ["ba"])
    assert "1 source tokens unknown to the model" in said("evaluate", translator, pairs)[0]


def test_each_task_has_its_commands(
    translator: Path, trained: Path, plain_text: Path, folder: Path, fails: Fails
) -> None:
    line = fails(["generate", translator], 2)
    assert "expected a language model, got a translation model; use it with `elman evaluate " in line
    line = fails(["predict", trained, folder / "valid.en"], 2)
    assert "a forecaster or a translation model, got a language model; use it with `elman evaluate " in line
    assert "DATA: expected one text, got two files" in fails(["evaluate", trained, *both_sides(folder, "valid")], 2)
    assert "is not a file of pairs" in fails(["evaluate", translator, plain_text], 2)


# Misuse.

BAD_PAIRS: dict[str, tuple[str, bytes | None, int, str]] = {
    "missing": ("x.tsv", None, 2, "no such file or named source of pairs"),
    "empty": ("x.tsv", b"", 1, "holds no pairs"),
    "one column": ("x.tsv", b"a\tb\nc\n", 1, "x.tsv, line 2: expected two columns: source<TAB>target, got 1"),
    "three columns": ("x.tsv", b"a\tb\tc\n", 1, "line 1: expected two columns: source<TAB>target, got 3"),
    "no targets": ("x.tsv", b"a\t\nb\t\n", 1, "holds no pairs"),
    "one pair": ("x.tsv", b"a\tb\n", 1, "no pair of"),
    "binary": ("x.tsv", bytes(range(256)) * 50, 1, "x.tsv"),
    "bad in the end": ("x.tsv", b"a\tb\n" * 99 + b"a\t\xff\n", 1, "UTF-8"),
    "not JSON": ("x.jsonl", b'{"source": "a", "target": "b"}\n{"source"\n', 1, "x.jsonl, line 2: not JSON"),
    "no pair in JSON": ("x.jsonl", b'{"source": "a", "target": "b"}\n{"text": "b"}\n', 1, "got keys text"),
    "all too long": ("x.tsv", b"".join(b"%d%s\tb\n" % (n, b"a" * 600) for n in range(9)), 1, "raise max_length"),
}


@pytest.mark.parametrize(("name", "contents", "code", "message"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_pairs_that_are_none(
    tmp_path: Path, fails: Fails, name: str, contents: bytes | None, code: int, message: str
) -> None:
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    arguments = ["train", tmp_path / name, "-o", tmp_path / "deep" / "run", "--task", "translation", "--steps", "1"]
    assert message in fails([*arguments, *SMALL], code)
    assert not (tmp_path / "deep").exists()


def test_files_of_unequal_length(folder: Path, tmp_path: Path, fails: Fails) -> None:
    line = fails(["train", folder / "train.en", folder / "valid.de", "-o", tmp_path / "run"], 1)
    assert f"expected as many lines in both, got {len(PAIRS)} and 20; line 21 of {folder / 'train.en'}" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--valid", "valid.en"], "valid.en is not a file of pairs"),
        (["--valid", "missing.en", "valid.de"], "missing.en: no such file"),
        (["valid.en"], "DATA: expected one file, or two of pairs, got 3"),
        (["--tokenizer", "chra"], "tokenizer: expected 'auto', 'char', 'byte', 'word' or 'bpe', got 'chra'"),
        (["--task", "translating"], "task: expected auto or language-modelling or "),
        (["--task", "language-modelling"], "expected one text, got two files"),
        (["--set", "atention=dot"], "did you mean 'attention'?"),
        (["--set", "attention=dott"], "attention: expected 'none', 'additive', 'dot' or 'general', got 'dott'"),
        (["--set", "lanes=3"], "no setting called 'lanes'"),
        (["--set", "valid_target=x"], "no setting called 'valid_target'"),
        (["--set", "label_smoothing=1"], "label_smoothing: expected less than 1"),
        (["--set", "metric=bleu", "--set", "validation_sentences=0"], "metric: expected validation_sentences above 0"),
        (["--set", "input_feeding=true", "--set", "attention=none"], "input_feeding"),
        (["--set", "hidden_size=7"], "hidden_size: expected an even size for two directions, got 7"),
        (["--model", "transformer", "--set", "hidden_size=9"], "hidden_size: expected an even size for sinusoidal"),
        (["--model", "transformer", "--set", "num_heads=3"], "num_heads: expected a divisor of hidden_size 16, got 3"),
    ],
)
def test_wrong_usage(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Fails,
    arguments: list[str | Path],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    small = ["--set", "hidden_size=16"] if "--set" not in arguments or "num_heads=3" in arguments else []
    assert message in fails(["train", "train.en", "train.de", "-o", tmp_path / "run", *small, *arguments], 2)
    assert not (tmp_path / "run").exists()


def test_lines_that_end_otherwise(folder: Path, tmp_path: Path, said: Said) -> None:
    """CRLF, and no end after the last line."""
    (tmp_path / "x.en").write_text("\r\n".join(SOURCES), newline="")
    (tmp_path / "x.de").write_text("\n".join(TARGETS), newline="")
    said("train", tmp_path / "x.en", tmp_path / "x.de", "-o", tmp_path / "run", "--steps", "2", *SMALL)
    said("train", folder / "pairs.tsv", "-o", tmp_path / "other", "--steps", "2", *SMALL)
    for name in ("metrics.jsonl", "model/source_tokenizer.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_predict_with_wrong_input(translator: Path, tmp_path: Path, fails: Fails) -> None:
    assert "no such file" in fails(["predict", translator, tmp_path / "none"], 2)
    (tmp_path / "folder").mkdir()
    assert "folder" in fails(["predict", translator, tmp_path / "folder"], 1)
    assert "give beam 9 too" in fails(["predict", translator, write_lines(tmp_path / "in", ["a"]), "--nbest", "9"], 2)


def test_learned_positions_end_somewhere(folder: Path, tmp_path: Path, said: Said, fails: Fails) -> None:
    """Neither a long pair for validation nor a model that does not stop writing ends a training."""
    valid = write_tsv(tmp_path / "valid.tsv", ["a" * 30, "b"], ["b", "a" * 40])
    run = tmp_path / "run"
    model = ["--model", "transformer", "--set", "positions=learned", "--set", "num_heads=2", "--set", "hidden_size=16"]
    small = ["--set", "encoder_layers=1", "--set", "decoder_layers=1", "--set", "max_length=9", "--steps", "2"]
    arguments = ["train", folder / "pairs.tsv", "--valid", valid, "-o", run, *model, *small]
    line = fails([*arguments, "--set", "max_positions=20"], 2)
    assert "max_positions: expected at least the longest pair's 41, got 20" in line
    said(*arguments)
    assert read_yaml(run / "config.yaml")["model"]["max_positions"] == 41
    out, err = said("predict", run, write_lines(tmp_path / "in", ["a" * 40, "a" * 41]), "--min-length", "40", code=1)
    assert out.endswith("\n\n")
    assert "line 2: expected at most the model's 41 positions, got 42; split it\n" in err
    mixed = write_tsv(tmp_path / "mixed.tsv", ["a" * 41, "b", "a" * 30, "a"], ["b", "a" * 40, "b", "a" * 41])
    fitting = write_tsv(tmp_path / "fitting.tsv", ["b", "a" * 30], ["a" * 40, "b"])
    out, err = said("evaluate", run, mixed, "--json", code=1)
    assert err.endswith("2 of 4 pairs are longer than the model's 41 positions: they are left out of all scores\n")
    report, whole = json.loads(out), json.loads(said("evaluate", run, fitting, "--json")[0])
    assert (report["pairs"], report["too_long"], whole["too_long"]) == (2, 2, 0)
    assert {key: report[key] for key in ("loss", "exact_match")} == {key: whole[key] for key in ("loss", "exact_match")}
    line = fails(["evaluate", run, write_tsv(tmp_path / "long.tsv", ["a" * 41], ["b"])], 1)
    assert "is longer than the model's 41 positions; split them" in line


def test_heads_follow_from_the_size(folder: Path, tmp_path: Path, said: Said) -> None:
    sizes = [
        "--model",
        "transformer",
        "--set",
        "hidden_size=6",
        "--set",
        "encoder_layers=1",
        "--set",
        "decoder_layers=1",
    ]
    said("train", folder / "pairs.tsv", "-o", tmp_path / "run", *sizes, "--steps", "1")
    assert read_yaml(tmp_path / "run" / "config.yaml")["model"]["num_heads"] == 3


def test_no_alignments_without_attention(folder: Path, tmp_path: Path, said: Said, fails: Fails) -> None:
    said("train", folder / "pairs.tsv", "-o", tmp_path / "run", "--steps", "1", *SMALL, "--set", "attention=none")
    line = fails(["predict", tmp_path / "run", folder / "valid.en", "--alignments"], 2)
    assert "alignments: expected a model with attention, got one without" in line


def test_a_run_is_whole_wherever_it_is(translator: Path, tmp_path: Path, said: Said, folder: Path) -> None:
    moved = shutil.copytree(translator / "model", tmp_path / "elsewhere")
    assert said("predict", moved, folder / "valid.en") == said("predict", translator, folder / "valid.en")
    loaded = elman.load(moved)
    assert loaded.task.name == "translation"
    source = torch.tensor([[*loaded.source_tokenizer.encode("abc").tolist(), loaded.source_tokenizer.eod]])
    logits, _ = loaded.model(torch.tensor([[loaded.target_tokenizer.eod]]), loaded.model.encode(source))
    assert logits.shape == (1, 1, loaded.target_tokenizer.vocab_size)

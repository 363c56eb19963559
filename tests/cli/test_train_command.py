"""`elman train` as a person uses and misuses it: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import elman
from elman.cli import run as command
from elman.run_folders import default_folder
from elman.train import checkpoints
from elman.train.journal import read

SMALL = ["--set", "hidden_size=8", "--set", "embedding_size=6", "--set", "lanes=4", "--set", "k1=8"]
Fails = Callable[[list[str | Path], int], str]
Contents = Callable[[Path], dict[str, bytes]]


def test_a_run_has_everything(names: Callable[[Path], list[str]], trained: Path) -> None:
    expected = {".lock", "cache", "checkpoints", "config.yaml", "env.json", "metrics.jsonl", "model", "timing.jsonl"}
    assert set(names(trained)) == expected
    assert set(names(trained / "model")) == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    steps = [record["step"] for record in read(trained / "metrics.jsonl") if "targets" in record]
    assert steps == list(range(1, 13))
    assert "seconds" not in (trained / "metrics.jsonl").read_text()


def test_settings_through_a_pipe(plain_text: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"model: {hidden_size: 5}")
    os.close(writing)
    run = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--steps", "1"]
    assert command([*run, "--config", f"/dev/fd/{reading}"]) == 0
    os.close(reading)
    assert "hidden_size: 5" in (tmp_path / "run" / "config.yaml").read_text()


def test_json(plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--epochs", "0.5", "--json", *SMALL]
    assert command([*arguments, "--model", "gru", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["model"] == "gru"
    assert report["epochs"] >= 0.5
    assert report["steps"] * 4 * 8 == report["tokens"]
    assert report["loss"] == min(r["best"] for r in read(tmp_path / "run" / "metrics.jsonl") if "best" in r)
    assert "parameters" in err
    assert "seed: 3" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_budget_of_time(plain_text: Path, tmp_path: Path) -> None:
    assert command(["train", str(plain_text), "-o", str(tmp_path / "run"), "--for", "0.5s", *SMALL]) == 0
    assert elman.load(tmp_path / "run").tokenizer.vocab_size > 10


def test_the_same_seed_gives_the_same_run(trained: Path, plain_text: Path, tmp_path: Path) -> None:
    arguments = ["train", str(plain_text), "--steps", "12", *SMALL]
    assert command([*arguments, "-o", str(tmp_path / "again")]) == 0
    assert command([*arguments, "-o", str(tmp_path / "other"), "--seed", "2"]) == 0
    for name, same in {"metrics.jsonl": True, "model/model.safetensors": True}.items():
        assert ((tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes()) is same
        assert (tmp_path / "other" / name).read_bytes() != (trained / name).read_bytes()


BAD_TEXTS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "missing": (lambda path: None, 2, "no such file"),
    "empty": (lambda path: path.write_text(""), 1, "it is empty"),
    "one character": (lambda path: path.write_text("a"), 1, "too short"),
    "two characters": (lambda path: path.write_text("ab"), 1, "too short"),
    "an empty folder": (lambda path: path.mkdir(), 1, "holds no files"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 50), 1, ""),
    "not UTF-8": (lambda path: path.write_bytes("déjà vu ".encode("latin-1") * 99), 1, "UTF-8"),
    "bad in the end": (lambda path: path.write_bytes(b"good text " * 99 + b"\xff"), 1, "UTF-8"),
}


@pytest.mark.parametrize(("make", "code", "message"), BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_text_that_is_none_leaves_everything_as_it_was(
    contents: Contents,
    run: Path,
    tmp_path: Path,
    fails: Fails,
    make: Callable[[Path], object],
    code: int,
    message: str,
    overwrite: bool,
) -> None:
    text = tmp_path / "bad.txt"
    make(text)
    if overwrite:
        before = {name: data for name, data in contents(run).items() if not name.startswith("cache")}
        assert message in fails(["train", text, "-o", run, "--overwrite", *SMALL], code)
        assert {name: data for name, data in contents(run).items() if not name.startswith("cache")} == before
    else:
        assert message in fails(["train", text, "-o", tmp_path / "deep" / "new"], code)
        assert not (tmp_path / "deep").exists()


def test_a_run_that_was_not_replaced_goes_on(run: Path, plain_text: Path, tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good text " * 99 + b"\xff")
    fails(["train", tmp_path / "bad.txt", "-o", run, "--overwrite"], 1)
    assert command(["train", str(plain_text), "-o", str(run), "--resume", "--steps", "14"]) == 0


def test_a_text_shorter_than_a_window(tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "short.txt").write_text("a short text. " * 5)
    arguments = ["train", tmp_path / "short.txt", "-o", tmp_path / "run", "--steps", "2"]
    line = fails([*arguments, "--set", "k1=100"], 1)
    assert "the text is too short: expected at least" in line
    assert not (tmp_path / "run").exists()
    assert command([str(argument) for argument in arguments]) == 0, "left open, the window fits the text"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "lstn"], "did you mean 'lstm'?"),
        (["--set", "hiden_size=3"], "did you mean 'hidden_size'?"),
        (["--set", "hidden_size=many"], "hidden_size: expected a valid integer"),
        (
            ["--tokenizer", "chra"],
            "tokenizer: expected 'char', 'byte', 'word', 'bpe', 'vocabulary' or 'library', got 'chra'; did you mean 'char'?",  # noqa: E501
        ),
        (["--for", "2x"], "expected a time such as 90s, 2m or 1h30m, got '2x'"),
        (["--for", "2m", "--steps", "3"], "expected one of --for, --epochs, --steps, got --for and --steps"),
        (["--epochs", "0"], "--epochs: expected more than 0"),
        (["--epochs", "nan"], "--epochs"),
        (["--steps", "0"], "--steps"),
        (["--steps", "many"], "--steps"),
        (["--seed", "-1"], "--seed"),
        (["--resume", "--overwrite"], "exclude each other"),
        (["--config", "missing.yaml"], "missing.yaml: no such file"),
        (["--setting", "k1=3"], "--setting"),
        (["one argument too many"], ""),
        (["--valid", "missing.txt"], "no such file"),
    ],
)
def test_wrong_usage(plain_text: Path, tmp_path: Path, fails: Fails, arguments: list[str], message: str) -> None:
    line = fails(["train", plain_text, "-o", tmp_path / "run", *arguments], 2)
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_file_of_settings(contents: Contents, plain_text: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(
        "kind: elman\nbudget: {amount: 2, unit: steps}\nmodel: {hidden_size: 5}\ntrain: {lanes: 3, k1: 9}\n"
    )
    arguments = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--config", str(config), "--set", "lanes=2"]
    assert command(arguments) == 0
    made = elman.load(tmp_path / "run").model.config
    assert (made["model"], made["hidden_size"]) == ("elman", 5)
    assert "lanes: 2" in (tmp_path / "run" / "config.yaml").read_text()
    # What a run wrote down trains the same run again.
    resolved = ["train", str(plain_text), "-o", str(tmp_path / "again"), "--config", str(tmp_path / "run/config.yaml")]
    assert command(resolved) == 0
    assert contents(tmp_path / "again")["metrics.jsonl"] == contents(tmp_path / "run")["metrics.jsonl"]


def test_a_run_is_not_touched_unasked(contents: Contents, run: Path, plain_text: Path, fails: Fails) -> None:
    before = contents(run)
    line = fails(["train", plain_text, "-o", run], 2)
    assert "already exists; go on with it (--resume), replace it (--overwrite)" in line
    assert contents(run) == before


def test_overwrite_replaces_the_run_and_leaves_what_is_not_its_own(run: Path, plain_text: Path) -> None:
    mine = [run / "notes.txt", run / "model" / "export.onnx", run / "checkpoints" / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    arguments = ["train", str(plain_text), "-o", str(run), "--overwrite", "--steps", "3", "--model", "gru", *SMALL]
    assert command(arguments) == 0
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert elman.load(run).model.kind == "gru"
    assert len([r for r in read(run / "metrics.jsonl") if "targets" in r]) == 3
    assert [path.stem for path in checkpoints.paths(run / "checkpoints")][-1] == "step-000000003"


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
def test_what_is_no_run_is_never_replaced(
    contents: Contents, plain_text: Path, tmp_path: Path, fails: Fails, flags: list[str]
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine")
    fails(["train", plain_text, "-o", tmp_path / "home", *flags], 2)
    assert contents(tmp_path / "home") == {"thesis.txt": b"mine"}
    line = fails(["train", plain_text, "-o", tmp_path / "home" / "thesis.txt", *flags], 2)
    assert "expected a folder for the run, got a file" in line


@pytest.mark.parametrize("name", ["model", "cache", "env.json"])
def test_a_folder_that_only_looks_like_a_beginning_is_somebodys(
    contents: Contents, plain_text: Path, tmp_path: Path, fails: Fails, name: str
) -> None:
    mine = tmp_path / "mine" / name / "weights.bin"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = contents(tmp_path / "mine")
    fails(["train", plain_text, "-o", tmp_path / "mine", "--steps", "1", *SMALL], 2)
    assert contents(tmp_path / "mine") == before


@pytest.mark.parametrize("flags", [[], ["--resume"], ["--overwrite"]])
def test_what_a_killed_preparation_left_is_in_nobodys_way(
    trained: Path, plain_text: Path, tmp_path: Path, flags: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "cache", run / "cache")
    min((run / "cache").glob("text-*.json")).unlink()
    (run / ".lock").touch()
    assert command(["train", str(plain_text), "-o", str(run), "--steps", "1", *SMALL, *flags]) == 0


def test_default_folders_count_up(
    names: Callable[[Path], list[str]], plain_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(["train", "missing.txt"], 2)
    assert not Path("runs").exists()
    for _ in range(2):
        assert command(["train", str(plain_text), "--steps", "1", *SMALL]) == 0
    assert names(Path("runs")) == ["plain-lstm", "plain-lstm-2"]
    assert command(["train", str(plain_text), "--steps", "2", "--resume", *SMALL]) == 0
    assert len(checkpoints.paths(Path("runs/plain-lstm-2/checkpoints"))) == 2
    assert names(Path("runs")) == ["plain-lstm", "plain-lstm-2"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("wiki.train.txt", "wiki.train-lstm"),
        ("a/b.jsonl.gz", "b-lstm"),
        ("python-stdlib", "python-stdlib-lstm"),
        ("a/", "a-lstm"),
        ("/", "run-lstm"),
        ("v1.2", "v1.2-lstm"),
    ],
)
def test_the_default_folder_is_named_after_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_folder(data, "lstm", again=False) == Path("runs") / name


def test_a_memory_without_bound_is_warned_of(
    plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--set", "hidden_size=8", "--set", "num_heads=2", "--set", "lanes=4", "--set", "k1=8", "--steps", "1"]
    run = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--model", "transformer", *sizes]
    assert command([*run, "--set", "window=null"]) == 0
    assert "warning: without a window" in capsys.readouterr().err
    assert command([*run, "--overwrite"]) == 0  # a window is chosen
    assert "warning" not in capsys.readouterr().err


def test_a_loss_that_is_never_finite(plain_text: Path, tmp_path: Path, fails: Fails) -> None:
    run = tmp_path / "run"
    wild = ["--set", "optimizer=sgd", "--set", "learning_rate=1e30", "--set", "clip=none", "--set", "max_bad_steps=3"]
    line = fails(["train", plain_text, "-o", run, "--steps", "60", "--set", "warmup=0", *SMALL, *wild], 1)
    assert "not finite in 3 steps in a row" in line
    assert "learning_rate" in line


def test_debug_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ELMAN_DEBUG", "")
    assert command(["--debug", "train", str(tmp_path / "missing.txt"), "-o", str(tmp_path / "run")]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["checkpoints", "model", "metrics.jsonl", "env.json", "cache"])
def test_overwrite_unlinks_a_link_and_leaves_what_it_points_to(
    contents: Contents, run: Path, plain_text: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (run / name).rename(elsewhere)
    (run / name).symlink_to(elsewhere)
    before = contents(tmp_path / "elsewhere") if elsewhere.is_dir() else elsewhere.read_bytes()
    arguments = ["train", str(plain_text), "-o", str(run), "--overwrite", "--steps", "2", *SMALL]
    for _ in range(2):
        assert command(arguments) == 0
        assert not (run / name).is_symlink()
        assert (contents(elsewhere) if elsewhere.is_dir() else elsewhere.read_bytes()) == before
    elman.load(run)


@pytest.mark.parametrize("name", ["train-*.bin", "train-*.json", "text-*.json", "tokenizer-*.json"])
def test_a_folder_in_the_cache_is_told_of_before_anything_is_lost(
    contents: Contents, run: Path, plain_text: Path, fails: Fails, name: str
) -> None:
    (path,) = (run / "cache").glob(name)
    path.unlink()
    path.mkdir()
    (path / "file").write_text("mine")
    before = contents(run)
    line = fails(["train", plain_text, "-o", run, "--resume"], 1)
    assert f"cannot write {path}: a folder is in its place; move the folder away" in line
    assert contents(run) == before


def test_another_text_does_not_go_through_a_link_into_another_cache(
    contents: Contents, run: Path, tmp_path: Path
) -> None:
    (run / "cache").rename(tmp_path / "elsewhere")
    (run / "cache").symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    other = tmp_path / "other.txt"
    other.write_text("quite another text, again and again. " * 50)
    assert command(["train", str(other), "-o", str(run), "--overwrite", "--steps", "1", *SMALL]) == 0
    assert contents(tmp_path / "elsewhere") == before

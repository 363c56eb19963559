"""`elman train --resume`: what goes on, what is refused, and what is left as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import elman
from elman import run_folders
from elman.cli import run as command
from elman.tasks.configuration import read_yaml
from elman.train import checkpoints

SMALL = ["--set", "hidden_size=8", "--set", "embedding_size=6", "--set", "lanes=4", "--set", "k1=8"]
Fails = Callable[[list[str | Path], int], str]
Contents = Callable[[Path], dict[str, bytes]]


def test_a_run_without_its_settings_is_not_begun_anew(
    contents: Contents, run: Path, plain_text: Path, fails: Fails
) -> None:
    (run / "config.yaml").unlink()
    before = contents(run)
    assert "already exists" in fails(["train", plain_text, "-o", run, "--resume"], 2)
    assert contents(run) == before
    assert command(["train", str(plain_text), "-o", str(run), "--overwrite", "--steps", "1", *SMALL]) == 0


def test_two_cannot_train_in_one_folder(contents: Contents, run: Path, plain_text: Path, fails: Fails) -> None:

    before = contents(run)
    with run_folders.lock(run):
        line = fails(["train", plain_text, "-o", run, "--resume"], 1)
    assert "another process is training in" in line
    assert contents(run) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "gru"], "is a run of another model: expected lstm, got gru"),
        (["--set", "hidden_size=9"], "another hidden_size: expected 8, got 9"),
        (["--set", "k1=9"], "another k1: expected 8, got 9"),
        (["--tokenizer", "byte"], "another tokenizer: expected char, got byte"),
        (["--seed", "5"], "another seed: expected 1, got 5"),
    ],
)
def test_resuming_with_other_settings(
    contents: Contents, run: Path, plain_text: Path, fails: Fails, arguments: list[str], message: str
) -> None:
    before = contents(run)
    line = fails(["train", plain_text, "-o", run, "--resume", *arguments], 1)
    assert message in line
    assert contents(run) == before


def test_resuming_with_another_text(contents: Contents, run: Path, tmp_path: Path, fails: Fails) -> None:
    other = tmp_path / "other.txt"
    other.write_text("quite another text, again and again. " * 50)
    before = contents(run)
    assert "is not the text that the run began with" in fails(["train", other, "-o", run, "--resume"], 1)
    assert contents(run) == before


def test_the_text_may_move(run: Path, plain_text: Path, tmp_path: Path) -> None:
    moved = shutil.copy(plain_text, tmp_path / "moved.txt")
    assert command(["train", str(moved), "-o", str(run), "--resume", "--steps", "13", *SMALL]) == 0
    assert str(moved) in (run / "config.yaml").read_text()


def test_the_text_for_validation_may_move_but_not_change(
    contents: Contents, plain_text: Path, tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    (tmp_path / "valid.txt").write_text("the cat ran on the mat. " * 20)
    monkeypatch.chdir(tmp_path)
    train = ["train", str(plain_text), "-o", str(run)]
    assert command([*train, "--valid", "valid.txt", "--steps", "2", *SMALL]) == 0
    for place in ("./valid.txt", str(tmp_path / "valid.txt"), shutil.copy("valid.txt", "moved.txt")):
        assert command([*train, "--valid", place, "--resume", "--steps", "2"]) == 0
        assert read_yaml(run / "config.yaml")["data"]["valid"] == place
    assert command([*train, "--resume", "--steps", "3"]) == 0
    assert read_yaml(run / "config.yaml")["data"]["valid"] == "moved.txt"

    (tmp_path / "other.txt").write_text("the cat ran to the mat. " * 20)
    before = contents(run)
    line = fails([*train, "--valid", "other.txt", "--resume"], 1)
    assert f"{plain_text} with other.txt is not the text that the run began with" in line
    assert contents(run) == before


def test_the_first_setting_that_differs_is_named(run: Path, plain_text: Path, fails: Fails) -> None:
    """In the order of the settings, whatever a set's order may be in this process."""
    others = [part for setting in ("k1=9", "lanes=5", "clip=none", "beta1=.5") for part in ("--set", setting)]
    assert "another beta1:" in fails(["train", plain_text, "-o", run, "--resume", *others], 1)


def test_resuming_what_is_finished(
    contents: Contents, run: Path, plain_text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    assert command(["train", str(plain_text), "-o", str(run), "--resume"]) == 0
    assert "is finished already (budget spent: 12 steps); a larger budget goes on" in capsys.readouterr().err
    for name in ("metrics.jsonl", "model/model.safetensors", "env.json", "config.yaml"):
        assert contents(run)[name] == before[name]


LOSSES: dict[str, Callable[[Path], object]] = {
    "no model": lambda run: shutil.rmtree(run / "model"),
    "no weights": lambda run: (run / "model/model.safetensors").unlink(),
    "torn weights": lambda run: (run / "model/model.safetensors").write_bytes(b"torn"),
    "another model's weights": lambda run: shutil.copy(
        checkpoints.paths(run / "checkpoints")[0], run / "model/model.safetensors"
    ),
    "no config": lambda run: (run / "model/config.json").unlink(),
    "a torn config": lambda run: (run / "model/config.json").write_text("{"),
    "no tokenizer": lambda run: (run / "model/tokenizer.json").unlink(),
    "no card": lambda run: (run / "model/README.md").unlink(),
    "weights that are a link": lambda run: _linked(run / "model/model.safetensors"),
    "settings of its machine that are too deep": lambda run: (run / "env.json").write_text("[" * 99999),
}


def _linked(path: Path) -> None:
    moved = path.rename(path.parents[2] / path.name)
    path.symlink_to(moved)


@pytest.fixture(scope="module")
def past_its_best(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose last validation was not its best: the weights of the last step are not the model's."""
    run = tmp_path_factory.mktemp("past") / "run"
    rates = ["--set", "learning_rate=30", "--set", "schedule=constant", "--set", "optimizer=sgd", "--set", "clip=none"]
    steps = ["--set", "validate_every=1", "--steps", "6"]
    assert command(["train", str(plain_text), "-o", str(run), *steps, *rates, *SMALL]) == 0
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if "validation" in record][-1]
    assert last["validation"]["loss"] > last["best"]
    return run


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_resuming_writes_the_model_folder_again(
    contents: Contents, past_its_best: Path, tmp_path: Path, plain_text: Path, lose: Callable[[Path], object]
) -> None:
    run = shutil.copytree(past_its_best, tmp_path / past_its_best.name)
    before = contents(run)
    lose(run)
    assert command(["train", str(plain_text), "-o", str(run), "--resume"]) == 0
    after = contents(run)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert after[f"model/{name}"] == before[f"model/{name}"]
    assert (run / "model" / "README.md").exists()
    elman.load(run)


def test_another_number_of_threads(run: Path, plain_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = json.loads((run / "env.json").read_text())
    (run / "env.json").write_text(json.dumps(env | {"threads": 77}))
    assert command(["train", str(plain_text), "-o", str(run), "--resume"]) == 0
    err = capsys.readouterr().err
    assert "began with 77 threads" in err
    assert "OMP_NUM_THREADS=77" in err
    assert json.loads((run / "env.json").read_text())["threads"] == 77


def test_damaged_settings_of_a_run(run: Path, plain_text: Path, fails: Fails) -> None:
    (run / "config.yaml").write_text("kind: [")
    assert "config.yaml: not readable as YAML" in fails(["train", plain_text, "-o", run, "--resume"], 1)


def test_a_damaged_checkpoint(run: Path, plain_text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newest = checkpoints.paths(run / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-7])
    assert command(["train", str(plain_text), "-o", str(run), "--resume"]) == 0
    assert f"warning: damaged checkpoint {newest.name}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--set", "num_heads=2"]])
def test_the_kind_of_a_run_need_not_be_said_again(plain_text: Path, tmp_path: Path, arguments: list[str]) -> None:
    sizes = ["--set", "hidden_size=8", "--set", "num_heads=2", "--set", "lanes=4", "--set", "k1=8"]
    run = ["train", str(plain_text), "-o", str(tmp_path / "run")]
    assert command([*run, "--model", "transformer", "--steps", "2", *sizes]) == 0
    assert command([*run, "--resume", "--steps", "3", *arguments]) == 0


def test_the_settings_of_a_run_serve_for_another_text(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("another text altogether. " * 50)
    settings = ["--config", str(run / "config.yaml")]
    assert command(["train", str(other), "-o", str(tmp_path / "new"), *settings]) == 0


def test_a_folder_among_the_checkpoints_is_passed_over(run: Path, plain_text: Path) -> None:
    (run / "checkpoints" / "step-000000001.safetensors").mkdir()
    for steps in ("13", "14"):
        assert command(["train", str(plain_text), "-o", str(run), "--resume", "--steps", steps, *SMALL]) == 0


def test_a_lock_that_is_a_link_makes_no_file_elsewhere(
    run: Path, plain_text: Path, tmp_path: Path, fails: Fails
) -> None:
    (run / ".lock").unlink()
    (run / ".lock").symlink_to(tmp_path / "elsewhere")
    assert ".lock is no file" in fails(["train", plain_text, "-o", run, "--resume"], 1)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["env.json", "config.yaml"])
@pytest.mark.parametrize("flags", [[], ["--resume"], ["--overwrite"]])
def test_what_a_kill_left_of_a_file_is_in_nobodys_way(run: Path, plain_text: Path, name: str, flags: list[str]) -> None:
    for path in (run / "config.yaml", run / "env.json", run / "model" / "model.safetensors", run / "metrics.jsonl"):
        path.unlink()
    shutil.rmtree(run / "checkpoints")
    (run / "timing.jsonl").unlink()
    (run / f".{name}.tmp").write_text("half")
    assert command(["train", str(plain_text), "-o", str(run), "--steps", "1", *SMALL, *flags]) == 0
    assert not (run / f".{name}.tmp").exists() or name == "env.json"

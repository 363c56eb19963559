"""What `elman train` and `elman compare` do with data that are no text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from elman.cli import run as command

Fails = Callable[[list[str | Path], int], str]
SMALL = ["--set", "hidden_size=8", "--set", "embedding_size=6", "--set", "lanes=2", "--set", "k1=8"]
TABLE = "date,load,oil\n" + "".join(f"2016-07-01 {hour:02}:00,{hour}.5,30\n" for hour in range(24)) * 9
REMEDY = "; --task language-modelling trains on its characters all the same"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    path = tmp_path / "tables" / "ett.csv"
    path.write_text(TABLE)
    return path


def test_a_table_is_not_taken_for_a_text(table: Path, tmp_path: Path, plain_text: Path, fails: Fails) -> None:
    wide = tmp_path / "wide.tsv"
    wide.write_text(TABLE.replace(",", "\t"))
    run = tmp_path / "run"
    for arguments in ([table], [table.parent], [wide], [plain_text, "--valid", table]):
        line = fails(["train", *arguments, "-o", run, "--steps", "2"], 2)
        assert "looks like a table (" in line
        assert ", 3 columns)" in line
        assert line.endswith(REMEDY)
        assert not run.exists()


def test_a_table_is_trained_on_where_the_task_is_said(table: Path, tmp_path: Path) -> None:
    train = ["train", str(table), "-o", str(tmp_path / "run"), *SMALL, "--steps"]
    assert command([*train, "2", "--task", "language-modelling"]) == 0
    assert command([*train, "3", "--resume"]) == 0  # the run knows its task
    settings = tmp_path / "settings.yaml"
    settings.write_text("task: language-modelling\n")
    assert command([*train, "2", "--overwrite", "--config", str(settings)]) == 0


def test_the_names_of_columns_say_what_a_table_holds(
    tmp_path: Path, fails: Fails, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("review,stars\n" + "".join(f"a {n} film,{n % 2}\n" for n in range(40)))
    columns = ["--set", "text=review", "--set", "data.label=stars"]
    line = fails(["train", reviews, "-o", tmp_path / "run", "--steps", "2"], 2)
    assert "or say their names (--set text=NAME)" in line
    for name, options in (("train", ["--set", "hidden_size=8"]), ("compare", ["--models", "gru,elman"])):
        assert command([name, str(reviews), "-o", str(tmp_path / name), "--steps", "2", *options, *columns]) == 0
        assert "recognised as classification: no other has the setting label and text" in capsys.readouterr().err
    assert "could be" not in fails(["train", reviews, "-o", tmp_path / "run", "--set", "id_column=n"], 2)


def test_pairs_that_were_read_as_text_are_so_where_the_run_goes_on(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a cat\teine Katze\n" * 99)
    train = ["train", str(pairs), "-o", str(tmp_path / "run"), *SMALL, "--steps"]
    assert command([*train, "2", "--task", "language-modelling"]) == 0
    assert command([*train, "3", "--resume"]) == 0


def test_compare_reads_a_table_where_the_task_is_said(
    table: Path, tmp_path: Path, plain_text: Path, fails: Fails
) -> None:
    small = ["--models", "gru,elman", "--steps", "2", "--parameters", "5000", *SMALL[4:]]
    folder = tmp_path / "comparison"
    for arguments in ([table], [plain_text, "--valid", table]):
        line = fails(["compare", *arguments, "-o", folder, *small], 2)
        assert "ett.csv looks like a table (CSV, 3 columns): expected a text" in line
        assert line.endswith(REMEDY)
    assert not folder.exists()
    assert command(["compare", str(table), "-o", str(folder), *small, "--task", "language-modelling"]) == 0


def test_compare_recognises_what_train_does(tmp_path: Path, plain_text: Path, fails: Fails) -> None:
    small = ["--steps", "2", "-o", tmp_path / "c"]
    line = fails(["compare", plain_text, "x", "y", *small], 2)
    assert line == "elman: DATA: expected one file, or two of pairs, got 3 files; validation files stand after --valid"
    line = fails(["compare", plain_text, plain_text, "--task", "language-modelling", *small], 2)
    assert line == "elman: DATA: expected one text, got two files; --task translation"
    assert not (tmp_path / "c").exists()


def test_two_files_are_pairs_unless_the_task_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also two to validate on."""
    files = []
    for part, count in (("train", 30), ("valid", 6)):
        for name, line in (("in", "play {} again\n"), ("out", "O B-x O\n")):
            path = tmp_path / f"{part}.{name}"
            path.write_text("".join(line.format(f"song{number}") for number in range(count)))
            files.append(str(path))
    train = ["train", *files[:2], "--valid", *files[2:], "-o", str(tmp_path / "run"), "--steps", "1"]
    small = ["--set", "hidden_size=8", "--overwrite"]
    assert command([*train, *small]) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == (
        "recognised as translation: there are two files, line by line; it could be tagging too (--task tagging): "
        f"{files[1]} has as many words in each line as {files[0]}"
    )
    assert command([*train, *small, "--task", "tagging"]) == 0
    err = capsys.readouterr().err
    assert "recognised as" not in err
    assert "30 training and 6 validation sentences" in err


def test_horizon_is_a_setting_of_series(tmp_path: Path, plain_text: Path, fails: Fails) -> None:
    table = tmp_path / "series.csv"
    table.write_text("ds,a\n" + "".join(f"{step},{step % 7}\n" for step in range(80)))
    run = tmp_path / "run"
    small = ["-o", str(run), "--steps", "1", "--set", "hidden_size=8"]
    assert command(["train", str(table), "--horizon", "4", *small]) == 0
    assert "horizon: 4" in (run / "config.yaml").read_text()
    line = fails(["train", plain_text, "--horizon", "4", *small, "--overwrite"], 2)
    assert "no setting called 'horizon'" in line
    fails(["train", table, "--horizon", "0", *small], 2)


def test_a_folder_is_predicted_for_or_refused(tmp_path: Path, fails: Fails) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"one {number}\teins {number}\n" for number in range(30)))
    run = str(tmp_path / "run")
    assert command(["train", str(pairs), "-o", run, "--steps", "1", "--set", "hidden_size=8"]) == 0
    assert fails(["predict", run, tmp_path], 1) == f"elman: cannot read {tmp_path}: Is a directory"

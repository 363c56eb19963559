import json
import math
from pathlib import Path

import pytest

from elman.errors import UserError
from elman.train.journal import Journal, read


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_came_after_the_checkpoint_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"
    with Journal(path) as journal:
        journal.write({"step": 1})
        kept = journal.sync()
        journal.write({"step": 2})
    assert lines(path) == [{"step": 1}, {"step": 2}]
    with Journal(path, keep=kept) as journal:
        journal.write({"step": 3})
        assert journal.sync() == path.stat().st_size
    assert lines(path) == [{"step": 1}, {"step": 3}]


def test_without_a_checkpoint_only_a_torn_line_goes(tmp_path: Path) -> None:
    path = tmp_path / "timing.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    assert list(read(path)) == [{"step": 1}]
    with Journal(path) as journal:
        journal.write({"step": 2})
    assert lines(path) == [{"step": 1}, {"step": 2}]


def test_a_journal_that_was_removed_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with Journal(path, keep=1000) as journal:
        journal.write({"step": 2})
    assert path.read_bytes() == b'{"step": 2}\n'


def test_it_is_json_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with Journal(path) as journal:
        journal.write({"loss": math.nan, "validation": {"loss": math.inf, "tokens": 3, "exact": 0.1 + 0.2}})
    [record] = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert record == {"loss": None, "validation": {"loss": None, "tokens": 3, "exact": 0.1 + 0.2}}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        Journal(tmp_path / "file" / "metrics.jsonl")


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\nmine\n")
    for name, target in (("metrics.jsonl", "mine.txt"), ("timing.jsonl", "nowhere")):
        (tmp_path / name).symlink_to(target)
        with Journal(tmp_path / name, keep=5) as journal:
            journal.write({"step": 1})
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "mine.txt").read_text() == "mine\nmine\n"
    assert (tmp_path / "metrics.jsonl").read_text() == 'mine\n{"step": 1}\n'
    assert not (tmp_path / "nowhere").exists()


def test_damaged_lines_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for line in ('{"step": {}}', '{"loss": 1}', "{", '{"step": 1, "gradient_norm": {}}', '{"step": 1, "loss": "x"}'):
        path.write_text('{"step": 1, "loss": null}\n' + line + "\n")
        with pytest.raises(UserError, match=r"metrics.jsonl, line 2, is damaged"):
            list(read(path))

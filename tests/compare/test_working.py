"""What the processes of a comparison do: each joins the same comparison, and what is found is kept."""

from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from elman.compare import working
from elman.compare.comparison import compare
from elman.compare.plan import Plan
from elman.compare.sharing import Shared
from elman.compare.store import open_store
from elman.compare.training import Stopped
from elman.errors import UserError
from elman.train.schedule import Budget

pytest.importorskip("optuna")


def planned(text: Path | str = "text.txt", **options: Any) -> Plan:
    small: dict[str, Any] = {"parameters": 5000, "settings": ("lanes=4", "k1=8")}
    return Plan((str(text),), ("gru", "elman"), budget=Budget(4, "steps"), **small | options)


def test_what_was_found_before_a_stop_is_kept(plain_text: Path, tmp_path: Path) -> None:
    stages = [""]

    def progress(name: str, done: float, text: str) -> None:
        stages.append(name)

    with pytest.raises(Stopped):
        compare(
            planned(plain_text), tmp_path / "folder", storage=str(tmp_path / "journal"), progress=progress,
            stop=lambda: stages[-1].startswith("elman"),
        )  # fmt: skip
    assert [*json.loads((tmp_path / "folder" / "comparison.json").read_text())["runs"]] == ["gru-1"]


def test_a_folder_with_other_settings_does_not_join(plain_text: Path, tmp_path: Path) -> None:
    """The sizes were chosen on another machine, say."""
    plan, journal = planned(plain_text), str(tmp_path / "journal")
    with pytest.raises(Stopped):
        compare(plan, tmp_path / "first", storage=journal, stop=lambda: bool([*tmp_path.glob("first/comparison.json")]))
    known = Shared(journal, plan).known
    assert known is not None
    path = tmp_path / "second" / "comparison.json"
    path.parent.mkdir()
    path.write_text((tmp_path / "first" / "comparison.json").read_text())
    other = json.loads(path.read_text())
    other["settings"]["gru"]["model"]["hidden_size"] += 1
    path.write_text(json.dumps(other))
    with pytest.raises(UserError, match="holds this comparison with other settings") as refused:
        compare(plan, path.parent, resume=True, storage=journal)
    assert refused.value.exit_code == 2
    assert Shared(journal, plan).known == known
    moved = tmp_path / "moved" / plain_text.name  # the same data in another place
    moved.parent.mkdir()
    moved.write_bytes(plain_text.read_bytes())
    with pytest.raises(Stopped):
        compare(planned(moved), tmp_path / "first", resume=True, storage=journal, stop=lambda: True)


def test_new_trainings_are_told_in_their_order(tmp_path: Path) -> None:
    plan = planned(seeds=8)
    store = open_store(tmp_path, plan, resume=False, overwrite=False)
    store.known["runs"] = {"gru-2": {"loss": 1.0}}
    shared = Shared(str(tmp_path / "journal"), plan)
    with shared.turn():
        shared.publish(store.known | {"runs": {name: {"loss": 1.0} for name in plan.trainings()}})
    assert working.collect(plan, store, shared) == [name for name in plan.trainings() if name != "gru-2"]
    assert working.collect(plan, store, shared) == []


@pytest.mark.parametrize("error", [UserError("the disk is full"), ValueError("the disk is full")])
def test_an_error_of_a_process_is_told(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, journal = planned(), str(tmp_path / "journal")
    shared = Shared(journal, plan)
    with shared.turn():
        shared.publish(open_store(tmp_path / "folder", plan, resume=False, overwrite=False).known)

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(working, "work", fail)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    with pytest.raises((SystemExit, ValueError)):
        working._assist(plan, tmp_path / "folder", journal, torch.get_num_threads(), theirs)
    assert ours.poll()
    assert "the disk is full" in ours.recv()

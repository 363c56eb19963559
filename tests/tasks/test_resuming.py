"""A run that was stopped or killed, and resumed, ends as one that was not: bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elman.errors import UserError
from elman.train import checkpoints
from elman.train.events import Finished, Resumed, Warned
from resuming import assert_interruptions_change_nothing, assert_same, ended, session

SMALL: dict[str, dict[str, Any]] = {
    "elman": {"hidden_size": 6, "embedding_size": 5, "recompute": True},
    "gru": {"hidden_size": 6, "embedding_size": 5, "num_layers": 2, "dropout_hidden": 0.3, "zoneout": 0.2},
    "lstm": {"hidden_size": 6, "embedding_size": 5, "tied": True, "weight_dropout": 0.3, "zoneout_cell": 0.3},
    "mingru": {"hidden_size": 6, "embedding_size": 5, "num_layers": 2, "dropout_hidden": 0.3, "zoneout": 0.2},
    "slstm": {"hidden_size": 6, "embedding_size": 5, "num_layers": 2, "dropout_hidden": 0.3, "weight_dropout": 0.3},
    "transformer": {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "window": 6, "dropout": 0.2},
}
STEPS = 11


def tree(source: Path, kind: str = "lstm", **train: Any) -> dict[str, Any]:
    train = {"lanes": 3, "k1": 5, "validate_every": 3, "checkpoint_every": 2, "learning_rate": 0.01} | train
    budget = {"amount": STEPS, "unit": "steps"}
    return {
        "kind": kind,
        "budget": budget,
        "data": {"source": str(source)},
        "model": dict(SMALL[kind]),
        "train": train,
    }


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "elman, sgd with momentum": ("plain_text", "elman", {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.5}),
    "gru, adaptive clipping": ("documents", "gru", {"clip": "adaptive", "clip_percentile": 40}),
    "lstm, average": ("documents", "lstm", {"average": 0.9, "clip": "value", "clip_threshold": 0.01}),
    "gru, adaptive truncation": ("plain_text", "gru", {"k2": "auto", "k2_cosine": 0.999999}),
    "transformer, muon": ("documents", "transformer", {"clip": "none", "optimizer": "muon"}),
    "transformer, k2 > k1": ("plain_text", "transformer", {"k2": 7, "average": 0.5}),
    "gru, k2 > 2 k1": ("plain_text", "gru", {"k2": 12}),
    "lstm, k2 full": ("documents", "lstm", {"k2": "full"}),
    "lstm, accumulate, epochs": ("plain_text", "lstm", {"lanes": 30, "k1": 12, "k2": 20, "accumulate": 3}),
    "lstm, random offsets": ("documents", "lstm", {"lanes": 30, "k1": 12, "k2": 20, "random_offsets": True}),
    "random offsets, k2 auto": ("plain_text", "gru", {"lanes": 30, "k1": 12, "k2": "auto", "random_offsets": True}),
    "ntasgd": (
        "plain_text",
        "gru",
        {"optimizer": "ntasgd", "nonmonotone": 1, "learning_rate": 8.0, "validate_every": 1},
    ),
    "patience": ("plain_text", "elman", {"patience": 2, "learning_rate": 3.0, "optimizer": "sgd", "validate_every": 1}),
    "mingru": ("documents", "mingru", {"k2": 7}),
    "slstm": ("documents", "slstm", {"clip": "adaptive"}),
    "low precision": ("plain_text", "gru", {"precision": "bfloat16", "lanes": 30, "k1": 12}),
}


@pytest.mark.parametrize(("text", "kind", "train"), CASES.values(), ids=CASES)
def test_resumed_is_undisturbed(
    request: pytest.FixtureRequest, tmp_path: Path, text: str, kind: str, train: dict[str, Any]
) -> None:
    settings = tree(request.getfixturevalue(text), kind, **train)
    assert_interruptions_change_nothing(settings, tmp_path)
    if "patience" in train or train.get("optimizer") == "ntasgd":
        _, _, tensors, values = ended(tmp_path / "whole")
        done = values.counters.step
        assert (done < STEPS) if "patience" in train else any(name.startswith("average") for name in tensors)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(plain_text: Path, tmp_path: Path) -> None:
    settings = tree(plain_text)
    session(settings, tmp_path / "whole")
    session(settings, tmp_path / "parts", stop=7)
    before, newest = checkpoints.paths(tmp_path / "parts" / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-100])
    events = session(settings, tmp_path / "parts")
    assert isinstance(events[0], Warned)
    assert newest.name in events[0].text
    assert events[1] == Resumed(int(before.stem.removeprefix("step-")))
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_no_whole_checkpoint_is_left(plain_text: Path, tmp_path: Path) -> None:
    session(tree(plain_text), tmp_path, stop=3)
    for path in checkpoints.paths(tmp_path / "checkpoints"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no whole checkpoint is left in .*overwrite=True"):
        session(tree(plain_text), tmp_path)


def test_the_checkpoints_of_another_model(plain_text: Path, tmp_path: Path) -> None:
    session(tree(plain_text), tmp_path / "a", stop=3)
    session(tree(plain_text, "gru"), tmp_path / "b", stop=3)
    for path in checkpoints.paths(tmp_path / "a" / "checkpoints"):
        path.replace(tmp_path / "b" / "checkpoints" / path.name)
    with pytest.raises(UserError, match="are another model's, or damaged"):
        session(tree(plain_text, "gru"), tmp_path / "b")


def test_a_finished_run_stays_as_it_is_and_a_larger_budget_goes_on(plain_text: Path, tmp_path: Path) -> None:
    settings = tree(plain_text)
    session(settings, tmp_path)
    before = ended(tmp_path)
    resumed, last = session(settings, tmp_path)
    assert resumed == Resumed(STEPS)
    assert isinstance(last, Finished)
    assert ended(tmp_path)[:2] == before[:2]
    settings["budget"] = {"amount": STEPS + 4, "unit": "steps"}
    *_, last = session(settings, tmp_path)
    assert isinstance(last, Finished)
    assert (last.reason, last.step) == ("budget", STEPS + 4)
    assert ended(tmp_path)[1].startswith(before[1])

"""Trainings that are stopped or killed, and what they end with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from elman.preparation import prepare
from elman.train import checkpoints
from elman.train.events import Event
from elman.train.loop import fit


def session(settings: dict[str, Any], folder: Path, *, stop: int = -1, kill: int = -1) -> list[Event]:
    """Train until the end, or stop as a signal does after so many steps, or die after so many."""
    events: list[Event] = []
    with prepare(settings, folder, resume=True) as prepared:
        counters = prepared.training.counters

        def stopping() -> bool:
            return prepared.training.counters.step == stop

        assert counters.step == 0
        for event in fit(prepared.training, folder, stop=stopping):
            events.append(event)
            if prepared.training.counters.step == kill:
                break
    return events


def ended(folder: Path) -> tuple[bytes, bytes, dict[str, torch.Tensor], checkpoints.Values]:
    last = checkpoints.load(checkpoints.paths(folder / "checkpoints")[-1])
    last.values.counters.seconds = 0
    return (
        (folder / "model" / "model.safetensors").read_bytes(),
        (folder / "metrics.jsonl").read_bytes(),
        last.tensors,
        last.values,
    )


def assert_same(folder: Path, other: Path) -> None:
    a, b = ended(folder), ended(other)
    assert a[0] == b[0], "model.safetensors"
    assert a[1] == b[1], "metrics.jsonl"
    assert a[2].keys() == b[2].keys()
    assert all(torch.equal(a[2][name], b[2][name]) for name in a[2])
    assert a[3] == b[3]


def assert_interruptions_change_nothing(settings: dict[str, Any], folder: Path) -> None:
    """Trained in one go, and in pieces with stops and kills between them: the same files, bit by bit."""
    session(settings, folder / "whole")
    session(settings, folder / "parts", stop=1)
    session(settings, folder / "parts", kill=5)
    session(settings, folder / "parts", stop=6)
    session(settings, folder / "parts", kill=7)
    torch.manual_seed(99)  # whatever happened in between
    session(settings, folder / "parts")
    assert_same(folder / "whole", folder / "parts")

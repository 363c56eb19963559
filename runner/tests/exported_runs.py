"""Small runs of every task, exported, and what the runner makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import elman
import elman_runner
from elman.export import export

TEXT = "the cat sät ön a mat and the dög ran — é.\n" * 60


class Both(NamedTuple):
    """A run, the folder of its export, and the runner's model."""

    run: elman.Run
    folder: Path
    model: Any


def exported(place: Path, *data: Any, **options: Any) -> Both:
    """Train a few steps on some data, export into a new folder of `place`, and load that."""
    usual = {"budget": "20 steps", "progress": False, "hidden_size": 8, "learning_rate": 0.02}
    run = elman.fit(*data, **(usual | options))
    export(run, "onnx", place / "exported")
    return Both(run, place / "exported", elman_runner.load(place / "exported", threads=1))

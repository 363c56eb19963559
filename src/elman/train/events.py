"""What happens in a training, event by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from elman.train.clipping import Clipped


@dataclass
class Step:
    """One optimiser step: where it was taken, its loss and its gradient.

    >>> import elman
    >>> events = elman.training("to be or not to be, " * 100, budget="2 steps", hidden_size=8)
    >>> [(step.step, step.targets, step.skipped) for step in events if isinstance(step, Step)]
    [(1, 448, False), (2, 448, False)]
    """

    step: int
    epoch: float
    progress: float
    loss: float
    targets: int
    learning_rate: float
    gradient: Clipped
    skipped: bool
    seconds: tuple[float, ...] = field(default=(), compare=False)  # of several ranks: for how long each has computed


@dataclass(frozen=True)
class Resumed:
    """The training goes on from the checkpoint of this step.

    >>> import elman
    >>> text, chosen = "to be or not to be, " * 100, {"hidden_size": 8, "budget": "4 steps", "out": "runs/hamlet"}
    >>> stopped = [*elman.training(text, **chosen, stop=iter([False, True, True]).__next__)]
    >>> [event for event in elman.training(text, **chosen, resume=True) if isinstance(event, Resumed)]
    [Resumed(step=1)]
    """

    step: int


@dataclass(frozen=True)
class Warned:
    """The loop found something wrong and mended it; the text says what.

    >>> import elman
    >>> from pathlib import Path
    >>> text, chosen = "to be or not to be, " * 100, {"hidden_size": 8, "budget": "4 steps", "out": "runs/hamlet"}
    >>> run = elman.fit(text, **chosen, validate_every=2, progress=False)
    >>> _ = max(Path("runs/hamlet/checkpoints").iterdir()).write_bytes(b"cut short")
    >>> *_, warned = (event.text for event in elman.training(text, **chosen, resume=True) if isinstance(event, Warned))
    >>> warned.partition(":")[0]
    'damaged checkpoint step-000000004.safetensors'
    """

    text: str


@dataclass(frozen=True)
class Validated:
    """Metrics on the validation set, and the seconds that they took.

    >>> import elman
    >>> events = elman.training("to be or not to be, " * 100, budget="4 steps", hidden_size=8, validate_every=2)
    >>> [(event.step, event.improved) for event in events if isinstance(event, Validated)]
    [(2, True), (4, True)]
    """

    step: int
    metrics: dict[str, float]
    improved: bool
    seconds: float


Reason = Literal["budget", "patience", "stopped"]


@dataclass(frozen=True)
class Finished:
    """The last event: why the training ended, its steps and seconds, and its least cost (`Objective.cost`).

    >>> import elman
    >>> *_, finished, fitted = elman.training("to be or not to be, " * 100, budget="2 steps", hidden_size=8)
    >>> finished.reason, finished.step, finished.best > 0
    ('budget', 2, True)
    """

    reason: Reason
    step: int
    seconds: float
    best: float


Event = Resumed | Warned | Step | Validated | Finished

"""What came out of a comparison: of each model over its seeds, by the data and by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.compare.intervals import Blocks, Interval, over_blocks, over_seeds
from elman.compare.plan import Plan
from elman.lens import Decay, fit_decay
from elman.report.figure import number
from elman.tasks import TASKS
from elman.tasks.task import Task

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Of one model, over its seeds."""

    model: str
    quality: Interval  # the loss
    scores: dict[str, float]  # `Task.scores`
    parameters: int
    targets: float  # learnt from
    learning_rate: float
    horizon: float | None  # lags; None: beyond `lags`, or not looked at
    lags: int | None  # that were looked at; None: the task does not measure how far a gradient reaches
    left: dict[str, float]  # the share of the gradient that is left at some lags, the last among them
    losses: tuple[float, ...]  # of every seed
    blocks: Blocks  # of the first seed
    validations: tuple[
        Curve, ...
    ] = ()  # of every seed: (2, V), targets read and the least loss so far, at every validation
    training: tuple[Curve, ...] = ()  # of every seed: (2, P), targets read and loss on those of a fiftieth of them

    @property
    def reach(self) -> str:
        """The memory horizon in words."""
        if not self.lags:
            return "–"
        return f"> {self.lags}" if self.horizon is None else f"{self.horizon:g}"

    @property
    def remains(self) -> str:
        """What is left of the gradient at the last lag that was looked at, in words."""
        return f"{number(self.left[str(self.lags)])} at {self.lags}" if self.left else "–"


@dataclass(frozen=True)
class Clock:
    """Of one model, over its seeds: means, and the most memory."""

    model: str
    seconds: float
    training: float  # targets a second
    decoding: float | None  # targets a second; None: nothing is written
    megabytes: float | None
    own_share: float | None = None  # of the processor, while training
    others_share: float | None = None  # other work's; None: not known


def outcomes(plan: Plan, known: dict[str, Any]) -> list[Outcome]:
    """Of every model whose trainings are done, the best first."""
    found = []
    for model in plan.models:
        results = [known["runs"][t.name] for t in plan.trainings() if t.model == model and t.name in known["runs"]]
        if not results:
            continue
        losses = tuple(result["loss"] for result in results)
        blocks = [Blocks(*(np.asarray(result["blocks"][key]) for key in ("nats", "tokens"))) for result in results]
        memories = [result["memory"] for result in results if "memory" in result]
        reaches = [memory.get("horizon") for memory in memories]
        known_reaches = [reach for reach in reaches if reach is not None]
        found.append(
            Outcome(
                model,
                over_seeds(losses) if len(losses) > 1 else over_blocks(blocks[0]),
                {
                    name: _mean(result[name] for result in results)
                    for name in TASKS[plan.task].scores
                    if all(name in result for result in results)
                },
                known["parameters"][model],
                _mean(result["tokens"] for result in results),
                results[0]["learning_rate"],
                float(np.median(known_reaches)) if len(known_reaches) * 2 > len(reaches) else None,
                memories[0].get("lags", 0) if memories else None,
                _left([decay(memory) for memory in memories if memory]),
                losses,
                blocks[0],
                tuple(_least_so_far(curve([point[1:] for point in result["curve"]])) for result in results),
                tuple(curve(result["training_curve"]) for result in results),
            )
        )
    return sorted(found, key=lambda outcome: outcome.quality.middle)


def decay(memory: dict[str, Any]) -> Decay:
    """How the gradient falls that was measured of one training (`Task.memory`)."""
    gradient = np.array([np.nan if norm is None else norm for norm in memory["gradient"]], np.float64)
    return fit_decay(np.arange(len(gradient)), gradient)


def _left(decays: Sequence[Decay]) -> dict[str, float]:
    """The median over the seeds."""
    return {str(lag): float(np.median([one.left[lag] for one in decays])) for lag in (decays[0].left if decays else ())}


def clocks(plan: Plan, timing: dict[str, Any]) -> list[Clock]:
    """Of every model whose trainings are done."""
    found = []
    for model in plan.models:
        parts = [timing["runs"][t.name] for t in plan.trainings() if t.model == model and t.name in timing["runs"]]
        if parts:
            peaks = [part["peak_megabytes"] for part in parts if part["peak_megabytes"] is not None]
            seconds, training = (
                _mean(part[key] for part in parts) for key in ("seconds", "training_tokens_per_second")
            )
            decoding, own, others = (
                _mean_of_known([part.get(key) for part in parts])
                for key in ("decoding_tokens_per_second", "own_share", "others_share")
            )
            found.append(Clock(model, seconds, training, decoding, max(peaks, default=None), own, others))
    return found


def over(interval: Interval, seeds: int, task: Task) -> str:
    """What an interval tells of: nothing else that may be different is in it."""
    return f"{seeds} seeds" if interval.over == "seeds" else f"the validation {task.sample[1]}"


def percent(share: float | None) -> str:
    """A share as people read it.

    >>> percent(0.481), percent(None)
    ('48 %', '–')
    """
    return "–" if share is None else f"{100 * share:.0f} %"


def curve(points: Sequence[Sequence[float | None]]) -> Curve:
    """Targets and losses (2, P), from [targets, loss] of each point; a loss that was not finite is left out."""
    return np.array([point for point in points if point[1] is not None], np.float64).reshape(-1, 2).T


def _least_so_far(validations: Curve) -> Curve:
    """The losses of the weights that would have been kept."""
    return np.stack([validations[0], np.minimum.accumulate(validations[1])])


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None

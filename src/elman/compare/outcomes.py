"""The outcomes of a comparison: what the seeds of each model give together, and the two tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from elman.arrays import Floats
from elman.compare.intervals import Blocks, Interval, Sums, over_blocks, over_seeds
from elman.compare.plan import Plan
from elman.lens import fit_decay
from elman.report.figure import number
from elman.tasks import TASKS
from elman.tasks.task import Task
from elman.wording import percent

Split = Literal["validation", "training"]


@dataclass(frozen=True)
class Outcome:
    """What seeds and data decide of one model: means over its seeds."""

    model: str
    quality: Interval  # the loss
    scores: dict[str, float]  # `Task.scores`
    parameters: int
    targets: float  # learnt from
    learning_rate: float
    horizon: float | None  # the lag at which 1 % of the gradient is left; None: beyond `lags`, or not measured
    lags: int | None  # over how many the gradient was measured; None: the task does not measure its reach
    left: dict[str, float]  # the share of the gradient that is left at some lags, the last lag among them
    losses: tuple[float, ...]  # of every seed
    blocks: Blocks  # of the first seed
    # Of every seed (2, P): targets read, and the least "validation" loss so far or the "training" loss.
    curves: Mapping[Split, Sequence[Floats]]
    seeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # the scores of every seed
    score_sums: Mapping[str, Sums] = field(default_factory=dict)  # of the scores of the first seed

    def score_interval(self, name: str) -> Interval | None:
        """The interval of a score; None where one seed has no blocks of it."""
        if len(self.losses) > 1 and name in self.seeds:
            return over_seeds(self.seeds[name])
        return over_blocks(self.score_sums[name]) if name in self.score_sums else None


@dataclass(frozen=True)
class Clock:
    """What the clock and the machine decide of one model: means over its seeds, and the highest peak of RAM."""

    model: str
    seconds: float
    training: float  # targets a second
    decoding: float | None  # targets a second; None: the task writes nothing
    megabytes: float | None
    own_share: float | None = None  # of the processor, while training; None: not known
    others_share: float | None = None  # that of other work


def outcomes(plan: Plan, known: dict[str, Any]) -> list[Outcome]:
    """The outcome of every model that has a finished training, the least loss first."""
    found, task = [], TASKS[plan.task]
    for model, results in _by_model(plan, known["runs"]):
        losses = tuple(result["loss"] for result in results)
        blocks = Blocks(*(np.array(results[0]["blocks"][key], np.float64) for key in ("nats", "tokens")))
        reaches = [result["memory"] for result in results if "memory" in result]
        horizons = [reach["horizon"] for reach in reaches if reach.get("horizon") is not None]
        scores = [name for name in task.scores if all(name in result for result in results)]
        validated = [curve([point[1:] for point in result["curve"]]) for result in results]
        one = Outcome(
            model=model,
            quality=over_seeds(losses) if len(losses) > 1 else over_blocks(blocks),
            scores={name: _mean(result[name] for result in results) for name in scores},
            parameters=known["parameters"][model],
            targets=_mean(result["tokens"] for result in results),
            learning_rate=results[0]["learning_rate"],
            horizon=float(np.median(horizons)) if len(horizons) * 2 > len(reaches) else None,
            lags=reaches[0].get("lags", 0) if reaches else None,
            left=_median_left([reach["gradient"] for reach in reaches if reach.get("gradient")]),
            losses=losses,
            blocks=blocks,
            curves={
                "validation": [np.stack([targets, np.minimum.accumulate(loss)]) for targets, loss in validated],
                "training": [curve(result["training_curve"]) for result in results],
            },
            seeds={name: tuple(result[name] for result in results) for name in scores},
            score_sums={
                name: Sums(np.array(terms, np.float64), partial(task.score_of, name))
                for name, terms in results[0].get("score_terms", {}).items()
            },
        )
        found.append(one)
    return sorted(found, key=lambda one: one.quality.middle)


def clocks(plan: Plan, timing: dict[str, Any]) -> list[Clock]:
    """The clock of every model that has a finished training."""
    return [
        Clock(
            model,
            _mean(part["seconds"] for part in parts),
            _mean(part["training_tokens_per_second"] for part in parts),
            _mean_of_known(parts, "decoding_tokens_per_second"),
            max((part["peak_megabytes"] for part in parts if part["peak_megabytes"] is not None), default=None),
            _mean_of_known(parts, "own_share"),
            _mean_of_known(parts, "others_share"),
        )
        for model, parts in _by_model(plan, timing["runs"])
    ]


def clock_ranges(plan: Plan, timing: dict[str, Any], key: str) -> tuple[Floats, Floats] | None:
    """The least and the greatest of a value of `timing.json` over the seeds, model by model; None of one seed alone."""
    every = [[part.get(key) for part in parts] for _, parts in _by_model(plan, timing["runs"])]
    if any(len(values) < 2 or None in values for values in every):
        return None
    return np.array([min(values) for values in every]), np.array([max(values) for values in every])


def _by_model(plan: Plan, runs: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Every model that has a finished training, with what is stored of its trainings, seed by seed."""
    for model in plan.models:
        if done := [runs[name] for name, (kind, _) in plan.trainings().items() if kind == model and name in runs]:
            yield model, done


def _median_left(gradients: Sequence[Sequence[float | None]]) -> dict[str, float]:
    """The median over the seeds of the share that is left of a gradient, at some lags."""
    shares = [fit_decay(np.arange(len(norms)), np.array(norms, np.float64)).left for norms in gradients]
    return {str(lag): float(np.median([share[lag] for share in shares])) for lag in (shares[0] if shares else ())}


def curve(points: Iterable[Sequence[float | None]]) -> Floats:
    """Targets and losses (2, P), from [targets, loss] of each point; a loss that was not finite is left out."""
    return np.array([point for point in points if point[1] is not None], np.float64).reshape(-1, 2).T


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _mean_of_known(parts: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [part[key] for part in parts if part.get(key) is not None]
    return _mean(known) if known else None


def over(interval: Interval, seeds: int, task: Task) -> str:
    """What varies in an interval, in words: nothing else that may be different is in the interval."""
    return f"{seeds} seeds" if interval.over == "seeds" else f"the validation {task.sample[1]}"


Row = dict[str, str]
"""The cells of a row of a table by the headings of their columns."""


def result_rows(ranked: Sequence[Outcome], task: Task) -> list[Row]:
    """The table of what seed and data decide; a score or a reach that was not measured has no column."""
    scores = [name for name in task.scores if all(name in one.scores for one in ranked)]
    reach = any(one.lags is not None for one in ranked)
    interval = f"95 % over {over(ranked[0].quality, len(ranked[0].losses), task)}"
    return [
        {
            "model": one.model,
            task.loss_unit: f"{one.quality.middle:.4f}",
            interval: f"{one.quality.low:.4f} to {one.quality.high:.4f}",
            **{task.scores[name]: f"{one.scores[name]:.4f}" for name in scores},
            "parameters": f"{one.parameters:,}",
            f"{task.target}s": f"{one.targets:,.0f}",
            "rate": f"{one.learning_rate:g}",
            **(_reach(one) if reach else {}),
        }
        for one in ranked
    ]


def _reach(one: Outcome) -> Row:
    horizon = f"> {one.lags}" if one.horizon is None else f"{one.horizon:g}"
    left = f"{number(one.left[str(one.lags)])} at {one.lags}" if one.left else "–"
    return {"horizon": horizon if one.lags else "–", "gradient left": left}


def clock_rows(measured: Sequence[Clock], task: Task) -> list[Row]:
    """The table of what the clock and the machine decide."""
    decoded = all(one.decoding is not None for one in measured)
    return [
        {
            "model": one.model,
            "seconds": f"{one.seconds:.1f}",
            f"training {task.target}s/s": f"{one.training:,.0f}",
            **({f"decoding {task.target}s/s": f"{one.decoding:,.0f}"} if decoded else {}),
            "peak MB": "–" if one.megabytes is None else f"{one.megabytes:,.0f}",
            "own CPU": percent(one.own_share),
            "other work's CPU": percent(one.others_share),
        }
        for one in measured
    ]


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The headings of a table, and its rows; nothing where there are no rows."""
    return list(rows[0]) if rows else [], [list(row.values()) for row in rows]

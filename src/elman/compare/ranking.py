"""The order of models by the score that people rank them by, and what its intervals leave open."""

from __future__ import annotations

from collections.abc import Sequence

from elman.compare.intervals import Interval, difference_over_blocks, difference_over_seeds
from elman.compare.outcomes import Outcome, over
from elman.tasks.task import Task


def order_by_score(ranked: Sequence[Outcome], task: Task) -> list[str]:
    """The models in the order of the score that people rank them by, which need not be that of their losses."""
    name = next((name for name in task.ranking if all(name in one.scores for one in ranked)), None)
    if name is None:
        return []
    ordered = sorted(ranked, key=lambda one: one.scores[name], reverse=task.ranking[name] == "more")
    intervals = {one.model: one.score_interval(name) for one in ordered}
    values = [f"{one.model} {one.scores[name]:.4f}{_between(intervals[one.model])}" for one in ordered]
    floor = task.floors.get(name)
    if floor is not None:
        values.append(f"{task.scores[floor]} {ordered[0].scores[floor]:.4f}")
    known = next(filter(None, intervals.values()), None)
    over_what = f", 95 % over {over(known, len(ordered[0].losses), task)}" if known else ""
    line = f"by {task.scores[name]} ({task.ranking[name]} is better{over_what}): {', '.join(values)}"
    first, *others = ordered
    gaps = [(other.model, _gap(first, other, name)) for other in others]
    open_ones = [model for model, gap in gaps if gap is not None and gap.holds_zero]
    means = means_of(len(first.losses) > 1, first, task)
    return [line + (f"; no difference from {' and '.join(open_ones)} that {means} can show" if open_ones else "")]


def _gap(first: Outcome, other: Outcome, name: str) -> Interval | None:
    """The interval of a difference of scores, first − other, drawn in pairs of one seed; None where none is known."""
    if min(len(first.losses), len(other.losses)) > 1:
        return difference_over_seeds(first.seeds[name], other.seeds[name]) if name in first.seeds else None
    if name not in first.score_sums or name not in other.score_sums:
        return None
    return difference_over_blocks(first.score_sums[name], other.score_sums[name])


def means_of(seeds: bool, best: Outcome, task: Task) -> str:
    """What may show a difference, in words."""
    return f"{len(best.losses)} seeds" if seeds else " ".join(task.sample)


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:.4f} to {interval.high:.4f})"

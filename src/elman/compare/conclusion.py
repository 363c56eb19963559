"""The conclusion of a comparison: sentences that its numbers support, each with what may reverse it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Floats
from elman.compare.intervals import Interval, difference_over_blocks, difference_over_seeds
from elman.compare.outcomes import Clock, Outcome, Split, clocks, outcomes, over
from elman.compare.plan import Plan
from elman.compare.ranking import means_of, order_by_score
from elman.compare.store import Store
from elman.inspection.look import plain
from elman.tasks import TASKS
from elman.tasks.task import Task
from elman.wording import percent

BUSY = 0.05  # a larger share of the processor for other work leaves a result by the clock in doubt

Shares = Mapping[str, float | None]
"""The share of the processor that other work took while each model trained; None: not known."""


class EqualTargets(NamedTuple):
    """The losses of two models after as many targets, so that the speed of reading has no part in them."""

    targets: float
    best: float
    other: float
    loss: Split  # training where a model was not validated so early


@dataclass(frozen=True)
class Verdict:
    """The best model against another model."""

    best: Outcome
    other: Outcome
    gap: Interval  # other − best
    timed: bool  # whether they had the same time, not the same amount of data or steps
    equal: EqualTargets | None  # None: not known
    shares: Shares

    @property
    def speed_decided(self) -> bool | None:
        """Whether the best leads by the clock but not by the target; None where nothing tells, or no model leads."""
        if not self.timed:
            return False
        return None if self.gap.holds_zero or self.equal is None else self.equal.other <= self.equal.best


def verdicts(plan: Plan, ranked: Sequence[Outcome], measured: Sequence[Clock]) -> list[Verdict]:
    """The first of the ranked models against each of the others."""
    best, *others = ranked
    timed = plan.budget.unit == "seconds"
    taken = {clock.model: clock.others_share for clock in measured}
    found = []
    for other in others:
        shares = {one.model: taken.get(one.model) for one in (best, other)}
        equal = at_equal_targets(best, other) if timed else None
        if min(len(best.losses), len(other.losses)) > 1:
            gap = difference_over_seeds(other.losses, best.losses)
        else:
            gap = difference_over_blocks(other.blocks, best.blocks)
        found.append(Verdict(best, other, gap, timed, equal, shares))
    return found


def at_equal_targets(best: Outcome, other: Outcome) -> EqualTargets | None:
    """The losses at the most targets that every training of both has read; None where a curve begins later."""
    for split in best.curves:
        every = [*best.curves[split], *other.curves[split]]
        if every and all(curve.size for curve in every):
            targets = float(min(curve[0, -1] for curve in every))
            if all(curve[0, 0] <= targets for curve in every):
                losses = [_mean_loss(one.curves[split], targets) for one in (best, other)]
                return EqualTargets(targets, losses[0], losses[1], split)
    return None


def _mean_loss(curves: Sequence[Floats], targets: float) -> float:
    """Between two points by the logarithm of the targets, over which learning curves are flatter."""
    return float(np.mean([np.interp(np.log(targets), np.log(x), y) for x, y in curves]))


def sentences(plan: Plan, ranked: Sequence[Outcome], measured: Sequence[Clock]) -> list[str]:
    """The best model, and the best model against each of the others."""
    task, best, found = TASKS[plan.task], ranked[0], verdicts(plan, ranked, measured)
    shares = {name: share for verdict in found if verdict.timed for name, share in verdict.shares.items()}
    lines = [
        f"{best.model} has the least loss, {best.quality.middle:.4f} {task.loss_unit} "
        + _interval(best.quality, best, task)
        + _reservation(best.quality, shares, "put another model first"),
        *(_sentence(verdict, task) for verdict in found),
        *order_by_score(ranked, task),
    ]
    if any(verdict.speed_decided for verdict in found):
        remedy = f"--epochs with --match tokens compares models {task.target} by {task.target}"
        lines.append(f"after as many {task.target}s, the faster model's learning rate has still to fall: {remedy}")
    if len(best.losses) == 1:
        lines.append("one seed a model: --seeds 3 tells how far another seed would change this")
    return lines


def _sentence(verdict: Verdict, task: Task) -> str:
    best, other, gap = verdict.best, verdict.other, verdict.gap
    words = f"{gap.middle:.4f} {task.unit} {_interval(gap, best, task)}"
    shares = verdict.shares if verdict.timed else {}
    if gap.holds_zero:
        means = means_of(gap.over == "seeds", best, task)
        none = f"no difference between {best.model} and {other.model} that {means} can show: {words}"
        return none + _reservation(gap, shares, "show one")
    beats = f"{best.model} beats {other.model} by {words}" + _reservation(gap, shares, "reverse it")
    return beats + (f"; {_speed(verdict, task)}" if verdict.timed else "")


def _interval(interval: Interval, best: Outcome, task: Task) -> str:
    return f"(95 % over {over(interval, len(best.losses), task)}: {interval.low:.4f} to {interval.high:.4f})"


def _reservation(interval: Interval, shares: Shares, may: str) -> str:
    """What the interval leaves out: other seeds and, where the clock decides, the other work on the machine."""
    reasons = {"with one seed": "another seed"} if interval.over == "blocks" else {}
    if busy := _busy(shares):
        reasons[busy] = "a rerun"
    return f", {', '.join(reasons)}: {' or '.join(reasons.values())} may {may}" if reasons else ""


def _busy(shares: Shares) -> str:
    """How busy other work kept the machine; empty where that is too little to decide anything."""
    known = {name: share for name, share in shares.items() if share is not None}
    if len(known) < len(shares):
        return "on a machine of which it is not known how busy it was with other work"
    least, most = min(known.values(), default=0.0), max(known.values(), default=0.0)
    if most <= BUSY:
        return ""
    if most - least <= BUSY:
        between = percent(most) if percent(least) == percent(most) else f"{100 * least:.0f} to {percent(most)}"
        return f"on a machine that was {between} busy with other work"
    named = ", ".join(f"{percent(share)} while {name} trained" for name, share in known.items())
    return f"on a machine that was busy with other work ({named})"


def _speed(verdict: Verdict, task: Task) -> str:
    best, other, equal = verdict.best, verdict.other, verdict.equal
    amounts = f"{best.model} read {best.targets:,.0f} {task.target}s and {other.model} {other.targets:,.0f}"
    read = f"in the same time {amounts}"
    if equal is None:
        return f"{read}: whether speed decided is not known, for one model has no curve that begins so early"
    losses = f"by {equal.loss} loss at the {equal.targets:,.0f} that both read"
    if verdict.speed_decided:
        return f"speed decided: {read}, and {losses} {other.model} is ahead ({equal.other:.4f} to {equal.best:.4f})"
    return f"{read}, and {losses} {best.model} is ahead too ({equal.best:.4f} to {equal.other:.4f})"


def clock_notes(measured: Sequence[Clock]) -> list[str]:
    """How far other work on the machine may have changed the second table."""
    known = [one.others_share for one in measured if one.others_share is not None]
    if len(known) < len(measured):
        return ["how busy other work kept the machine is not known here: the times are those of the machine as it was"]
    most = max(known, default=0.0)
    note = f"other work took up to {percent(most)} of the processor: an idle machine is faster than these times say"
    return [note] if most > BUSY else []


def summary(plan: Plan, store: Store) -> dict[str, Any]:
    """The comparison as JSON has it, without blocks and curves, and without what the task does not measure.

    >>> from pathlib import Path
    >>> from elman.compare import compare
    >>> from elman.train import parse_budget
    >>> _ = Path("book.txt").write_text("to be or not to be, that is the question: " * 60)
    >>> plan = Plan(("book.txt",), ("gru", "elman"), budget=parse_budget("2 steps"), parameters=5000)
    >>> found = summary(plan, compare(plan, Path("runs/comparison")))
    >>> sorted(found), sorted(one["model"] for one in found["models"])
    (['comparison', 'conclusion', 'match', 'models', 'timing', 'verdicts'], ['elman', 'gru'])
    """
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    kinds = {"seeds": "seeds", "blocks": TASKS[plan.task].sample[1]}
    return {
        "comparison": str(store.folder),
        "match": plan.match,
        "models": [
            {
                "model": one.model,
                "loss": one.quality.middle,
                "interval": [one.quality.low, one.quality.high],
                "interval_over": kinds[one.quality.over],
                **one.scores,
                "score_intervals": {
                    name: [interval.low, interval.high]
                    for name in one.scores
                    if (interval := one.score_interval(name)) is not None
                },
                "parameters": one.parameters,
                "tokens": one.targets,
                "learning_rate": one.learning_rate,
                **({} if one.lags is None else {"horizon": one.horizon, "left": plain(one.left)}),
                "losses": list(one.losses),
            }
            for one in ranked
        ],
        "verdicts": [
            {
                "best": one.best.model,
                "other": one.other.model,
                "difference": one.gap.middle,
                "interval": [one.gap.low, one.gap.high],
                "interval_over": kinds[one.gap.over],
                "seeds": len(one.best.losses),
                "shown": not one.gap.holds_zero,
                "speed_decided": one.speed_decided,
                "at_equal_tokens": one.equal and dict(zip(("tokens", "best", "other", "loss"), one.equal, strict=True)),
                "others_share": dict(one.shares),
            }
            for one in verdicts(plan, ranked, measured)
        ],
        "conclusion": sentences(plan, ranked, measured),
        "timing": [
            {key: value for key, value in vars(one).items() if key != "decoding" or value is not None}
            for one in measured
        ],
    }

"""What the numbers support, in sentences, each with what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from elman.compare.intervals import Interval, difference_over_seeds, difference_over_text
from elman.compare.outcomes import Clock, Curve, Outcome, clocks, outcomes, over, percent
from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.inspection.look import plain

BUSY = 0.05  # other work's share of the processor from which on a result by the clock is not taken for granted

Shares = Mapping[str, float | None]
"""Of the processor, what other work took while a model trained, by its name; None: not known."""


@dataclass(frozen=True)
class EqualTokens:
    """The losses of two models when both had read as much: what each makes of a token, however fast it reads."""

    tokens: float
    best: float
    other: float
    loss: Literal["validation", "training"]  # the second where one was not validated so early


@dataclass(frozen=True)
class Verdict:
    """The best model against another."""

    best: Outcome
    other: Outcome
    gap: Interval  # other − best, in nats a token
    timed: bool  # whether they had the same time, not the same amount of data or steps
    equal: EqualTokens | None  # None: not known
    shares: Shares

    @property
    def speed_decided(self) -> bool | None:
        """Whether the best leads by the clock and not by the token; None where that is not known, or nobody leads."""
        if self.gap.holds_zero or not self.timed:
            return None if self.timed else False
        return None if self.equal is None else self.equal.other <= self.equal.best


def verdicts(plan: Plan, ranked: Sequence[Outcome], measured: Sequence[Clock]) -> list[Verdict]:
    """The first of the ranked against each of the others."""
    best, *others = ranked
    timed = plan.budget.unit == "seconds"
    taken = {clock.model: clock.others_share for clock in measured}
    found = []
    for other in others:
        shares = {one.model: taken.get(one.model) for one in (best, other)}
        equal = at_equal_tokens(best, other) if timed else None
        found.append(Verdict(best, other, difference(other, best), timed, equal, shares))
    return found


def difference(first: Outcome, second: Outcome) -> Interval:
    """first − second, in nats a token."""
    if min(len(first.losses), len(second.losses)) > 1:
        return difference_over_seeds(first.losses, second.losses)
    return difference_over_text(first.blocks, second.blocks)


def at_equal_tokens(best: Outcome, other: Outcome) -> EqualTokens | None:
    """At the most tokens that every training of both has read; None where no curve of one reaches back so far."""
    kinds: tuple[Literal["validation", "training"], ...] = ("validation", "training")
    for kind, pair in zip(kinds, ((best.validations, other.validations), (best.training, other.training)), strict=True):
        every = [*pair[0], *pair[1]]
        if every and all(curve.size for curve in every):
            tokens = float(min(curve[0, -1] for curve in every))
            if all(curve[0, 0] <= tokens for curve in every):
                return EqualTokens(tokens, _mean_loss(pair[0], tokens), _mean_loss(pair[1], tokens), kind)
    return None


def _mean_loss(curves: Sequence[Curve], tokens: float) -> float:
    """Between two points by the logarithm of the tokens, in which learning curves are flatter."""
    return float(np.mean([np.interp(np.log(tokens), np.log(x), y) for x, y in curves]))


def sentences(plan: Plan, ranked: Sequence[Outcome], measured: Sequence[Clock]) -> list[str]:
    """The best against each of the others. What may reverse a sentence stands in it."""
    best, found = ranked[0], verdicts(plan, ranked, measured)
    shares = {name: share for verdict in found if verdict.timed for name, share in verdict.shares.items()}
    lines = [
        f"{best.model} has the least loss, {best.quality.middle:.4f} nats a token {_interval(best.quality, best)}"
        + _reservation(best.quality, shares, "put another model first"),
        *map(sentence, found),
    ]
    if any(verdict.speed_decided for verdict in found):
        remedy = "--epochs with --match tokens compares models token by token"
        lines.append(f"after as many tokens, the faster model's learning rate has still to fall: {remedy}")
    if len(best.losses) == 1:
        lines.append("one seed a model: --seeds 3 tells how far another would change this")
    return lines


def sentence(verdict: Verdict) -> str:
    """One sentence, its reservations in it."""
    best, other, gap = verdict.best, verdict.other, verdict.gap
    words = f"{gap.middle:.4f} nats {_interval(gap, best)}"
    shares = verdict.shares if verdict.timed else {}
    if gap.holds_zero:
        means = f"{len(best.losses)} seeds" if gap.over == "seeds" else "this text"
        none = f"no difference between {best.model} and {other.model} that {means} can show: {words}"
        return none + _reservation(gap, shares, "show one")
    beats = f"{best.model} beats {other.model} by {words}" + _reservation(gap, shares, "reverse it")
    return beats + (f"; {_speed(verdict)}" if verdict.timed else "")


def _interval(interval: Interval, best: Outcome) -> str:
    return f"(95 % over {over(interval, len(best.losses))}: {interval.low:.4f} to {interval.high:.4f})"


def _reservation(interval: Interval, shares: Shares, may: str) -> str:
    """What the interval says nothing of: other seeds, and what else the machine did where the clock decides."""
    reasons = {"with one seed": "another seed"} if interval.over == "text" else {}
    if busy := _busy(shares):
        reasons[busy] = "a rerun"
    return f", {', '.join(reasons)}: {' or '.join(reasons.values())} may {may}" if reasons else ""


def _speed(verdict: Verdict) -> str:
    best, other, equal = verdict.best, verdict.other, verdict.equal
    read = f"in the same time {best.model} read {best.tokens:,.0f} tokens and {other.model} {other.tokens:,.0f}"
    if equal is None:
        return f"{read}: whether speed decided is not known, for no curve of one reaches back so far"
    losses = f"by {equal.loss} loss at the {equal.tokens:,.0f} that both read"
    if verdict.speed_decided:
        return f"speed decided: {read}, and {losses} {other.model} is ahead ({equal.other:.4f} to {equal.best:.4f})"
    return f"{read}, and {losses} {best.model} is ahead too ({equal.best:.4f} to {equal.other:.4f})"


def _busy(shares: Shares) -> str:
    """What the machine did besides; empty where that is too little to decide anything."""
    known = {name: share for name, share in shares.items() if share is not None}
    if len(known) < len(shares):
        return "on a machine of which it is not known how busy it was with other work"
    if max(known.values(), default=0.0) <= BUSY:
        return ""
    least, most = min(known.values()), max(known.values())
    if most - least <= BUSY:
        between = percent(most) if percent(least) == percent(most) else f"{100 * least:.0f} to {percent(most)}"
        return f"on a machine that was {between} busy with other work"
    named = ", ".join(f"{percent(share)} while {name} trained" for name, share in known.items())
    return f"on a machine that was busy with other work ({named})"


def clock_notes(measured: Sequence[Clock]) -> list[str]:
    """What the second table leaves out."""
    known = [one.others_share for one in measured if one.others_share is not None]
    if len(known) < len(measured):
        return ["how busy other work kept the machine is not known here: the times are those of the machine as it was"]
    if max(known, default=0.0) <= BUSY:
        return []
    return [
        f"other work took up to {percent(max(known))} of the processor: an idle machine is faster than these times say"
    ]


def summary(plan: Plan, store: Store) -> dict[str, Any]:
    """All of it as JSON has it, without the blocks and curves."""
    ranked, measured = outcomes(plan, store.known), clocks(plan, store.timing)
    return {
        "comparison": str(store.folder),
        "match": plan.match,
        "models": [
            {
                "model": one.model,
                "loss": one.quality.middle,
                "interval": [one.quality.low, one.quality.high],
                "interval_over": one.quality.over,
                "bits_per_character": one.bits_per_character,
                "parameters": one.parameters,
                "tokens": one.tokens,
                "learning_rate": one.learning_rate,
                "horizon": one.horizon,
                "left": plain(one.left),
                "losses": list(one.losses),
            }
            for one in ranked
        ],
        "verdicts": [
            {
                "best": verdict.best.model,
                "other": verdict.other.model,
                "difference": verdict.gap.middle,
                "interval": [verdict.gap.low, verdict.gap.high],
                "interval_over": verdict.gap.over,
                "seeds": len(verdict.best.losses),
                "shown": not verdict.gap.holds_zero,
                "speed_decided": verdict.speed_decided,
                "at_equal_tokens": vars(verdict.equal) if verdict.equal else None,
                "others_share": dict(verdict.shares),
            }
            for verdict in verdicts(plan, ranked, measured)
        ],
        "conclusion": sentences(plan, ranked, measured),
        "timing": [vars(one) for one in measured],
    }

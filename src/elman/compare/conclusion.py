"""What the numbers support, in tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.compare.intervals import (
    Blocks,
    Interval,
    difference_over_seeds,
    difference_over_text,
    over_seeds,
    over_text,
)
from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.inspection.part import plain
from elman.lens import Decay, fit_decay
from elman.report.figure import number


@dataclass(frozen=True)
class Outcome:
    """Of one model, over its seeds."""

    model: str
    quality: Interval  # nats a token
    bits_per_character: float
    parameters: int
    tokens: float
    learning_rate: float
    horizon: float | None  # lags; None: beyond `lags`, or not looked at
    lags: int  # that were looked at
    left: dict[str, float]  # the share of the gradient that is left at some lags, the last among them
    losses: tuple[float, ...]  # of every seed
    blocks: Blocks  # of the first seed

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
    training: float  # tokens a second
    decoding: float
    megabytes: float | None


def outcomes(plan: Plan, known: dict[str, Any]) -> list[Outcome]:
    """Of every model whose trainings are done, the best first."""
    found = []
    for model in plan.models:
        results = [known["runs"][t.name] for t in plan.trainings() if t.model == model and t.name in known["runs"]]
        if not results:
            continue
        losses = tuple(result["loss"] for result in results)
        blocks = [Blocks(*(np.asarray(result["blocks"][key]) for key in ("nats", "tokens"))) for result in results]
        reaches = [result["memory"].get("horizon") for result in results]
        known_reaches = [reach for reach in reaches if reach is not None]
        found.append(
            Outcome(
                model,
                over_seeds(losses) if len(losses) > 1 else over_text(blocks[0]),
                _mean(result["bits_per_character"] for result in results),
                known["parameters"][model],
                _mean(result["tokens"] for result in results),
                results[0]["learning_rate"],
                float(np.median(known_reaches)) if len(known_reaches) * 2 > len(reaches) else None,
                results[0]["memory"].get("lags", 0),
                _left([decay(result["memory"]) for result in results if result["memory"]]),
                losses,
                blocks[0],
            )
        )
    return sorted(found, key=lambda outcome: outcome.quality.middle)


def decay(memory: dict[str, Any]) -> Decay:
    """How the gradient falls that was measured of one training (`measure.memory`)."""
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
            seconds, training, decoding = (
                _mean(part[key] for part in parts)
                for key in ("seconds", "training_tokens_per_second", "decoding_tokens_per_second")
            )
            found.append(Clock(model, seconds, training, decoding, max(peaks, default=None)))
    return found


def difference(first: Outcome, second: Outcome) -> Interval:
    """first − second, in nats a token."""
    if min(len(first.losses), len(second.losses)) > 1:
        return difference_over_seeds(first.losses, second.losses)
    return difference_over_text(first.blocks, second.blocks)


def sentences(ranked: Sequence[Outcome]) -> list[str]:
    """The best against each of the others, and what one seed leaves open."""
    best, *others = ranked
    seeds = len(best.losses)
    over = f"over {seeds} seeds" if best.quality.over == "seeds" else "over the validation text"
    lines = [
        f"{best.model} has the least loss, {best.quality.middle:.4f} nats a token "
        f"(95 % interval {best.quality.low:.4f} to {best.quality.high:.4f}, {over})"
    ]
    for other in others:
        gap = difference(other, best)
        words = f"{gap.middle:.4f} nats (95 % interval {gap.low:.4f} to {gap.high:.4f}, {over})"
        if gap.holds_zero:
            means = f"{seeds} seeds" if gap.over == "seeds" else "this text"
            lines.append(f"no difference between {best.model} and {other.model} that {means} can show: {words}")
        else:
            lines.append(f"{best.model} beats {other.model} by {words}")
    if seeds == 1:
        lines.append("one seed a model: how far another seed would change this is not known (--seeds 3 tells)")
    return lines


RESULT_HEADINGS = (
    "model",
    "nats a token",
    "95 % interval",
    "bits/char",
    "parameters",
    "tokens",
    "rate",
    "horizon",
    "gradient left",
)
CLOCK_HEADINGS = ("model", "seconds", "training tokens/s", "decoding tokens/s", "peak MB")


def result_rows(ranked: Sequence[Outcome]) -> list[list[str]]:
    """What seed and data decide."""
    return [
        [
            one.model,
            f"{one.quality.middle:.4f}",
            f"{one.quality.low:.4f} to {one.quality.high:.4f}",
            f"{one.bits_per_character:.4f}",
            f"{one.parameters:,}",
            f"{one.tokens:,.0f}",
            f"{one.learning_rate:g}",
            one.reach,
            one.remains,
        ]
        for one in ranked
    ]


def clock_rows(measured: Sequence[Clock]) -> list[list[str]]:
    """What the clock says."""
    return [
        [
            one.model,
            f"{one.seconds:.1f}",
            f"{one.training:,.0f}",
            f"{one.decoding:,.0f}",
            "–" if one.megabytes is None else f"{one.megabytes:,.0f}",
        ]
        for one in measured
    ]


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table for a terminal; the first column stands to the left.

    >>> aligned(("model", "n"), [("a", "10"), ("bc", "9")])
    ['model   n', 'a      10', 'bc      9']
    """
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]


def summary(plan: Plan, store: Store) -> dict[str, Any]:
    """All of it as JSON has it, without the blocks and curves."""
    ranked = outcomes(plan, store.known)
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
        "conclusion": sentences(ranked),
        "timing": [vars(one) for one in clocks(plan, store.timing)],
    }


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))

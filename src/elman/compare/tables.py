"""The two tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from elman.compare.outcomes import Clock, Outcome, over, percent

CLOCK_HEADINGS = (
    "model", "seconds", "training tokens/s", "decoding tokens/s", "peak MB", "own CPU", "other work's CPU",
)  # fmt: skip


def result_headings(ranked: Sequence[Outcome]) -> list[str]:
    """The interval's says what it is over."""
    interval = f"95 % over {over(ranked[0].quality, len(ranked[0].losses))}"
    return ["model", "nats a token", interval, "bits/char", "parameters", "tokens", "rate", "horizon", "gradient left"]


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
            percent(one.own_share),
            percent(one.others_share),
        ]
        for one in measured
    ]

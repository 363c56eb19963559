"""Sentences on outcomes made by hand: what may reverse one stands in it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.compare.conclusion import at_equal_targets, clock_notes, sentences, summary, verdicts
from elman.compare.intervals import Blocks, Sums, over_blocks, over_seeds
from elman.compare.outcomes import Clock, Outcome, cells, clock_rows, curve, result_rows
from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.metrics.sums import ratio
from elman.tasks import TASKS
from elman.train.schedule import Budget

Points = Sequence[tuple[float, float]]
TEXT, PAIRS = TASKS["language-modelling"], TASKS["translation"]
NOISE = np.random.default_rng(5).normal(0, 0.1, 200)


def outcome(model: str, losses: Sequence[float], points: Points, training: Points = ()) -> Outcome:
    """Of as many seeds as there are losses, each validated at these points: [(tokens, loss)]."""
    blocks = Blocks(100 * (losses[0] + NOISE), np.full(200, 100.0))
    quality = over_seeds(losses) if len(losses) > 1 else over_blocks(blocks)
    curves = {"validation": [curve(points)] * len(losses), "training": [curve(training)] * len(losses)}
    tokens = points[-1][0] if points else 0
    return Outcome(
        model,
        quality,
        {"bits_per_character": 2.0},
        1000,
        tokens,
        0.01,
        None,
        0,
        {},
        tuple(losses),
        blocks,
        curves,  # type: ignore[arg-type]
    )


def clock(model: str, others: float | None) -> Clock:
    return Clock(model, 60.0, 1000.0, 100.0, None, None if others is None else 1 - others, others)


def plan(unit: str = "seconds", seeds: int = 1) -> Plan:
    return Plan(("x",), ("gru", "lstm"), budget=Budget(60, unit), seeds=seeds)  # type: ignore[arg-type]


# The LSTM makes more of a token; the GRU has read twice as many.
FAST = outcome("gru", [1.60], [(400, 2.4), (800, 1.9), (1200, 1.60)])
SLOW = outcome("lstm", [1.70], [(200, 2.5), (400, 2.0), (600, 1.70)])
IDLE = [clock("gru", 0.01), clock("lstm", 0.02)]


def test_what_speed_decided_is_said_to_be() -> None:
    least, beats, remedy, seeds = sentences(plan(), [FAST, SLOW], IDLE)
    assert "another seed may put another model first" in least
    assert beats.startswith("gru beats lstm by 0.1000 nats (95 % over the validation text: ")
    assert ", with one seed: another seed may reverse it; " in beats
    assert "speed decided: in the same time gru read 1,200 tokens and lstm 600" in beats
    between = 2.4 + (1.9 - 2.4) * np.log(600 / 400) / np.log(800 / 400)
    assert f"by validation loss at the 600 that both read lstm is ahead (1.7000 to {between:.4f})" in beats
    assert "--match tokens" in remedy
    assert "--seeds 3" in seeds


def test_where_the_curves_agree_speed_did_not_decide() -> None:
    slow = outcome("lstm", [1.55], [(200, 2.5), (600, 1.55)])
    [verdict] = verdicts(plan(), [slow, FAST], IDLE)
    assert verdict.speed_decided is False
    lines = sentences(plan(), [slow, FAST], IDLE)
    assert "at the 600 that both read lstm is ahead too (1.5500 to " in lines[1]
    assert not [line for line in lines if "speed decided" in line]


def test_where_one_was_validated_late_its_training_tells() -> None:
    late = outcome("gru", [1.60], [(1200, 1.60)], [(300, 2.4), (600, 1.75), (1200, 1.65)])
    slow = outcome("lstm", [1.70], [(600, 1.70)], [(300, 2.1), (600, 1.74)])
    beats = sentences(plan(), [late, slow], IDLE)[1]
    assert "speed decided: " in beats
    assert "by training loss at the 600 that both read lstm is ahead (1.7400 to 1.7500)" in beats


@pytest.mark.parametrize("points", [[(700, 1.9), (1200, 1.6)], []])
def test_without_curves_so_early_nobody_knows_whether_it_was_speed(points: Points) -> None:
    late = outcome("gru", [1.60], points, points)
    assert at_equal_targets(late, SLOW) is None
    [verdict] = verdicts(plan(), [late, SLOW], IDLE)
    assert verdict.speed_decided is None
    assert "whether speed decided is not known" in sentences(plan(), [late, SLOW], IDLE)[1]


@pytest.mark.parametrize("unit", ["steps", "epochs"])
def test_without_a_time_budget_neither_speed_nor_other_work_decide(unit: str) -> None:
    text = " ".join(sentences(plan(unit), [FAST, SLOW], [clock("gru", 0.9), clock("lstm", None)]))
    assert "beats" in text
    assert not re.search("speed|busy|rerun|time", text)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.05, 0.0), None),
        ((0.48, 0.02), "on a machine that was busy with other work (48 % while gru trained, 2 % while lstm trained)"),
        ((0.02, 0.48), "(2 % while gru trained, 48 % while lstm trained)"),
        ((0.481, 0.479), "on a machine that was 48 % busy with other work"),
        ((0.49, 0.45), "on a machine that was 45 to 49 % busy with other work"),
        ((None, 0.01), "it is not known how busy it was"),
    ],
)
def test_a_busy_machine_is_named(shares: tuple[float | None, float | None], words: str | None) -> None:
    least, beats, *_ = sentences(plan(), [FAST, SLOW], [clock("gru", shares[0]), clock("lstm", shares[1])])
    for line in (least, beats):
        if words is None:
            assert "another seed may" in line
            assert "busy" not in line
        else:
            assert words in line
            assert ": another seed or a rerun may " in line


def test_with_several_seeds_the_interval_is_theirs() -> None:
    fast = outcome("gru", [1.60, 1.61, 1.62], [(400, 1.9), (1200, 1.6)])
    slow = outcome("lstm", [1.70, 1.71, 1.72], [(200, 2.5), (600, 1.7)])
    lines = sentences(plan(seeds=3), [fast, slow], IDLE)
    assert not [line for line in lines if "one seed" in line or "another seed" in line]
    assert "gru beats lstm by 0.1000 nats (95 % over 3 seeds: " in lines[1]
    assert list(result_rows([fast, slow], TEXT)[0])[2] == "95 % over 3 seeds"
    busy = sentences(plan(seeds=3), [fast, slow], [clock("gru", 0.4), clock("lstm", 0.4)])
    assert ", on a machine that was 40 % busy with other work: a rerun may reverse it" in busy[1]


def test_what_the_text_cannot_tell_apart_may_still_differ() -> None:
    lines = sentences(plan(), [FAST, outcome("lstm", [1.60], [(600, 1.6)])], [clock("gru", 0.5), clock("lstm", 0.5)])
    assert lines[1].startswith("no difference between gru and lstm that this text can show")
    assert "another seed or a rerun may show one" in lines[1]
    assert "speed decided" not in lines[1]


LOSSES = st.floats(1.0, 3.0)
CURVES = st.lists(st.tuples(st.floats(1, 1e6), LOSSES), max_size=4).map(lambda points: sorted(points))


@settings(deadline=None, max_examples=60)
@given(
    losses=st.lists(LOSSES, min_size=2, max_size=2),
    curves=st.tuples(CURVES, CURVES),
    shares=st.tuples(*[st.none() | st.floats(0, 1)] * 2),
    unit=st.sampled_from(["seconds", "steps"]),
    seeds=st.sampled_from([1, 2]),
)
def test_no_sentence_says_more_than_it_can(
    losses: list[float],
    curves: tuple[Points, Points],
    shares: tuple[float | None, float | None],
    unit: str,
    seeds: int,
) -> None:
    made = [
        outcome(model, [loss + seed / 1e3 for seed in range(seeds)], points)
        for model, loss, points in zip(("gru", "lstm"), losses, curves, strict=True)
    ]
    ranked = sorted(made, key=lambda one: one.quality.middle)
    measured = [clock(model, share) for model, share in zip(("gru", "lstm"), shares, strict=True)]
    [verdict] = verdicts(plan(unit, seeds), ranked, measured)
    for line in sentences(plan(unit, seeds), ranked, measured):
        if not re.search(" beats | has the least | no difference ", line):
            continue
        assert ("another seed" in line) == (seeds == 1)
        busy = unit == "seconds" and (None in shares or max(share or 0 for share in shares) > 0.05)
        assert ("a rerun may" in line) == busy
        if " beats " in line and unit == "seconds":
            assert f"{ranked[0].targets:,.0f} tokens" in line
            equal = verdict.equal
            assert ("speed decided:" in line) == (equal is not None and equal.other <= equal.best)


def test_the_tables_say_what_the_numbers_are_of() -> None:
    assert list(result_rows([FAST, SLOW], TEXT)[0])[2] == "95 % over the validation text"
    clocks = [clock("gru", 0.481), clock("lstm", None)]
    rows = clock_rows(clocks, TEXT)
    assert rows[0]["other work's CPU"] == "48 %"
    headings, [_, unknown] = cells(rows)
    assert headings == list(rows[0])
    assert unknown[-2:] == ["–", "–"]
    assert clock_notes(IDLE) == []
    assert "up to 48 %" in clock_notes([clock("gru", 0.481), clock("lstm", 0.02)])[0]
    assert "not known here" in clock_notes([clock("gru", None)])[0]


def test_json_has_the_reservations_too(tmp_path: Any) -> None:
    def result(one: Outcome) -> dict[str, Any]:
        validated = [[0, *point] for point in one.curves["validation"][0].T.tolist()]
        return {
            "loss": one.losses[0], "bits_per_character": 2.0, "tokens": one.targets, "learning_rate": 0.01,
            "memory": {}, "curve": [*validated, [8, one.targets, 9.0], [9, 1e9, None]], "training_curve": [],
            "blocks": {"nats": one.blocks.losses.tolist(), "tokens": one.blocks.targets.tolist()},
        }  # fmt: skip

    speeds = {"seconds": 60, "training_tokens_per_second": 1, "decoding_tokens_per_second": 1, "peak_megabytes": None}
    known = {"runs": {"gru-1": result(FAST), "lstm-1": result(SLOW)}, "parameters": {"gru": 1, "lstm": 1}}
    timing = {"runs": {"gru-1": speeds | {"own_share": 0.5, "others_share": 0.48}, "lstm-1": speeds}}
    found = json.loads(json.dumps(summary(plan(), Store(tmp_path, known, timing))))
    [verdict] = found["verdicts"]
    assert verdict["speed_decided"] is True
    assert verdict["at_equal_tokens"]["tokens"] == 600
    assert verdict["at_equal_tokens"]["other"] == pytest.approx(1.7)  # the best weights, not the last
    assert verdict["others_share"] == {"gru": 0.48, "lstm": None}  # an older comparison did not measure it
    assert (verdict["seeds"], verdict["interval_over"], verdict["shown"]) == (1, "text", True)
    assert [one["others_share"] for one in found["timing"]] == [0.48, None]


def test_what_a_task_does_not_measure_is_left_out(tmp_path: Any) -> None:
    """Pairs have no characters to count bits of, no memory horizon, and nothing is written token by token."""
    unmeasured = [replace(one, scores={}, lags=None) for one in (FAST, SLOW)]
    text, pairs = result_rows([FAST, SLOW], TEXT)[0], result_rows(unmeasured, PAIRS)[0]
    assert [heading for heading in text if heading not in pairs] == [
        "95 % over the validation text", "bits/char", "horizon", "gradient left",
    ]  # fmt: skip
    assert list(pairs)[2] == "95 % over the validation pairs"
    silent = [replace(one, decoding=None) for one in IDLE]
    assert clock_rows(IDLE, TEXT)[0].keys() - clock_rows(silent, PAIRS)[0].keys() == {"decoding tokens/s"}
    lines = sentences(replace(plan(), task="translation"), unmeasured, silent)
    assert "(95 % over the validation pairs: " in lines[0]
    tied = replace(SLOW, losses=FAST.losses, blocks=FAST.blocks, quality=FAST.quality)
    assert "that these pairs can show" in sentences(replace(plan(), task="translation"), [FAST, tied], IDLE)[1]


def test_the_order_by_the_score_of_a_task_may_be_another_than_that_of_losses() -> None:
    first, second = (outcome(model, [loss], []) for model, loss in (("gru", 1.0), ("lstm", 2.0)))
    cases = {
        "tagging": (
            ("accuracy", 90.0, 91.0),
            ("span_f1", 70.0, 75.5),
            "by span F1 (more is better): lstm 75.5",
        ),
        "classification": (
            ("accuracy", 90.0, 91.0),
            ("macro_f1", 70.0, 0.0),
            "by % right (more is better): l",
        ),
        "forecasting": (
            ("mse", 0.5, 0.25),
            ("naive_mse", 0.3, 0.3),
            "by MSE (less is better): lstm 0.2500, gru 0.5000, naive MSE 0.3000",
        ),
    }
    for name, (*scores, said) in cases.items():
        ranked = [
            replace(one, scores={score: values[n] for score, *values in scores})
            for n, one in enumerate((first, second))
        ]
        asked = Plan(("x",), ("gru", "lstm"), budget=Budget(60, "steps"), task=name)
        [line] = [line for line in sentences(asked, ranked, []) if line.startswith("by ")]
        assert line.startswith(said)
    assert not [line for line in sentences(plan("steps"), [first, second], []) if line.startswith("by ")]


def test_the_order_by_a_score_has_intervals_and_says_what_is_not_shown() -> None:
    place = np.arange(400)
    scored = {"gru": place >= 80, "lstm": (place >= 80) | (place % 8 == 0), "elman": (place < 200) | (place >= 280)}
    found = []
    for model, rows in scored.items():
        sums = Sums(np.column_stack((100.0 * rows, np.ones(400))), ratio)
        one = replace(outcome(model, [1.0], []), scores={"accuracy": sums.value}, score_sums={"accuracy": sums})
        found.append(one)
    asked = Plan(("x",), ("gru", "lstm"), budget=Budget(60, "steps"), task="classification")
    [line] = [line for line in sentences(asked, found, []) if line.startswith("by ")]
    interval = over_blocks(found[1].score_sums["accuracy"])
    ends = f"{interval.low:.4f} to {interval.high:.4f}"
    assert line.startswith(
        f"by % right (more is better, 95 % over the validation examples): lstm {interval.middle:.4f} ({ends})"
    )
    assert line.endswith("; no difference from elman that these examples can show")  # the GRU errs where the LSTM does
    of_seeds = [
        replace(one, losses=(1.0, 1.1), seeds={"accuracy": (80.0 + n, 84.0 + n)}) for n, one in enumerate(found[:2])
    ]
    [line] = [line for line in sentences(asked, of_seeds, []) if line.startswith("by ")]
    assert "95 % over 2 seeds)" in line
    assert line.endswith("; no difference from gru that 2 seeds can show")

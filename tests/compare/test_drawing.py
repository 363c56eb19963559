"""The report of a comparison: what is drawn is what the seeds gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.compare.drawing import report
from elman.compare.intervals import over_curves, over_seeds
from elman.compare.plan import Plan
from elman.compare.store import Store
from elman.report import Figure
from elman.train.schedule import Budget

MODELS = ("gru", "elman")


def comparison(seeds: int) -> tuple[Plan, Store]:
    """Trainings that were not, with numbers that are known."""
    plan = Plan(("text.txt",), MODELS, budget=Budget(40, "steps"), seeds=seeds)
    runs, timing = {}, {}
    for name, (model, seed) in plan.trainings().items():
        lower = 0.1 * (model == "gru") + 0.01 * seed**2
        points = [[10.0 * step, 9.0 / step - lower] for step in range(1, 41)]
        runs[name] = {
            "model": model, "seed": seed, "loss": 2.0 - lower, "tokens": 400, "learning_rate": 0.01,
            "curve": [[20, 200.0, 2.2 - lower], [40, 400.0, 2.0 - lower]], "training_curve": points,
            "blocks": {"nats": [2.0, 4.0], "tokens": [1, 2]},
        }  # fmt: skip
        timing[name] = {
            "seconds": 4.0 + seed, "training_tokens_per_second": 100.0 * seed, "decoding_tokens_per_second": None,
            "peak_megabytes": 50, "own_share": 0.5, "others_share": 0.1 * seed,
        }  # fmt: skip
    known: dict[str, Any] = {
        "format": 1, "plan": plan.stored(), "trials": {}, "runs": runs, "data": {"training_tokens": 400},
        "parameters": dict.fromkeys(MODELS, 5000),
        "settings": {model: plan.tree(model) for model in MODELS},
    }  # fmt: skip
    return plan, Store(Path("comparison"), known, {"runs": timing})


def figures(seeds: int) -> dict[str, Figure]:
    return {figure.title: figure for chapter in report(*comparison(seeds)).chapters for figure in chapter.figures}


def test_a_loss_has_the_interval_of_its_seeds() -> None:
    drawn = figures(3)["Loss on the validation text"].chart
    assert drawn is not None
    losses = [2.0 - 0.1 - 0.01 * seed**2 for seed in (1, 2, 3)]
    interval = over_seeds(losses)
    points = {group["name"]: group for group in drawn.data["groups"]}
    assert float(points["gru"]["low"][0]) == pytest.approx(interval.low)
    assert float(points["gru"]["high"][0]) == pytest.approx(interval.high)
    assert sorted(points["a seed"]["y"])[:3] == pytest.approx(sorted(losses))


def test_a_curve_is_the_mean_of_its_seeds_with_their_interval() -> None:
    table = figures(3)["Loss against tokens read"].table
    assert list(table.headings) == [
        "tokens read", "gru", "gru, low", "gru, high", "elman", "elman, low", "elman, high",
    ]  # fmt: skip
    runs = comparison(3)[1].known["runs"]
    x, mean, low, high = over_curves([np.array(runs[f"gru-{seed}"]["training_curve"]).T for seed in (1, 2, 3)])
    np.testing.assert_allclose([row[:4] for row in table.rows], np.stack([x, mean, low, high], 1))


def test_seconds_are_each_seeds_own() -> None:
    """The seeds learn at other speeds: the mean is of the losses at the same second."""
    table = figures(2)["Loss against seconds of training"].table
    runs = comparison(2)[1].known["runs"]
    curves = [np.array(runs[f"gru-{seed}"]["training_curve"]).T / [[100.0 * seed], [1.0]] for seed in (1, 2)]
    x, mean, *_ = over_curves(curves)
    assert x[-1] == 2.0  # the faster seed was done
    found = [row for row in table.rows if row[1] is not None]
    np.testing.assert_allclose([row[:2] for row in found], np.stack([x, mean], 1))


def test_one_seed_has_no_interval() -> None:
    drawn = figures(1)
    assert list(drawn["Loss against tokens read"].table.headings) == ["tokens read", "gru", "elman"]
    assert "seeds" not in drawn["Loss against tokens read"].reading
    assert "least seed" not in drawn["Training speed"].reading


def test_one_validation_is_no_curve() -> None:
    plan, store = comparison(2)
    for number, run in enumerate(store.known["runs"].values()):
        run["curve"] = [[40, 400.0 + number, 2.0 + number]]
    learning = report(plan, store).chapters[1]
    assert [figure.title for figure in learning.figures] == [
        "Loss against tokens read",
        "Loss against seconds of training",
    ]
    assert "not" not in report(*comparison(2)).chapters[1].text
    assert "no curve of the validations" in learning.text
    store.known["runs"]["gru-1"]["curve"] = store.known["runs"]["gru-2"]["curve"] = [[20, 200.0, 2.5], [40, 400.0, 2.0]]
    chart = report(plan, store).chapters[1].figures[-1].chart
    assert chart is not None  # in which the others are points, at their mean place
    places = {line["name"]: (line["x"].tolist(), line["y"].tolist()) for line in chart.data["lines"]}
    assert places == {"gru": ([200.0, 400.0], [2.5, 2.0]), "elman": ([402.0], [4.0])}


def test_models_stand_side_by_side() -> None:
    chart = figures(1)["Loss on the validation text"].chart
    assert chart is not None
    assert chart.data["names"] == ["gru", "elman"]
    assert [group["x"].tolist() for group in chart.data["groups"]] == [[0], [1]]


def test_the_axis_of_a_curve_shows_its_end() -> None:
    """All losses after the first fifth, and not the first, which is four times as high."""
    chart = figures(3)["Loss against tokens read"].chart
    assert chart is not None
    low, high = chart.data["spans"][1]
    after = [9.0 / step for step in range(9, 41)]
    assert low <= min(after) - 0.2
    assert max(after) - 0.1 <= high < 3.0


def test_times_go_from_the_least_seed_to_the_greatest() -> None:
    chart = figures(3)["Training speed"].chart
    assert chart is not None
    low, high = chart.data["ends"]
    assert low.tolist() == [100.0, 100.0]
    assert high.tolist() == [300.0, 300.0]


def test_the_ends_of_a_share_are_percentages_as_the_share_is() -> None:
    chart = figures(3)["Other work"].chart
    assert chart is not None
    assert chart.data["values"].tolist() == pytest.approx([20.0, 20.0])
    assert [ends.tolist() for ends in chart.data["ends"]] == [pytest.approx([10.0] * 2), pytest.approx([30.0] * 2)]


def test_all_charts_of_models_are_linked() -> None:
    drawn = figures(3)
    assert {figure.link for figure in drawn.values()} == {"models"}


def test_a_plan_is_restored_from_what_is_stored() -> None:
    plan = Plan(("a.txt",), MODELS, budget=Budget(3, "epochs"), seeds=2, settings=("lanes=4",))
    again = Plan.restored(plan.stored())
    assert again.stored() == plan.stored()
    assert again.trainings() == plan.trainings()


def test_a_comparison_shows_its_report_in_a_notebook() -> None:
    _, store = comparison(2)
    html = store._repr_html_()
    assert "gru · elman" in html
    assert "Who predicts best" in html

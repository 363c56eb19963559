"""Forecasters from a table to a run: every form, exact resume, widths, scores, comparison, the microscope."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elman
from elman.cli import run as command
from elman.errors import UserError
from elman.preparation import prepare
from elman.report.figure import number
from elman.tasks import TASKS
from elman.tasks.forecasting.evaluation import backtest
from elman.tasks.forecasting.input_gradients import forecast_gradients, loss_gradients
from elman.tasks.forecasting.looks import LOOKS
from elman.tasks.forecasting.objective import validate
from elman.tasks.forecasting.sizing import segment
from elman.tasks.forecasting.subject import open_windows
from inspecting import inspect
from resuming import assert_interruptions_change_nothing

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "segments": ("gru", {}),
    "direct": ("lstm", {"form": "direct", "segment": 2, "bidirectional": True, "normalisation": "mean"}),
    "likelihood": ("elman", {"form": "likelihood", "distribution": "negative_binomial", "samples": 20}),
    "attention": ("transformer", {"num_heads": 2, "num_layers": 1}),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Counts of three series with a season of 6, one of them constant, in a long table of integer times."""
    path, noise = tmp_path_factory.mktemp("series") / "counts.csv", random.Random(1)
    rows = ["unique_id,ds,y"]
    for name, level, swing in (("a", 40, 20), ("b", 300, 90), ("still", 7, 0)):
        for step in range(120):
            value = round(level + swing * math.sin(math.pi * step / 3) + (swing and noise.gauss(0, 2)))
            rows.append(f"{name},{step},{'' if step == 50 and name == 'a' else value}")
    path.write_text("\n".join(rows) + "\n")
    return path


def tree(table: Path, form: str = "segments", steps: int = 11, **train: Any) -> dict[str, Any]:
    kind, model = FORMS[form]
    return {
        "task": "forecasting",
        "kind": kind,
        "budget": {"amount": steps, "unit": "steps"},
        "data": {"source": str(table), "horizon": 6, "window": 12, "season": 6},
        "model": {"hidden_size": 8, **model},
        "train": {"validate_every": 3, "checkpoint_every": 2, "learning_rate": 0.01, "batch_windows": 64} | train,
    }


@pytest.mark.parametrize("form", FORMS)
def test_interruptions_change_nothing(form: str, table: Path, tmp_path: Path) -> None:
    assert_interruptions_change_nothing(tree(table, form), tmp_path)


def test_a_truncated_training_is_resumed_exactly(table: Path, tmp_path: Path) -> None:
    settings = tree(table, "segments", k2=6, optimizer="muon")
    settings["model"] |= {"segment": 3, "dropout_output": 0.3}
    assert_interruptions_change_nothing(settings, tmp_path)


@pytest.fixture(scope="module")
def runs(table: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, elman.Run]:
    """A small run of every form."""
    place = tmp_path_factory.mktemp("forecasters")
    return {
        form: elman.fit(table, config=tree(table, form, steps=60) | {"data": {"horizon": 6, "window": 12, "season": 6}},
                        model=FORMS[form][0], out=place / form, progress=False)
        for form in FORMS
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_run_is_evaluated_and_forecasts(form: str, runs: dict[str, elman.Run], table: Path) -> None:
    run = runs[form]
    scores = run.evaluate(table)
    assert {"loss", "mae", "mse", "mase", "smape", "quantile_loss", "coverage_80"} <= scores.keys()
    assert all(np.isfinite(scores[name]) for name in ("loss", "mae", "mse_standardised", "coverage_80"))
    assert {"naive", "seasonal_naive", "linear"} <= scores.keys()
    rows = run.predict([[{"unique_id": "new", "ds": step, "y": 5.0 + step % 6} for step in range(20)]])[0]
    assert [int(row["ds"]) for row in rows] == list(range(20, 26))
    assert all(row["q10"] <= row["q50"] <= row["q90"] for row in rows)


def test_the_training_learns_a_season(runs: dict[str, elman.Run], table: Path) -> None:
    scores = runs["segments"].evaluate(table)
    assert scores["mse_standardised"] < 0.3 * scores["naive"]["mse_standardised"]


def test_the_widths_are_those_of_the_validation_part(table: Path, tmp_path: Path) -> None:
    """Intervals of the validation part hold 80 %; fitting the widths once more changes nothing."""
    with prepare(tree(table), tmp_path / "run") as prepared:
        model, corpus = prepared.training.model, prepared.corpus
        model.eval()
        validate(model, corpus.valid)
        batch = corpus.valid.batch(np.arange(len(corpus.valid)))
        forecast = model.forecast(batch)
        known = ~batch.future.isnan() & (batch.deviation > 0)[:, None]  # the constant series has no errors
        inside = (batch.future >= forecast.quantiles[..., 0]) & (batch.future <= forecast.quantiles[..., -1])
        assert inside[known].double().mean() == pytest.approx(0.8, abs=0.05)  # few windows, rounded upwards
        again = validate(model, corpus.valid)
        torch.testing.assert_close(model.forecast(batch).quantiles, forecast.quantiles, rtol=0, atol=0)
        assert again == validate(model, corpus.valid)


def test_losses_of_blocks_are_the_loss_of_the_validation(table: Path, tmp_path: Path) -> None:
    with prepare(tree(table), tmp_path / "run") as prepared:
        model, corpus = prepared.training.model, prepared.corpus
        model.eval()
        times: list[int] = []
        model.register_forward_hook(lambda *called: times.append(len(called[2])))
        read = TASKS["forecasting"].measure(model, corpus)
        assert sum(times) == len(corpus.valid)
        losses, counts = read.losses, read.targets
        seen = corpus.valid.observed()
        blocks = {
            (int(n), int(origin) // (seen.window + seen.horizon))
            for n, origin in zip(seen.series, seen.origins, strict=True)
        }
        assert 1 < len(losses) == len(blocks) < len(seen)  # neighbouring windows share most of their values
        assert losses.sum() / counts.sum() == pytest.approx(validate(model, corpus.valid)["loss"], rel=1e-5)
        assert prepared.training.objective.validation_size == counts.sum()
        found = validate(model, corpus.valid)
        batch = corpus.valid.batch(np.arange(len(corpus.valid)))
        naive = corpus.baselines.forecast(batch)["naive"] - batch.future.double().numpy()
        assert read.scores == pytest.approx(
            {"mae": found["mae"], "mse": found["mse"], "naive_mse": np.nanmean(naive**2)}, rel=1e-5
        )


def test_only_counts_have_a_negative_binomial(table: Path, tmp_path: Path) -> None:
    broken = tmp_path / "table.csv"
    broken.write_text(table.read_text().replace("still,3,7", "still,3,7.5"))
    with pytest.raises(UserError, match=r"counts .* got 7\.5"), prepare(tree(broken, "likelihood"), tmp_path / "run"):
        pass


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_its_report(form: str, runs: dict[str, elman.Run], table: Path) -> None:
    path = runs[form].path
    found = inspect(path, str(table))
    kept = inspect(path)  # the validation part
    gates = {"gates"} if form in ("direct", "segments") else set()
    for inspection in (found, kept):
        assert set(inspection.numbers) & set(LOOKS) == {"forecasts", "gradients", "clipping"} | gates
    numbers = found.numbers["forecasts"]
    scores = runs[form].evaluate(table)
    assert numbers["mse_standardised"]["model"] == pytest.approx(scores["mse_standardised"], rel=1e-4)
    assert np.mean(numbers["by_step"]["model"]) == pytest.approx(scores["mse_standardised"], rel=0.05)
    errors = list(numbers["by_series"].values())
    assert errors == sorted(errors)
    assert np.shape(found.numbers["gradients"]["forecast"]) == (6, 12)
    covered = numbers["coverage_80_by_step"]
    assert len(covered) == 6
    assert np.mean(covered) == pytest.approx(scores["coverage_80"], abs=5)
    fans = found.report.chapters[0].figures[0]
    assert [name for name, _ in fans.parts] == [*reversed(numbers["by_series"])]  # the worst first
    assert fans.parts[0][1].title.endswith("the worst")
    assert fans.parts[-1][1].title.endswith("the best")


def test_a_fan_is_the_forecast_of_a_window_of_its_series(runs: dict[str, elman.Run], table: Path) -> None:
    """What is read and what came stand in the table as in the data, and the forecast is that of `run.predict`."""
    found = inspect(runs["segments"].path, str(table), parts=["forecasts"])
    figure = dict(found.report.chapters[0].figures[0].parts)["b"]
    columns = np.array([[np.nan if cell is None else cell for cell in row] for row in figure.table.rows])
    steps, read, came, mean, low, high = columns.T
    past, future = read[steps <= 0], came[steps > 0]
    records = [line.split(",") for line in table.read_text().splitlines()[1:]]
    values = np.array([float(value) for name, _, value in records if name == "b"])
    whole = np.concatenate((past, future))
    [at] = [n for n in range(len(values) - len(whole) + 1) if np.array_equal(values[n : n + len(whole)], whole)]
    assert len(future) == 6
    asked = [{"unique_id": "b", "ds": n, "y": value} for n, value in enumerate(values[: at + len(past)])]
    rows = runs["segments"].predict([asked])[0]
    np.testing.assert_allclose(mean[steps > 0], [row["mean"] for row in rows], rtol=1e-3)
    assert (low[steps > 0] <= high[steps > 0]).all()


def test_of_many_series_the_worst_and_the_best_are_drawn(
    runs: dict[str, elman.Run], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elman.tasks.forecasting.fans.FANS", 1)
    found = inspect(runs["segments"].path, str(table), parts=["forecasts"])
    errors = list(found.numbers["forecasts"]["by_series"])
    assert len(errors) == 3
    assert [name for name, _ in found.report.chapters[0].figures[0].parts] == [errors[-1], errors[0]]


@pytest.mark.parametrize(("simple", "verdict"), [(1e-9, "worse than"), (1e9, "better than")])
def test_the_head_of_a_report_says_whether_the_model_is_better_than_simple_forecasts(
    simple: float, verdict: str, runs: dict[str, elman.Run], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside(*given: Any) -> Any:
        scores, loss = backtest(*given)
        for name, each in scores.items():
            report = each.report() | ({} if name == "model" else {"mse_standardised": simple})
            monkeypatch.setattr(each, "report", lambda report=report: report)
        return scores, loss

    monkeypatch.setattr("elman.tasks.forecasting.fans.backtest", beside)
    found = inspect(runs["segments"].path, str(table), parts=["forecasts"])
    own = number(found.numbers["forecasts"]["mse_standardised"]["model"])
    told = (
        f"The squared error is {own} (standardised), {verdict} that of the naive forecast, the best of the simple ones"
    )
    assert found.report.text.startswith(f"{told} ({number(simple)}).")
    assert [line.startswith(told) for line in found.lines] == [True] + [False] * (len(found.lines) - 1)


def test_one_series_has_no_ranks(runs: dict[str, elman.Run], table: Path, tmp_path: Path) -> None:
    head, *rows = table.read_text().splitlines()
    (tmp_path / "one.csv").write_text("\n".join([head, *(row for row in rows if row.startswith("b,"))]))
    for data, ranked in ((tmp_path / "one.csv", False), (table, True)):
        lines = inspect(runs["segments"].path, str(data), parts=["forecasts"]).lines
        assert any("the best series is" in line for line in lines) == ranked


def test_gradients_of_the_lens_are_those_of_differences(runs: dict[str, elman.Run], table: Path) -> None:
    subject = open_windows(runs["segments"], [str(table)])
    model, batch = subject.model.double(), subject.batch(3)
    batch = type(batch)(*(part.double() if part.is_floating_point() else part for part in batch))
    found, of_means = loss_gradients(model, batch), forecast_gradients(model, batch)
    step, differences = 1e-6, []
    for sign in (1, -1):
        past = batch.past.clone()
        past[0, 4] += sign * step
        moved = batch._replace(past=past)
        with torch.no_grad():
            differences.append((model.loss(moved)[0].mean(), model.means(moved)[0]))
    (loss_up, means_up), (loss_down, means_down) = differences
    assert batch.lengths[0] == 12
    assert found[0, 4] == pytest.approx(abs(loss_up - loss_down).item() / (2 * step), rel=1e-4)
    one = forecast_gradients(model, type(batch)(*(part[:1] for part in batch)))
    np.testing.assert_allclose(one[:, 4], (means_up - means_down).abs().numpy() / (2 * step), rtol=1e-4, atol=1e-9)
    assert of_means.shape == (6, 12)
    model.float()


def test_models_are_compared(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["compare", str(table), "--task", "forecasting", "--models", "gru,transformer", "--steps", "6", "--json"]
    options = ["horizon=6", "data.window=12", "season=6"]
    sets = [part for option in options for part in ("--set", option)]
    assert command([*given, "-o", str(tmp_path / "comparison"), *sets]) == 0
    made = json.loads(capsys.readouterr().out)
    assert "naive" in json.dumps(made)


def test_the_learning_rate_falls_with_the_steps_beyond_a_few_passes(table: Path, tmp_path: Path) -> None:
    rates = {}
    for steps in (100, 1200, 12_000):
        settings = tree(table, steps=steps)
        del settings["train"]["learning_rate"]
        with prepare(settings, tmp_path / f"{steps}") as prepared:
            rates[steps] = prepared.settings.train.learning_rate
    assert rates[100] == rates[1200]
    assert rates[12_000] == pytest.approx(rates[1200] / 10**0.5, rel=0.05)  # two digits are kept


def test_a_segment_is_a_season_where_the_window_holds_two() -> None:
    assert segment(96, 24) == 24
    assert segment(30, 24) == 7
    assert segment(3, 1) == 1


def test_settings_of_two_sections_with_one_name_are_told_apart(table: Path, tmp_path: Path) -> None:
    given = ["train", str(table), "--task", "forecasting", "--model", "transformer", "--steps", "1"]
    sets = ["data.window=12", "model.window=3", "is_causal=true", "horizon=6", "hidden_size=8", "num_heads=2"]
    assert command([*given, "-o", str(tmp_path / "run"), *(p for s in sets for p in ("--set", s))]) == 0
    settings = elman.load(tmp_path / "run").settings
    assert settings is not None
    assert (settings.data.window, settings.model.window) == (12, 3)

"""Experiments run small: they end, say what they found, and judge by their numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elman.cli import run as command
from elman.lab import adding, clipping, copying, elman_1990, powers, temporal_order, truncation, vanishing
from elman.lab.catalogue import EXPERIMENTS
from elman.lab.experiment import Findings, Setting

TRAINED = [clipping, copying, elman_1990, temporal_order, truncation]


def test_the_law_of_powers_holds_and_tanh_falls_below_it() -> None:
    found = powers.EXPERIMENT.run(Setting())
    assert found.held
    assert found.numbers["error"] < 1e-3
    assert found.numbers["saturated_share"] < 0.1


def test_no_gradient_is_above_its_bound() -> None:
    found = vanishing.EXPERIMENT.run(Setting())
    assert found.held
    assert found.numbers["0.5"][-1] < 1e-15
    assert any("need not explode" in line for line in found.words)


def test_adding_too_short_to_learn_does_not_hold() -> None:
    found = adding._run(Setting(), steps=2, length=10)
    assert not found.held
    assert set(found.numbers["errors"]) == {"elman", "gru", "lstm"}


def test_adding_over_a_few_steps_is_learnt() -> None:
    assert adding._run(Setting(), steps=400, length=6).numbers["errors"]["gru"] < 0.02


@pytest.mark.parametrize("module", TRAINED, ids=[module.EXPERIMENT.name for module in TRAINED])
def test_a_few_steps_of_it(module: object) -> None:
    heard: list[float] = []
    setting = Setting(progress=lambda name, done: heard.append(done))
    found: Findings = module._run(setting, steps=3)  # type: ignore[attr-defined]
    assert found.figures
    assert found.words
    assert heard == sorted(heard)
    assert 0 < heard[-1] <= 1


def test_a_seed_gives_the_same_numbers() -> None:
    first, second = (temporal_order._run(Setting(seed=4), steps=3).numbers for _ in range(2))
    assert first == second


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["lab"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)


def test_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "report.html"
    assert command(["lab", "powers", "--quick", "-o", str(place), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["powers"]
    assert found["held"] is True
    page = place.read_text(encoding="utf-8")
    assert "The claim held." in page
    assert "Criterion" in page


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["lab", "power"]) == 2
    assert "did you mean 'powers'?" in capsys.readouterr().err
    assert command(["lab", "powers", "-o", str(tmp_path)]) == 2
    assert command(["lab", "powers", "--data", str(tmp_path / "none")]) == 2

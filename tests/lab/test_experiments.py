"""Experiments run small: they end, say what they found, and judge by their numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from elman.cli import run as command
from elman.lab import (
    adding,
    book_or_index,
    bottleneck,
    clipping,
    copying,
    elman_1990,
    gates,
    jsb,
    mnist1d,
    parallel,
    powers,
    temporal_order,
    truncation,
    vanishing,
)
from elman.lab.catalogue import EXPERIMENTS
from elman.lab.experiment import Findings, Setting
from elman.lab.findings import numbers
from elman.lens import fit_decay

TRAINED = [clipping, copying, elman_1990, temporal_order, truncation, gates, bottleneck, book_or_index]


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
    assert not any("vanished at 1.1" in line for line in found.words)


def test_words_of_vanishing_are_those_of_the_curves() -> None:
    lags = np.arange(128)
    curves = {0.9: 0.85**lags, 1.1: 0.56 ** (lags / 127), 1.5: 0.6**lags, 2.0: 1.1**lags}
    found = vanishing._findings(curves)
    assert found.held
    *each, converse = found.words
    for (rho, values), line in zip(curves.items(), each, strict=True):
        assert line == f"largest singular value {rho:g}: {fit_decay(lags, values).words}"
    assert converse.endswith("(lasting at 1.1, vanishing fast at 1.5)")
    assert "too short to tell at 1.1" in vanishing._findings({1.1: curves[1.1][:50]}).words[-1]
    assert not vanishing._findings({0.9: 0.901**lags}).held, "above its bound"
    assert not vanishing._findings({0.99: 0.98**lags}).held, "within its bound, and most of it is left"


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
    json.dumps(numbers([(module.EXPERIMENT, found, 1.0)]))  # type: ignore[attr-defined]


def test_a_seed_gives_the_same_numbers() -> None:
    first, second = (temporal_order._run(Setting(seed=4), steps=3).numbers for _ in range(2))
    assert first == second


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_cell_with_all_its_gates_is_torchs(cell: str) -> None:
    torch.manual_seed(1)
    whole = gates.Ablated(cell, "", 3, 5)
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](3, 5, batch_first=True)
    layer.load_state_dict(
        {
            "weight_ih_l0": whole.read.weight,
            "weight_hh_l0": whole.recur.weight,
            "bias_ih_l0": whole.read.bias,
            "bias_hh_l0": torch.zeros_like(whole.read.bias),
        }
    )
    x = torch.randn(2, 7, 3)
    torch.testing.assert_close(whole(x), whole.out(layer(x)[0][:, -1])[:, 0])


def test_facts_hold_their_answer() -> None:
    x, y = book_or_index.facts(50, 5, seed=2)
    for row, answer in zip(x, y, strict=True):
        [fact] = [fact for fact in row[:-1] if (fact[: book_or_index.KEYS] * row[-1][: book_or_index.KEYS]).any()]
        assert int(fact[book_or_index.KEYS :].argmax()) == answer


def test_chorales(tmp_path: Path) -> None:
    chord = [60, 64, 67, -1]
    path = tmp_path / "chorales.json"
    path.write_text(json.dumps({part: [[chord] * 5, [chord] * 3] for part in ("train", "valid", "test")}))
    rolls, lengths = jsb.load(path)["train"]
    assert rolls.shape == (2, 5, 88)
    assert rolls[1].sum(1).tolist() == [3.0, 3.0, 3.0, 0.0, 0.0]
    assert rolls[0, 0].nonzero().flatten().tolist() == [39, 43, 46]
    model = jsb.Reader("gru", 88, 4, 88)
    for parameter in model.parameters():
        parameter.data.zero_()
    # A note of probability 1/2 costs ln 2; padding costs nothing.
    assert jsb._loss(model, (rolls, lengths)).item() == pytest.approx(88 * math.log(2), rel=1e-5)
    assert jsb._run(Setting(data=path), steps=4).numbers["test"].keys() == {"elman", "gru", "lstm"}


def test_series(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 40)), np.arange(20) % 10
    np.savez(tmp_path / "series.npz", x=x, y=y, x_test=x, y_test=y)
    found = mnist1d._run(Setting(data=tmp_path / "series.npz"), steps=2)
    assert not found.held
    assert command(["lab", "mnist1d"]) == 2
    (tmp_path / "series.npz").write_bytes(b"no such thing")
    assert command(["lab", "mnist1d", "--data", str(tmp_path / "series.npz"), "--json"]) == 1


def test_times_are_measured() -> None:
    found = parallel.EXPERIMENT.run(Setting())
    assert all(second > 0 for seconds in found.numbers["seconds"].values() for second in seconds)


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

"""Experiments run small: they end, say what they found, and judge by their numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from elman.cli import run as command
from elman.lab import attention, gates, gradients, jsb
from elman.lab.catalogue import EXPERIMENTS
from elman.lab.experiment import Findings, Setting
from elman.lab.findings import html, numbers, verdict
from elman.lab.recurrent_net import RecurrentNet
from elman.lens import fit_decay

MEASURED = ("powers", "vanishing", "parallel")  # nothing is trained
TRAINED = [name for name, one in EXPERIMENTS.items() if not one.needs_data and name not in MEASURED]


def test_the_law_of_powers_holds_and_tanh_falls_below_it() -> None:
    found = EXPERIMENTS["powers"].run(Setting())
    assert found.outcome == "holds"
    assert found.numbers["error"] < 1e-3
    assert found.numbers["saturated_share"] < 0.1


def test_no_gradient_is_above_its_bound() -> None:
    found = EXPERIMENTS["vanishing"].run(Setting())
    assert found.outcome == "holds"
    assert found.numbers["0.5"][-1] < 1e-15
    assert any("need not explode" in line for line in found.words)
    assert not any("vanished at 1.1" in line for line in found.words)


def test_words_of_vanishing_are_those_of_the_curves() -> None:
    lags = np.arange(128)
    curves = {0.9: 0.85**lags, 1.1: 0.56 ** (lags / 127), 1.5: 0.6**lags, 2.0: 1.1**lags}
    found = gradients._findings(curves)
    assert found.outcome == "holds"
    *each, converse = found.words
    for (rho, values), line in zip(curves.items(), each, strict=True):
        assert line == f"largest singular value {rho:g}: {fit_decay(lags, values).words}"
    assert converse.endswith("above 1 a gradient need not explode (lasting at 1.1, vanishing fast at 1.5)")
    assert "too short to tell at 1.1" in gradients._findings({1.1: curves[1.1][:50]}).words[-1]
    spoilt = np.where(lags > 9, np.nan, curves[1.1])
    assert gradients._findings({1.1: spoilt}).words == ["largest singular value 1.1: the gradient is not a number"]
    assert not gradients._findings({0.9: 0.901**lags}).met, "above its bound"
    assert not gradients._findings({0.99: 0.98**lags}).met, "within its bound, and most of it is left"


def test_adding_too_short_to_learn_does_not_hold() -> None:
    found = EXPERIMENTS["adding"].run(Setting(), steps=2, length=10)
    assert found.outcome == "not decided"
    assert set(found.numbers["errors"]) == {"elman", "gru", "lstm"}


def test_adding_over_a_few_steps_is_learnt() -> None:
    assert EXPERIMENTS["adding"].run(Setting(), steps=400, length=6).numbers["errors"]["gru"] < 0.02


@pytest.mark.parametrize("name", TRAINED)
def test_a_few_steps_of_it_decide_nothing(name: str) -> None:
    heard: list[float] = []
    setting = Setting(progress=lambda name, done: heard.append(done))
    found = EXPERIMENTS[name].run(setting, steps=3)
    assert found.figures
    assert found.words
    assert heard == sorted(heard)
    assert 0 < heard[-1] <= 1
    assert found.outcome == "not decided"
    assert json.loads(json.dumps(numbers([(EXPERIMENTS[name], found, 1.0)])))
    for figure in found.figures:
        keys = [key for key, _ in figure.legend]
        assert len(keys) == len(set(keys)), figure.title


def findings(met: bool, control: bool) -> Findings:
    return Findings(met, control, ["seen"], [])


@pytest.mark.parametrize(
    ("found", "outcome", "held"),
    [
        (findings(True, True), "holds", True),
        (findings(False, True), "does not hold", False),
        (findings(True, False), "not decided", None),
        (findings(False, False), "not decided", None),
    ],
)
def test_without_its_control_nothing_is_decided(found: Findings, outcome: str, held: bool | None) -> None:
    experiment = EXPERIMENTS["book-or-index"]
    assert found.outcome == outcome
    words = verdict(experiment, found)
    assert words.startswith(outcome)
    assert (experiment.control in words) == (held is None)
    told = json.loads(json.dumps(numbers([(experiment, found, 1.0)])))["book-or-index"]
    assert (told["outcome"], told["held"], told["control_passed"]) == (outcome, held, found.control)
    page = html([(experiment, found, 1.0)], Setting())
    assert f"Verdict: {outcome}" in page
    assert f"<dt>claims: {outcome}</dt><dd>1</dd>" in page


def test_every_experiment_states_its_control() -> None:
    assert all(one.control and one.control != one.criterion for one in EXPERIMENTS.values())


def test_the_peaks_that_are_told_are_in_the_figure() -> None:
    found = EXPERIMENTS["exploding-and-clipping"].run(Setting(), steps=200)
    [figure] = [figure for figure in found.figures if "norm" in figure.title]
    drawn = {name: [row[place] for row in figure.table.rows] for place, name in enumerate(figure.table.headings)}
    for name, peaks in found.numbers["peaks"].items():
        assert max(drawn[name]) == max(peaks)


@pytest.mark.parametrize(
    ("cell", "gate"), [(cell, gate) for cell, known in gates.GATES.items() for gate in ("", *known)]
)
def test_a_held_gate_is_the_cell_without_it(cell: str, gate: str) -> None:
    """Against the equations, step by step; and it stays held when the cell learns."""
    torch.manual_seed(2)
    model = RecurrentNet(cell, 3, 5, 1)
    if gate:
        gates.hold(model.layer, gate)
    x = torch.randn(4, 6, 3)
    for _ in range(2):
        weights = {name: parameter.double() for name, parameter in model.layer.named_parameters()}
        expected = model.out.double()(without(cell, gate, weights, x.double()))
        torch.testing.assert_close(model.float()(x)[:, -1], expected.float())
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        model(x).square().sum().backward()
        optimizer.step()


def without(cell: str, gate: str, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The last hidden state (B, H)."""

    def held(name: str, value: torch.Tensor) -> torch.Tensor:
        if name != gate:
            return value.sigmoid()
        return torch.full_like(value, 0.5 if gate == "z" else 1.0)

    h = c = x.new_zeros(len(x), 5)
    for step in x.unbind(1):
        a = step @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        b = h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        if cell == "lstm":
            i, f, g, o = (a + b).chunk(4, 1)
            c = held("f", f) * c + held("i", i) * g.tanh()
            h = held("o", o) * c.tanh()
        else:
            (r, z, n), (r_h, z_h, n_h) = a.chunk(3, 1), b.chunk(3, 1)
            z = held("z", z + z_h)
            h = z * h + (1 - z) * (n + held("r", r + r_h) * n_h).tanh()
    return h


def test_facts_become_more_as_it_learns() -> None:
    random, counts = np.random.default_rng(0), (2, 4, 8)
    assert {attention.drawn(counts, 0.3, random) for _ in range(50)} == {2}
    late = [attention.drawn(counts, 0.9, random) for _ in range(400)]
    assert late.count(2) > late.count(4) > late.count(8) > 40


def test_a_seed_gives_the_same_numbers() -> None:
    first, second = (EXPERIMENTS["temporal-order"].run(Setting(seed=4), steps=3).numbers for _ in range(2))
    assert first == second


def test_facts_hold_their_answer() -> None:
    x, y = attention.facts(50, 5, seed=2)
    for row, answer in zip(x, y, strict=True):
        [fact] = [fact for fact in row[:-1] if (fact[: attention.KEYS] * row[-1][: attention.KEYS]).any()]
        assert int(fact[attention.KEYS :].argmax()) == answer


def test_chorales(tmp_path: Path) -> None:
    chord = [60, 64, 67, -1]
    path = tmp_path / "chorales.json"
    path.write_text(json.dumps({part: [[chord] * 5, [chord] * 3] for part in ("train", "valid", "test")}))
    rolls, lengths = jsb.load(path)["train"]
    assert rolls.shape == (2, 5, 88)
    assert rolls[1].sum(1).tolist() == [3.0, 3.0, 3.0, 0.0, 0.0]
    assert rolls[0, 0].nonzero().flatten().tolist() == [39, 43, 46]
    model = RecurrentNet("gru", 88, 4, 88)
    for parameter in model.parameters():
        parameter.data.zero_()
    # A note of probability 1/2 costs ln 2; padding costs nothing.
    assert jsb._loss(model, (rolls, lengths)).item() == pytest.approx(88 * math.log(2), rel=1e-5)
    # Notes that always sound cost next to nothing without a memory, so that nobody has learnt more in four steps.
    assert jsb._frequencies(jsb.load(path)) == pytest.approx(-88 * math.log(8.5 / 9), rel=1e-5)
    found = EXPERIMENTS["jsb"].run(Setting(data=path), steps=4)
    assert found.numbers["test"].keys() == {"elman", "gru", "lstm"}
    assert found.outcome == "not decided"


def test_series(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(400, 40)), np.arange(400) % 10
    np.savez(tmp_path / "series.npz", x=x, y=y, x_test=x, y_test=y)
    found = EXPERIMENTS["mnist1d"].run(Setting(data=tmp_path / "series.npz"), steps=2)
    assert found.outcome == "not decided"
    assert command(["lab", "mnist1d"]) == 2
    (tmp_path / "series.npz").write_bytes(b"no such thing")
    assert command(["lab", "mnist1d", "--data", str(tmp_path / "series.npz"), "--json"]) == 1


def test_times_are_measured() -> None:
    found = EXPERIMENTS["parallel"].run(Setting())
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
    assert "Verdict: holds." in page
    assert "Criterion" in page
    assert "Control" in page


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["lab", "power"]) == 2
    assert "did you mean 'powers'?" in capsys.readouterr().err
    assert command(["lab", "powers", "-o", str(tmp_path)]) == 2
    assert command(["lab", "powers", "--data", str(tmp_path / "none")]) == 2

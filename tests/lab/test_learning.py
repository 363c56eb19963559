"""The models of the experiments learn by elman's own training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from elman.lab.experiment import Setting
from elman.lab.learning import Drawn, learn


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(2, 2))


def distance(model: Weight, step: int) -> Tensor:
    return (model.w - 3).square().mean()


def test_every_step_draws_its_own_batch_and_tells_its_share() -> None:
    heard: list[float] = []
    drawn: list[int] = []

    def draw(model: Weight, step: int) -> Tensor:
        drawn.append(step)
        return distance(model, step)

    setting = Setting(progress=lambda name, done: heard.append(done))
    _, (_, second) = setting.each("two trainings", ["the first", "the second"])
    _, taken = learn(second, Weight, Drawn(4, draw))
    assert drawn == [0, 1, 2, 3]
    assert [step.step for step in taken] == [1, 2, 3, 4]
    assert heard == [0.625, 0.75, 0.875, 1.0]


def test_the_rate_rises_for_a_twentieth_and_falls_to_a_tenth() -> None:
    _, taken = learn(Setting(), Weight, Drawn(100, distance), 0.2)
    rates = [step.learning_rate for step in taken]
    assert max(rates) == rates[5] == pytest.approx(0.2)
    assert rates[1] == pytest.approx(0.2 / 5)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.02, rel=0.01)


def test_the_steps_are_those_of_adam() -> None:
    made, _ = learn(Setting(seed=5), Weight, Drawn(30, distance), 0.2, schedule="constant", warmup=0.0, clip="none")
    torch.manual_seed(5)
    model = Weight()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2)
    for step in range(30):
        optimizer.zero_grad()
        distance(model, step).backward()
        optimizer.step()
    torch.testing.assert_close(made.w, model.w)


def test_the_weights_of_the_best_validation_are_kept() -> None:
    seen: list[Tensor] = []

    def valid(model: Weight) -> float:
        seen.append(model.w.detach().clone())
        return abs(len(seen) - 2)  # the second of all is best

    model, _ = learn(Setting(), Weight, Drawn(9, distance, valid), validate_every=3)
    assert len(seen) == 3
    assert torch.equal(model.w, seen[1])


def test_a_training_that_breaks_down_is_left_where_it_broke() -> None:
    def draw(model: Weight, step: int) -> Tensor:
        return distance(model, step) * (math.nan if step >= 5 else 1.0)

    whole, _ = learn(Setting(), Weight, Drawn(5, distance), schedule="constant", warmup=0.0)
    model, taken = learn(Setting(), Weight, Drawn(60, draw), schedule="constant", warmup=0.0)
    assert [step.skipped for step in taken] == [False] * 5 + [True] * 55
    assert torch.equal(model.w, whole.w)

"""Distributions and quantiles of forecasts, against torch.distributions and SciPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from elman.models.likelihoods import (
    DISTRIBUTIONS,
    Distribution,
    Gaussian,
    NegativeBinomial,
    Quantiles,
    StudentT,
    Units,
    gamma_quantile,
    gamma_sample,
    poisson_quantile,
    sampling_noise,
)
from elman.nn.window_normalisation import Scaling

stats = pytest.importorskip("scipy.stats")


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


WINDOW = Scaling(column(0.5, -1.0), column(2.0, 0.25))  # two windows
UNITS = Units(WINDOW, Scaling(column(30.0, 400.0), column(12.0, 90.0)))


def raw_numbers(size: int) -> torch.Tensor:
    return torch.randn(2, 7, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_gaussian_is_that_of_torch() -> None:
    raw, target = raw_numbers(2), torch.randn(2, 7, dtype=torch.float64)
    mean = WINDOW.location + WINDOW.scale * raw[..., 0]
    scale = WINDOW.scale * (F.softplus(raw[..., 1]) + 1e-4)
    expected = -torch.distributions.Normal(mean, scale).log_prob(target)
    torch.testing.assert_close(Gaussian().losses(raw, target, UNITS), expected)
    torch.testing.assert_close(Gaussian().mean(raw, UNITS), mean)


def test_students_t_is_that_of_torch() -> None:
    raw, target = raw_numbers(3), torch.randn(2, 7, dtype=torch.float64)
    scale = WINDOW.scale * (F.softplus(raw[..., 1]) + 1e-4)
    mean, freedom = WINDOW.location + WINDOW.scale * raw[..., 0], 2 + F.softplus(raw[..., 2])
    expected = -torch.distributions.StudentT(freedom, mean, scale).log_prob(target)
    torch.testing.assert_close(StudentT().losses(raw, target, UNITS), expected)


def test_the_negative_binomial_is_that_of_scipy() -> None:
    raw = raw_numbers(2)
    counts = torch.arange(14, dtype=torch.float64).view(2, 7) * 20
    target = WINDOW.restore(UNITS.data.normalise(counts))
    mean = F.softplus(UNITS.data.restore(raw[..., 0])) + 1e-4
    r = 1 / (F.softplus(raw[..., 1]) + 1e-4)
    expected = -stats.nbinom.logpmf(counts.numpy(), r.numpy(), (r / (r + mean)).numpy())
    np.testing.assert_allclose(NegativeBinomial().losses(raw, target, UNITS).numpy(), expected, rtol=1e-9)
    torch.testing.assert_close(UNITS.data.restore(WINDOW.normalise(NegativeBinomial().mean(raw, UNITS))), mean)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_follow_the_density(name: str) -> None:
    distribution: Distribution = DISTRIBUTIONS[name]()
    raw = raw_numbers(distribution.size)[:, :2]
    noise = sampling_noise(2, 20_000, like=raw)
    samples = distribution.sample(raw[:, :, None], noise, UNITS.unsqueeze())  # (2, 2, S)
    if name != "student_t":  # whose variance may be large
        torch.testing.assert_close(samples.mean(-1), distribution.mean(raw, UNITS), rtol=0.02, atol=0.02)
    # How many samples are at most x, against the sum or the integral of the density up to x.
    for window in range(2):
        own, at = raw[window, 0], samples[window, 0]
        units = Units(*(Scaling(*(part[window] for part in scaling)) for scaling in UNITS))
        x = float(at.quantile(0.7))
        if name == "negative_binomial":
            top = units.data.restore(units.window.normalise(torch.tensor([x], dtype=torch.float64)))
            steps = torch.arange(int(top.round()) + 1, dtype=torch.float64)
            points, width = units.window.restore(units.data.normalise(steps)), 1.0
        else:
            points = torch.linspace(x - 400 * float(units.window.scale), x, 2_000_001, dtype=torch.float64)
            width = float(points[1] - points[0])
        below = (-distribution.losses(own.expand(len(points), -1), points, units)).exp().sum() * width
        assert float((at <= x + 1e-9).double().mean()) == pytest.approx(float(below), abs=0.01)


def test_quantiles_of_gamma_and_poisson_are_those_of_scipy() -> None:
    u = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)
    for shape in (1.0, 1.5, 4.0, 60.0, 1e4):
        expected = stats.gamma.ppf(u.numpy(), shape)
        found = gamma_quantile(u, torch.full_like(u, shape)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    for rate in (1e-6, 0.3, 1.0, 7.5, 300.0, 5e4):
        found = poisson_quantile(u, torch.full_like(u, rate)).numpy()
        np.testing.assert_array_equal(found, stats.poisson.ppf(u.numpy(), rate))


def test_gamma_samples_of_a_small_shape_follow_their_distribution() -> None:
    noise = sampling_noise(1, 20_000, like=torch.zeros(1, dtype=torch.float64))[0]
    found = gamma_sample(torch.full((20_000,), 0.3, dtype=torch.float64), noise[:, 1], noise[:, 2])
    assert stats.kstest(found.numpy(), stats.gamma(0.3).cdf).statistic < 0.01


def test_the_noise_is_the_same_at_every_call_and_even() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    noise = sampling_noise(3, 50, like=like)
    torch.testing.assert_close(noise, sampling_noise(3, 50, like=like), rtol=0, atol=0)
    torch.testing.assert_close(noise[:2], sampling_noise(2, 50, like=like), rtol=0, atol=0)
    torch.testing.assert_close(noise.sort(dim=1).values[0, :, 2], (torch.arange(50, dtype=torch.float64) + 0.5) / 50)
    assert noise[0, :, 0].corrcoef() == 1
    assert abs(float(torch.corrcoef(torch.stack((noise[0, :, 0], noise[1, :, 0])))[0, 1])) < 0.4


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975), (0.1, 0.9)])
def test_quantiles_never_cross(levels: tuple[float, ...]) -> None:
    raw = 50 * torch.randn(200, 3, 1 + len(levels), generator=torch.Generator().manual_seed(0))
    ones = torch.ones(200, 1)
    units = Units(Scaling(3 * ones, 2 * ones), Scaling(0 * ones, ones))
    assert (Quantiles(levels, "mse").quantiles(raw, units).diff(dim=-1) >= 0).all()


@pytest.mark.parametrize(("point", "loss"), [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.smooth_l1_loss)])
def test_the_loss_of_quantiles_is_that_of_the_mean_and_twice_the_pinball_loss(point: str, loss: object) -> None:
    levels, raw, target = (0.1, 0.5, 0.9), raw_numbers(4), torch.randn(2, 7, dtype=torch.float64)
    output = Quantiles(levels, point)
    quantiles = output.quantiles(raw, UNITS)
    pinball = torch.zeros(2, 7, dtype=torch.float64)
    for place, level in enumerate(levels):
        error = target - quantiles[..., place]
        pinball += torch.where(error > 0, level * error, (level - 1) * error) / len(levels)
    expected = loss(output.mean(raw, UNITS), target, reduction="none") + 2 * pinball  # type: ignore[operator]
    torch.testing.assert_close(output.losses(raw, target, UNITS), expected)


def test_a_distribution_that_is_learnt_finds_its_parameters() -> None:
    """The least loss is at the parameters that the values were drawn with: mean 2, deviation 0.5."""
    values = 2 + 0.5 * torch.special.ndtri((torch.arange(400, dtype=torch.float64) + 0.5) / 400)[:, None]
    one = torch.ones(400, 1, dtype=torch.float64)
    units = Units(Scaling(0 * one, one), Scaling(0 * one, one))
    raw = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = Gaussian().losses(raw.expand(400, 1, 2), values, units).mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    assert raw[0].item() == pytest.approx(2, abs=1e-3)
    assert F.softplus(raw[1]).item() == pytest.approx(0.5, abs=0.01)

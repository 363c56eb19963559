"""What a forecaster says of a value to come: quantiles, or the parameters of a distribution, and their losses.

A model's last layer gives `size` numbers for each step, in the units of the window's scaling
(`elman.nn.window_normalisation`); a class here reads them. Targets, means, quantiles and samples are in the units in
which the window was given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.nn.window_normalisation import Scaling

LEAST_SCALE = 1e-4
NOISE = 3  # numbers that a sample is made of
NEWTON = 6  # steps towards a quantile of the gamma distribution


class Units(NamedTuple):
    """What a model's numbers mean: in the units of the window as it was given, and in those of the data."""

    window: Scaling
    data: Scaling

    def unsqueeze(self) -> Units:
        """The same for numbers with an axis more, such as one of samples."""
        return Units(*(Scaling(*(part[..., None] for part in scaling)) for scaling in self))


class Output(ABC):
    """The reader of a model's numbers `raw` (..., size) for each step."""

    size: int

    @abstractmethod
    def losses(self, raw: Tensor, target: Tensor, units: Units) -> Tensor:
        """The loss (...) of each target (...)."""

    @abstractmethod
    def mean(self, raw: Tensor, units: Units) -> Tensor:
        """The mean (...)."""


class Quantiles(Output):
    """A mean, and quantiles at `levels` that never cross.

    The quantile next to the median is a number of its own; the others are sums from there of steps that are positive.
    The loss is that of the mean by `point_loss`, and twice the mean pinball loss of the levels (Koenker and Bassett
    1978): 2 max(p (y − q), (p − 1)(y − q)), which is |y − q| at the median.
    """

    def __init__(self, levels: Sequence[float], point_loss: str) -> None:
        self.levels, self.size, self.point_loss = tuple(levels), 1 + len(levels), POINT_LOSSES[point_loss]
        self.anchor = anchor(levels)

    def quantiles(self, raw: Tensor, units: Units) -> Tensor:
        """The quantiles (..., Q), in the order of the levels."""
        below, middle, above = raw[..., 1:].split([self.anchor, 1, len(self.levels) - self.anchor - 1], dim=-1)
        up = middle + F.softplus(above).cumsum(-1)
        down = middle - F.softplus(below.flip(-1)).cumsum(-1).flip(-1)
        return units.unsqueeze().window.restore(torch.cat((down, middle, up), dim=-1))

    def losses(self, raw: Tensor, target: Tensor, units: Units) -> Tensor:
        """The loss of the mean and that of the quantiles."""
        return self.losses_of(self.mean(raw, units), self.quantiles(raw, units), target)

    def losses_of(self, mean: Tensor, quantiles: Tensor, target: Tensor) -> Tensor:
        """The loss (...) of means (...) and quantiles (..., Q)."""
        error = target[..., None] - quantiles
        levels = error.new_tensor(self.levels)
        pinball = torch.maximum(levels * error, (levels - 1) * error)
        return self.point_loss(mean, target, reduction="none") + 2 * pinball.mean(-1)

    def mean(self, raw: Tensor, units: Units) -> Tensor:
        """The first number."""
        return units.window.restore(raw[..., 0])


class PointForecast(Quantiles):
    """A mean alone. Its quantiles are those of a normal distribution around it, of the deviation 1 in its own units."""

    def __init__(self, levels: Sequence[float], point_loss: str) -> None:
        super().__init__(levels, point_loss)
        self.size = 1

    def quantiles(self, raw: Tensor, units: Units) -> Tensor:
        """The quantiles (..., Q), in the order of the levels."""
        distance = torch.special.ndtri(raw.new_tensor(self.levels))
        return units.unsqueeze().window.restore(raw[..., :1] + distance)

    def losses_of(self, mean: Tensor, quantiles: Tensor, target: Tensor) -> Tensor:
        """The loss of the mean."""
        return self.point_loss(mean, target, reduction="none")


POINT_LOSSES: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.smooth_l1_loss}


class Distribution(Output):
    """A distribution, whose loss is −ln p(target): nats, of a density in the units of the target."""

    @abstractmethod
    def sample(self, raw: Tensor, noise: Tensor, units: Units) -> Tensor:
        """A sample of each, from `noise` (..., 3), which is uniform in (0, 1); raw and noise may be broadcast.

        The same noise gives the same sample, whatever else is in the batch.
        """


class Gaussian(Distribution):
    """N(μ, σ²), σ = softplus."""

    size = 2

    def losses(self, raw: Tensor, target: Tensor, units: Units) -> Tensor:
        """−ln p."""
        scale = units.window.scale * _positive(raw[..., 1])
        return 0.5 * ((target - self.mean(raw, units)) / scale).square() + scale.log() + 0.5 * math.log(2 * math.pi)

    def mean(self, raw: Tensor, units: Units) -> Tensor:
        """μ."""
        return units.window.restore(raw[..., 0])

    def sample(self, raw: Tensor, noise: Tensor, units: Units) -> Tensor:
        """μ + σ z."""
        return units.window.restore(raw[..., 0] + _positive(raw[..., 1]) * torch.special.ndtri(noise[..., 0]))


class StudentT(Distribution):
    """Student's t with location μ, scale σ = softplus and ν = 2 + softplus degrees of freedom: tails that are heavy."""

    size = 3

    def losses(self, raw: Tensor, target: Tensor, units: Units) -> Tensor:
        """−ln p."""
        scale, freedom = units.window.scale * _positive(raw[..., 1]), 2 + F.softplus(raw[..., 2])
        z = ((target - self.mean(raw, units)) / scale).square()
        half = (freedom + 1) / 2
        beta = torch.lgamma(freedom / 2) - torch.lgamma(half) + 0.5 * (freedom * math.pi).log()
        return half * torch.log1p(z / freedom) + scale.log() + beta

    def mean(self, raw: Tensor, units: Units) -> Tensor:
        """μ."""
        return units.window.restore(raw[..., 0])

    def sample(self, raw: Tensor, noise: Tensor, units: Units) -> Tensor:
        """μ + σ z / √(g / (ν/2)), g ~ Gamma(ν/2)."""
        half = 1 + F.softplus(raw[..., 2]) / 2
        spread = (gamma_sample(half, noise[..., 1], noise[..., 2]) / half).sqrt()
        z = torch.special.ndtri(noise[..., 0]) / spread
        return units.window.restore(raw[..., 0] + _positive(raw[..., 1]) * z)


class NegativeBinomial(Distribution):
    """Counts with the mean m and the variance m + α m².

    m is the softplus of the first number in the units of the counts, so that the network works in those of its window
    like any other, and α = softplus. The form of Salinas et al. 2020, "DeepAR", arXiv:1704.04110.
    """

    size = 2

    def losses(self, raw: Tensor, target: Tensor, units: Units) -> Tensor:
        """−ln p of the count."""
        k = units.data.restore(units.window.normalise(target)).round().clamp(min=0)
        m, r = self._parameters(raw, units)
        norm = torch.lgamma(k + r) - torch.lgamma(r) - torch.lgamma(k + 1)
        return -(norm - r * torch.log1p(m / r) + k * (m.log() - (r + m).log()))

    def mean(self, raw: Tensor, units: Units) -> Tensor:
        """m."""
        return self._of_counts(self._parameters(raw, units)[0], units)

    def sample(self, raw: Tensor, noise: Tensor, units: Units) -> Tensor:
        """Poisson(g), g ~ Gamma(1/α) α m."""
        m, r = self._parameters(raw, units)
        rate = gamma_sample(r, noise[..., 1], noise[..., 2]) * m / r
        return self._of_counts(poisson_quantile(noise[..., 0], rate), units)

    def _parameters(self, raw: Tensor, units: Units) -> tuple[Tensor, Tensor]:
        """m and 1/α."""
        return F.softplus(units.data.restore(raw[..., 0])) + LEAST_SCALE, 1 / _positive(raw[..., 1])

    def _of_counts(self, counts: Tensor, units: Units) -> Tensor:
        return units.window.restore(units.data.normalise(counts))


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "gaussian": Gaussian,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
}


def anchor(levels: Sequence[float]) -> int:
    """The index of the level next to the median."""
    return min(range(len(levels)), key=lambda at: abs(levels[at] - 0.5))


def sampling_noise(steps: int, samples: int, *, like: Tensor) -> Tensor:
    """Uniform numbers (steps, samples, 3), the same at every call: a Latin hypercube at each step.

    Each column has one number in every interval of width 1/samples, so that few samples give even quantiles (McKay,
    Beckman and Conover 1979).
    """
    drawn = torch.rand(steps, samples, NOISE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = (drawn.argsort(dim=1) + 0.5) / samples
    return places.to(like)


def gamma_sample(shape: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Gamma(shape) of scale 1 from two uniform numbers: the u-quantile of Gamma(shape + 1), times v^(1/shape)."""
    return gamma_quantile(u, shape + 1) * (v.log() / shape).exp()


def gamma_quantile(u: Tensor, shape: Tensor) -> Tensor:
    """The u-quantile of Gamma(shape), shape ≥ 1: Wilson and Hilferty's (1931) guess, then Newton's steps."""
    z = torch.special.ndtri(u)
    x = shape * (1 - 1 / (9 * shape) + z / (3 * shape.sqrt())).clamp(min=0.05) ** 3
    for _ in range(NEWTON):  # ln F(x) is nearly a line in ln x where x is small
        below = torch.special.gammainc(shape, x).clamp(min=1e-30)
        slope = (shape * x.log() - x - torch.lgamma(shape)).exp().clamp(min=1e-30) / below
        x = x * ((u / below).log() / slope).clamp(-2, 2).exp()
    return x


def poisson_quantile(u: Tensor, rate: Tensor) -> Tensor:
    """The least count k with P(K ≤ k) ≥ u, K ~ Poisson(rate), by bisection."""
    u, rate = torch.broadcast_tensors(u, rate)
    low = torch.full_like(rate, -1)
    high = (rate + 8 * rate.sqrt() + 12).ceil()
    for _ in range(int(high.max().log2().ceil()) + 1 if high.numel() else 0):
        middle = ((low + high) / 2).floor()
        enough = torch.special.gammaincc(middle.clamp(min=0) + 1, rate) >= u
        enough &= middle >= 0
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high


def _positive(raw: Tensor) -> Tensor:
    return F.softplus(raw) + LEAST_SCALE

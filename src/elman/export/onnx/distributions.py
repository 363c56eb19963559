"""The parameters of the distributions that forecasters learn, in the units of the data, of values and tensors alike."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch.nn import functional as F

from elman.models.likelihoods import LEAST_SCALE


class DataUnits(NamedTuple):
    """A value of the data is location + scale · a model's number; both (B, 1, 1), values of a graph or tensors."""

    location: Any
    scale: Any

    def restore(self, numbers: Any) -> Any:
        """Numbers (B, T, ·) of the model in the units of the data."""
        return self.location + self.scale * numbers


def _positive(x: Any) -> Any:
    return F.softplus(x) + LEAST_SCALE


def _gaussian(units: DataUnits, centre: Any, spread: Any) -> list[Any]:
    return [units.restore(centre), units.scale * _positive(spread)]


def _student_t(units: DataUnits, centre: Any, spread: Any, freedom: Any) -> list[Any]:
    return [*_gaussian(units, centre, spread), F.softplus(freedom) + 2.0]


def _negative_binomial(units: DataUnits, mean: Any, dispersion: Any) -> list[Any]:
    return [_positive(units.restore(mean)), 1.0 / _positive(dispersion)]


# Of a model's numbers (B, T, 1) each: the parameters (B, T, 1) each.
PARAMETERS: dict[str, Any] = {
    "gaussian": _gaussian,  # μ, σ
    "student_t": _student_t,  # μ, σ, ν
    "negative_binomial": _negative_binomial,  # the mean m, and r: Poisson(Gamma(r) · m / r)
}

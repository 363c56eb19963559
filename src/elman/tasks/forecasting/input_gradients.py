"""How a forecaster depends on its past: the gradients of its loss and of its forecasts by the values of the window."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elman.arrays import Floats
from elman.inspection.look import Part
from elman.inspection.untrained import KEYS, model_line
from elman.lens.observe import evaluating
from elman.models.forecaster import SeriesForecaster
from elman.report import Chapter, heatmap, line_chart
from elman.tasks.forecasting.subject import READ, SeriesSubject

BINS = (0.1, 0.5, 0.9)  # quantiles over windows


def look_at_gradients(subject: SeriesSubject) -> Part:
    """How far into the past the loss reaches, and which steps of the past each forecast depends on."""
    batch = subject.batch(READ)
    curves, lines, numbers = [], [], {}
    for key, (name, model) in zip(KEYS, subject.models.items(), strict=True):
        norms = loss_gradients(model, batch)  # (B, L), the newest step last
        low, median, high = np.nanquantile(norms, BINS, axis=0)[:, ::-1]
        lags = np.arange(len(median))
        curves.append(model_line(name, lags, (low, median, high)))
        lines.append(_reach(name, np.nanmean(norms, 0)[::-1]))
        numbers[key] = {"lag": lags, "low": low, "median": median, "high": high}
    dependence = forecast_gradients(subject.model, batch)  # (H, L)
    figures = [
        line_chart(
            curves,
            title="How far back the loss reaches",
            x="steps before the newest",
            y="‖∂L/∂x‖",
            log_y=True,
            reading="The median over the windows, and the middle 80 %: what the loss of a horizon depends on. The "
            "newest value stands out where windows are normalised by it.",
        ),
        heatmap(
            dependence,
            title="Which steps of the past each forecast depends on",
            x="steps before the newest",
            y="steps ahead",
            rows=[str(step) for step in range(1, len(dependence) + 1)],
            columns=[str(lag) for lag in range(dependence.shape[1] - 1, -1, -1)],
            limit=float(np.quantile(dependence, 0.99)) or 1.0,
            reading="The mean absolute gradient of a forecast by a value of the past: diagonals that are a season "
            "apart say that the model copies seasons.",
        ),
    ]
    text = "How much the loss, and each step of the forecast, would change with each value of the window."
    return Part(Chapter("Input gradients", text, figures, lines), numbers | {"forecast": dependence}, lines)


def _reach(name: str, mean: Floats) -> str:
    """In words, how many of the newest steps hold nine tenths of the gradient."""
    if not mean.sum() > 0:
        return f"{name}: no gradient reaches the window"
    steps = int(np.searchsorted(np.cumsum(mean) / mean.sum(), 0.9)) + 1
    return f"{name}: nine tenths of the gradient are in the newest {steps} of {len(mean)} steps"


def _with_gradients(model: SeriesForecaster, batch: Any) -> tuple[Any, torch.Tensor]:
    """The batch with a past that gradients reach; missing values stay missing."""
    there = ~batch.past.isnan()
    leaf = batch.past.where(there, 0).requires_grad_()
    return batch._replace(past=leaf.where(there, torch.nan)), leaf


def _aligned(values: torch.Tensor, lengths: torch.Tensor) -> Floats:
    """Values (B, L) with the newest step of each row last, NaN before its first."""
    L = values.shape[1]
    at = torch.arange(L) - (L - lengths[:, None])
    moved = values.take_along_dim(at.clamp(min=0), dim=1).where(at >= 0, torch.nan)
    return moved.double().cpu().numpy()


def loss_gradients(model: SeriesForecaster, batch: Any) -> Floats:
    """|∂L/∂x| (B, L) of each window's mean loss, the newest step last."""
    with evaluating(model), torch.enable_grad():
        given, leaf = _with_gradients(model, batch)
        known = (~batch.future.isnan()).sum(1).clamp(min=1)
        (gradient,) = torch.autograd.grad((model.loss(given).sum(1) / known).sum(), leaf)
    return _aligned(gradient.abs(), batch.lengths)


def forecast_gradients(model: SeriesForecaster, batch: Any) -> Floats:
    """The mean over windows of |∂ŷ_h/∂x_t| (H, L) of the mean forecast, the newest step last."""
    rows = []
    with evaluating(model), torch.enable_grad():
        given, leaf = _with_gradients(model, batch)
        mean = model.means(given)
        for step in range(mean.shape[1]):
            (gradient,) = torch.autograd.grad(mean[:, step].sum(), leaf, retain_graph=True)
            rows.append(np.nanmean(_aligned(gradient.abs(), batch.lengths), 0))
    return np.nan_to_num(np.array(rows))

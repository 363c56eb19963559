"""The steps of the horizon as an objective, all from the window before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.timestamps import Integers
from elman.data.windows import WindowBatch, WindowBatches, Windows, evaluation_batches
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.metrics.sums import score_of_all
from elman.metrics.words import words
from elman.models.conformal import conformal_widths
from elman.models.encoder import encoder_layers
from elman.models.forecaster import SeriesForecaster
from elman.models.forecaster_settings import LEVELS
from elman.tasks.configuration import Settings
from elman.tasks.exchange import ValidationScores
from elman.tasks.forecasting.corpus import ForecastCorpus
from elman.tasks.forecasting.settings import ForecastTraining
from elman.train.objective import Loss, Place

if TYPE_CHECKING:
    from elman.arrays import Floats
    from elman.state import State

BATCH = 512  # windows of an evaluation
COUNTS = "negative_binomial"


@dataclass
class FutureValues:
    """The objective of a forecaster on windows (see `train.objective.Objective`).

    A validation also fits the model's `widths`, so that as many values of the validation part lie in each interval as
    should. Its numbers are in the units of the scaler: errors of series of any size count alike.
    """

    train: WindowBatches
    valid: Windows
    metric: str = "loss"
    k2: int | None = None
    adaptive: None = field(default=None, init=False)
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.training_size, self.validation_size = self.train.windows.targets, self.valid.targets

    def batches(self, epoch: int) -> int:
        """How many batches an epoch is cut into."""
        return self.train.count(epoch)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """The mean loss of the values that are known."""
        model = cast(SeriesForecaster, model)
        batch = self.train.batch(place.epoch, place.batch).to(next(model.parameters()).device)
        targets = int((~batch.future.isnan()).sum())
        mean = model.loss(batch, k2=self.k2).sum() / max(targets, 1)
        return Loss(mean, targets * self.train.counts(place.epoch, place.batch), None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The loss, the errors of the mean, the pinball loss and the coverage; the model's widths are fitted."""
        return validate(cast(SeriesForecaster, model), self.valid, self.ranks)

    def cost(self, metrics: dict[str, float]) -> float:
        """The chosen metric."""
        return metrics[self.metric]

    def describe(self, metrics: dict[str, float]) -> str:
        """The loss and the errors."""
        loss, mae, mse = (words(metrics[name]) for name in ("loss", "mae", "mse"))
        return f"loss {loss}, mean absolute error {mae}, mean squared error {mse} (standardised)"

    def initial_state(self, model: nn.Module) -> None:
        """Nothing is carried from batch to batch."""

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """Those of the encoder; with k2, a longer batch calls them more often."""
        return encoder_layers(model) if self.k2 is None else ()

    def divide(self, ranks: Ranks) -> None:
        """Read the rows of this rank alone."""
        self.train.ranks, self.ranks = ranks, ranks.readers


def future_values(settings: Settings, corpus: ForecastCorpus) -> FutureValues:
    """The objective of a training on a corpus. Raises `UserError` where values do not fit the distribution."""
    train = settings.train
    if getattr(settings.model, "distribution", "") == COUNTS:
        check_counts(corpus.train.panel.values)
    batches = WindowBatches(corpus.train, train.batch_windows, seed=train.seed)
    return FutureValues(batches, corpus.valid.thinned(train.validation_windows), train.metric, train.k2)


def check_counts(values: Floats) -> None:
    """Raise `UserError` unless all values are counts."""
    wrong = values[~np.isnan(values) & ((values < 0) | (values != np.floor(values)))]
    if len(wrong):
        expected = "counts (0, 1, 2, …) for the negative binomial"
        raise UserError("distribution", expected=expected, got=f"{wrong[0]:g}", remedy="--set distribution=student_t")


@torch.no_grad()
def validate(model: SeriesForecaster, windows: Windows, ranks: Ranks = ALONE) -> dict[str, float]:
    """The metrics of the windows, with the quantiles as the model learnt them; its `widths` are fitted to the windows.

    Each rank forecasts from a part of the windows.

    `coverage_80` is how many of 100 values lie between the quantiles 0.1 and 0.9 before these are moved.
    """
    every = [
        (rows, *(each.cpu().numpy() for each in (*forecast, batch.future, losses, batch.deviation)))
        for rows, batch in _batches(model, windows, ranks)
        for losses, forecast in (model.loss_and_forecast(batch),)
    ]
    rows, *found = map(torch.from_numpy, ranks.columns(every))
    mean, quantiles, targets, losses, deviation = (each[rows.argsort()] for each in found)
    moving = targets.where(deviation[:, None] > 0, torch.nan)  # constant series have no errors to learn widths from
    model.widths.copy_(conformal_widths(quantiles, moving, model.levels))
    known = ~targets.isnan()
    error, above = (mean - targets)[known].double(), (targets[..., None] - quantiles)[known].double()  # (N,), (N, Q)
    levels = above.new_tensor(model.levels)
    low, high = (model.levels.index(level) for level in (LEVELS[0], LEVELS[-1]))
    covered = (above[:, low] >= 0) & (above[:, high] <= 0)
    return {
        "loss": float(losses[known].double().mean()),
        "mae": float(error.abs().mean()),
        "mse": float(error.square().mean()),
        "quantile_loss": float(torch.maximum(levels * above, (levels - 1) * above).mean()),
        "coverage_80": 100 * float(covered.double().mean()),
    }


@torch.no_grad()
def measurement(model: SeriesForecaster, corpus: ForecastCorpus) -> ValidationScores:
    """The losses of blocks of the validation windows, and the errors of as many windows as a validation reads.

    Errors are standardised; the squared error of the naive forecast stands beside them. Windows that begin a step apart
    share nearly all of their values, so a block has those of a series that begin within the steps of one window and its
    future: errors of different blocks are hardly related.
    """
    windows, device = corpus.valid, next(model.parameters()).device
    scored = np.isin(np.arange(len(windows)), windows.spread(ForecastTraining().validation_windows))
    losses, errors = np.zeros((len(windows), 2)), np.zeros((len(windows), 5))
    for rows, batch in evaluation_batches(windows, BATCH):
        kept = scored[rows]
        if kept.all():
            lost, forecast = model.loss_and_forecast(batch.to(device))
        else:
            lost, forecast = model.loss(batch.to(device)), model.forecast(windows.batch(rows[kept]).to(device))
        known = ~batch.future.isnan()
        losses[rows] = np.column_stack((lost.sum(1).double().cpu().numpy(), known.sum(1)))
        naive = corpus.baselines.forecast(batch)["naive"]
        errors[rows[kept]] = _errors(forecast.mean.cpu(), naive[kept], batch.future[kept])
    stretch = windows.origins // (windows.window + windows.horizon)
    begins = np.flatnonzero(np.diff(windows.series, prepend=-1) | np.diff(stretch, prepend=-1))
    losses, errors = (np.add.reduceat(each, begins) for each in (losses, errors))
    losses = losses[losses[:, 1] > 0]
    terms = {"mae": errors[:, [0, 2]], "mse": errors[:, [1, 2]], "naive_mse": errors[:, [3, 4]]}
    scores = {name: score_of_all(found) for name, found in terms.items()}
    return ValidationScores(losses[:, 0], losses[:, 1], scores, terms)


def _errors(mean: Tensor, naive: Floats, truth: Tensor) -> Floats:
    """Sums over each window (B, 5): absolute and squared errors, their values; naive squared errors, their values."""
    error, known = (mean - truth).double(), ~truth.isnan()
    simple = naive - truth.double().numpy()
    return np.column_stack(
        (
            error.abs().where(known, 0).sum(1),
            error.square().where(known, 0).sum(1),
            known.sum(1),
            np.nansum(simple**2, 1),
            (~np.isnan(simple)).sum(1),
        )
    )


def _batches(model: SeriesForecaster, windows: Windows, ranks: Ranks = ALONE) -> Iterator[tuple[Integers, WindowBatch]]:
    device = next(model.parameters()).device
    for rows, batch in evaluation_batches(windows, BATCH, ranks):
        yield rows, batch.to(device)

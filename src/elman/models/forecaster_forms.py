"""The forms in which a forecaster reads its window and writes its horizon; see `SeriesForecaster`.

Each of `FORMS` gives the numbers (B, horizon, size) of the steps to come, for the model's `output`, of a batch and k2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from elman.models.likelihoods import Distribution, Units, sampling_noise
from elman.models.sequence_encoder import read_truncated
from elman.models.window_tensors import WindowTensors, joined, ragged_lengths, value_and_missing
from elman.state import select_rows

if TYPE_CHECKING:
    from elman.models.forecaster import SeriesForecaster

FORGOTTEN = 0.1  # of the windows of a training: the series that they are of


def write_directly(model: SeriesForecaster, batch: WindowTensors, k2: int | None) -> Tensor:
    """All steps at once, from the last hidden state."""
    values, lengths = model.inputs(batch)
    hidden, _ = read_truncated(model.encoder, values, k2, lengths=ragged_lengths(lengths, values))
    last = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]  # (B, H)
    known = batch.future_exogenous.nan_to_num().flatten(1)
    written: Tensor = model.head(torch.cat((last, known, batch.static.nan_to_num()), dim=1))
    return written.unflatten(1, (model.horizon, -1))


def write_segments(model: SeriesForecaster, batch: WindowTensors, k2: int | None) -> Tensor:
    """All segments in parallel, each one more step from the state after the window."""
    values, lengths = model.inputs(batch)
    _, state = read_truncated(model.encoder, values, k2, lengths=ragged_lengths(lengths, values))
    queries = model.positions.weight.expand(len(values), -1, -1)  # (B, m, H)
    _, m, H = queries.shape
    if model.known is not None:
        ahead = F.pad(batch.future_exogenous.nan_to_num(), (0, 0, 0, m * model.segment - model.horizon))
        static = batch.static.nan_to_num()[:, None].expand(-1, m, -1)
        queries = queries + model.known(torch.cat((ahead.reshape(len(ahead), m, -1), static), dim=2))
    if model.identity is not None:
        queries = queries + model.identity(_identity(model, batch))[:, None]
    rows = torch.arange(len(values), device=values.device).repeat_interleave(m)
    hidden, _ = model.encoder(queries.reshape(-1, 1, H), select_rows(state, rows))  # each from the same state
    written: Tensor = model.head(hidden)
    return written.view(len(values), m * model.segment, -1)[:, : model.horizon]


def _identity(model: SeriesForecaster, batch: WindowTensors) -> Tensor:
    """The row (B,) of each window in the embedding of the series; in training, 0 is learnt from some of all."""
    known = batch.identity <= model.series
    if model.training:
        known &= torch.rand(known.shape, device=known.device) >= FORGOTTEN
    return batch.identity.where(known, 0)


def steps_of(model: SeriesForecaster, batch: WindowTensors, values: Tensor) -> Tensor:
    """The steps (B, T, C) of `read` for values (B, T) that begin with the window; T ≤ L + horizon − 1."""
    P, T = model.channels[0], values.shape[1]
    ahead = batch.future_exogenous
    ahead = torch.cat((ahead.new_zeros(*ahead.shape[:2], P), ahead), dim=2)
    other = joined(batch.past_exogenous, ahead, batch.lengths).nan_to_num()  # (B, L + horizon, P + K)
    static = batch.static.nan_to_num()[:, None].expand(-1, T, -1)
    return torch.cat((value_and_missing(values), other[:, :T, :P], other[:, 1 : T + 1, P:], static), dim=2)


def write_next_values(model: SeriesForecaster, batch: WindowTensors, k2: int | None) -> Tensor:
    """The distribution of each value, given the true values before it (teacher forcing)."""
    scaling = model.units(batch).window
    past, future = (scaling.normalise(part)[..., None] for part in (batch.past, batch.future))
    values = joined(past, future, batch.lengths)[:, :-1, 0]
    lengths = batch.lengths + model.horizon - 1
    raw = model.head(read_truncated(model.encoder, steps_of(model, batch, values), k2, lengths=lengths)[0])
    at = batch.lengths[:, None] - 1 + torch.arange(model.horizon, device=raw.device)  # (B, horizon)
    return raw.take_along_dim(at[..., None], dim=1)


def draw(model: SeriesForecaster, batch: WindowTensors, units: Units) -> tuple[Tensor, Tensor]:
    """Values drawn one after the other: the mean (B, horizon), and samples (B, horizon, S)."""
    output, B, S = cast(Distribution, model.output), len(batch.past), model.samples
    noise = sampling_noise(model.horizon, S, like=batch.past)
    steps, lengths = model.inputs(batch)
    raw, state = model.read(steps, lengths=lengths)
    rows = torch.arange(B, device=raw.device)
    raw = raw[rows, batch.lengths - 1][:, None].expand(-1, S, -1)  # (B, S, size)
    state = select_rows(state, rows.repeat_interleave(S))
    known = F.pad(batch.future_exogenous.nan_to_num(), (0, 0, 0, 1))  # of the step after the last, nothing
    constant = [batch.past.new_zeros(B, model.channels[0]), batch.static.nan_to_num()]
    means, samples = [], []
    for step in range(model.horizon):
        means.append(output.mean(raw, units).mean(1))
        samples.append(output.sample(raw, noise[step], units))
        value = units.window.normalise(samples[-1])[..., None]  # (B, S, 1)
        others = torch.cat((torch.zeros(B, 1).to(value), constant[0], known[:, step + 1], constant[1]), dim=1)
        steps = torch.cat((value, others[:, None].expand(-1, S, -1)), dim=2)
        raw, state = model.read(steps.view(B * S, 1, -1), state)
        raw = raw.view(B, S, -1)
    return torch.stack(means, dim=1), torch.stack(samples, dim=1)


FORMS = {"direct": write_directly, "segment": write_segments, "likelihood": write_next_values}

"""A trial of a forecaster's graph: the same windows, in the units of the data, as the run's model reads in its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import NegativeBinomial, Normal, StudentT

from elman.arrays import Numbers
from elman.data.windows import WindowBatch
from elman.export.onnx import trials
from elman.export.onnx.distributions import PARAMETERS, DataUnits
from elman.export.onnx.drawing import Call, Compared
from elman.export.onnx.windows import columns, scales, static_scales
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import Quantiles
from elman.state import State, leaves
from elman.tasks.exchange import Trained


def trial(run: Trained, ragged: bool, observed: Any, call: Call) -> Iterator[Compared]:
    """Validation windows, or random ones: some by themselves with their loss, and several together."""
    windows = _random(run.model) if observed is None else observed.batch(trials.WHOLE)
    compare = _steps if run.model.form == "likelihood" else _forecasts
    if observed is not None:
        for row in range(len(windows.past)):
            yield from compare(run, _rows(windows, [row]), ragged, call, with_loss=True)
    for rows in trials.groups(len(windows.past)):
        yield from compare(run, _rows(windows, rows), ragged, call, with_loss=False)


def _rows(windows: WindowBatch, rows: Sequence[int]) -> WindowBatch:
    """Some windows, without the steps that none of them has."""
    found = WindowBatch(*(part[list(rows)] for part in windows))
    T = int(found.lengths.max())
    return found._replace(past=found.past[:, :T], past_exogenous=found.past_exogenous[:, :T])


def _raw(scaled: Tensor, scale: Any) -> tuple[Numbers, Tensor]:
    """Numbers (…, n) by their scale (n, 2) in the units of the data, and those rounded ones in the model's again."""
    mean, deviation = np.moveaxis(np.asarray(scale, np.float64), -1, 0)
    raw = (scaled.double().numpy() * deviation + mean).astype(np.float32)
    return raw, torch.from_numpy(((raw - mean) / deviation).astype(np.float32))


@torch.no_grad()
def _forecasts(run: Trained, windows: WindowBatch, ragged: bool, call: Call, *, with_loss: bool) -> Iterator[Compared]:
    """The forms that read a window at once."""
    model: SeriesForecaster = run.model
    _, K, S = model.channels
    ends, T = trials.shortest(windows.lengths, ragged=ragged)
    own = columns(run)
    mean, deviation = windows.mean, windows.deviation.where(windows.deviation > 0, 1)
    past, read = _raw(windows.past[:, :T], torch.stack((mean, deviation), -1)[:, None].expand(-1, T, -1))
    other, other_read = _raw(windows.past_exogenous[:, :T], scales(run, own.past + own.future))
    ahead, ahead_read = _raw(windows.future_exogenous, scales(run, own.future))
    static, static_read = _raw(windows.static, static_scales(run))
    windows = windows._replace(
        past=read,
        past_exogenous=other_read,
        future_exogenous=ahead_read,
        static=static_read,
        lengths=torch.full_like(windows.lengths, T) if ends is None else ends,
    )
    feeds = {"values": np.concatenate([past[..., None], other], 2), "mean": mean.numpy()}
    feeds |= {"deviation": windows.deviation.numpy(), **trials.lengths_of(ends)}
    feeds |= ({"future_values": ahead} if K else {}) | ({"static": static} if S else {})
    feeds |= {"identity": windows.identity.numpy()} if model.identities else {}
    found = call("model", feeds)
    data = DataUnits(mean[:, None, None], deviation[:, None, None])
    if isinstance(model.output, Quantiles):
        told, learnt = model.forecast(windows), model.forecast(windows, calibrated=False)
        ours = [data.restore(torch.cat((told.mean[..., None], told.quantiles), 2)), data.restore(learnt.quantiles)]
        names = ["forecast", "quantiles"]
    else:
        units = DataUnits(*(part[..., None] for part in model.units(windows).data))
        ours, names = [_parameters(model, model(windows), units)], ["parameters"]
    loss = None
    if with_loss:
        known = ~windows.future.isnan()
        theirs = _losses(model, found, windows.future.where(known, 0), data).where(known, 0)
        loss = float(model.loss(windows).double().sum()), float(theirs.sum()), int(known.sum())
    yield Compared([each.numpy() for each in ours], [found[name] for name in names], loss)


def _parameters(model: SeriesForecaster, numbers: Tensor, units: DataUnits) -> Tensor:
    made: Tensor = torch.cat(PARAMETERS[model.settings.learnt](units, *numbers.split(1, -1)), -1)
    return made


def _losses(model: SeriesForecaster, found: dict[str, Numbers], target: Tensor, data: DataUnits) -> Tensor:
    """The loss (B, H) that the graph's numbers have of targets in the model's units."""
    if not isinstance(model.output, Quantiles):
        value = data.restore(target[..., None])[..., 0].double()
        return _nats(model, torch.from_numpy(found["parameters"]).double(), value, data.scale[..., 0].double())
    mean, quantiles = (
        ((torch.from_numpy(each) - data.location) / data.scale).double()
        for each in (found["forecast"][..., :1], found["quantiles"])
    )
    return model.output.losses_of(mean[..., 0], quantiles, target.double())


def _nats(model: SeriesForecaster, parameters: Tensor, value: Tensor, deviation: Tensor) -> Tensor:
    """−ln p (B, T) of values in the units of the data, by parameters (B, T, n); the density in units of `deviation`."""
    first, second, *third = parameters.unbind(-1)
    if model.settings.learnt == "negative_binomial":
        count = value.round().clamp(min=0)
        return -NegativeBinomial(second, logits=(first / second).log()).log_prob(count)
    made = Normal(first, second) if not third else StudentT(third[0], first, second)
    return -made.log_prob(value) - deviation.log()


@torch.no_grad()
def _steps(run: Trained, windows: WindowBatch, ragged: bool, call: Call, *, with_loss: bool) -> Iterator[Compared]:
    """The form likelihood: the parameters after each step of the window, piece by piece; or whole, with the loss."""
    model: SeriesForecaster = run.model
    own = columns(run)
    units = model.units(windows).data
    location, scale = (part.float() for part in units)  # (B, 1)
    given, lengths = model.inputs(windows)
    T = int(lengths.min())
    value = given[:, :T, 0].masked_fill(given[:, :T, 1] > 0, torch.nan)
    raw, read = _raw(value, torch.stack((location, scale), -1).expand(-1, T, -1))
    constant = np.concatenate([scales(run, own.past + own.future), static_scales(run)])
    others, others_read = _raw(given[:, :T, 2:], constant)
    steps = torch.cat((read.nan_to_num()[..., None], given[:, :T, 1:2], others_read), 2)
    values = np.concatenate([raw[..., None], others], 2)
    data = DataUnits(location[..., None], scale[..., None])

    def ours(piece: slice, state: State | None) -> tuple[Tensor, State]:
        numbers, after = model.read(steps[:, piece], state)
        return _parameters(model, numbers, data), after

    def feed(piece: slice) -> dict[str, Numbers]:
        ends = torch.full((len(steps),), piece.stop - piece.start) if ragged else None
        known = {"location": location[:, 0].numpy(), "scale": scale[:, 0].numpy()}
        return {"values": values[:, piece], **known, **trials.lengths_of(ends)}

    fresh = model.encoder.initial_state(len(steps))
    if not with_loss:
        yield from trials.in_pieces(call, "parameters", ours, feed, T, fresh)
        return
    whole = slice(0, T)
    state = trials.named([leaf.numpy() for leaf in leaves(fresh)])
    told, found = ours(whole, None)[0], call("model", {**feed(whole), **state})["parameters"]
    target = torch.from_numpy(raw[:, 1:]).double()
    known = ~target.isnan()
    deviation = windows.deviation.where(windows.deviation > 0, 1)[:, None].double()
    sums = [
        float(_nats(model, each[:, :-1].double(), target.nan_to_num(), deviation).where(known, 0).sum())
        for each in (told, torch.from_numpy(found))
    ]
    yield Compared([told.numpy()], [found], (sums[0], sums[1], int(known.sum())))


def _random(model: SeriesForecaster) -> WindowBatch:
    """Windows of random numbers, a tenth of which is missing."""
    source, (P, K, S), B, L = trials.generator(), model.channels, trials.WHOLE, model.past_steps

    def drawn(*shape: int) -> Tensor:
        numbers = torch.randn(*shape, generator=source)
        return numbers.masked_fill(torch.rand(*shape, generator=source) < 0.1, torch.nan)

    place, lengths = torch.arange(B), L - torch.arange(B) % L
    past = drawn(B, L).masked_fill(torch.arange(L) >= lengths[:, None], torch.nan)
    scale = drawn(B).nan_to_num(), drawn(B).nan_to_num().exp()
    known = drawn(B, L, P + K), drawn(B, model.horizon, K), drawn(B, S)
    return WindowBatch(past, drawn(B, model.horizon), lengths, *known, *scale, place, place % (model.series + 1))

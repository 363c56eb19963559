"""Forecasters: every form on windows with holes and of every length, rows alone, the state contract, refusals."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.errors import UserError
from elman.models.forecaster import SeriesForecaster, build_forecaster
from elman.models.forecaster_forms import draw
from elman.models.likelihoods import DISTRIBUTIONS
from elman.models.window_tensors import in_segments, joined
from elman.state import leaves

L, H = 13, 7
CHANNELS = (1, 2, 3)
CAUSAL = {"is_causal": True, "num_heads": 2}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{cell}, segments": (cell, {"form": "segment", "segment": 4, "num_layers": 2}) for cell in CELLS},
    "identities": ("gru", {"form": "segment", "segment": 5, "identities": True, "series": 4}),
    "direct": ("gru", {"segment": 1}),
    "both ways": ("lstm", {"segment": 3, "bidirectional": True}),
    "attention": ("transformer", {"segment": 2, "num_heads": 2}),
    "segments, gaussian": ("gru", {"form": "segment", "segment": 5, "distribution": "gaussian"}),
    **{name: ("lstm", {"form": "likelihood", "distribution": name, "samples": 12}) for name in DISTRIBUTIONS},
    "attention, student_t": (
        "transformer",
        {"form": "likelihood", "distribution": "student_t", "samples": 12, **CAUSAL},
    ),
    "levels": ("gru", {"levels": (0.05, 0.1, 0.5, 0.75, 0.9), "point_loss": "mse"}),
}
every_form = pytest.mark.parametrize("name", FORMS)
every_normalisation = pytest.mark.parametrize("normalisation", ["last", "mean", "none"])


class Batch(NamedTuple):
    past: Tensor
    future: Tensor
    lengths: Tensor
    past_exogenous: Tensor
    future_exogenous: Tensor
    static: Tensor
    mean: Tensor
    deviation: Tensor
    identity: Tensor


def make(name: str, channels: tuple[int, int, int] = CHANNELS, **more: Any) -> SeriesForecaster:
    """A forecaster whose every parameter matters."""
    kind, options = FORMS[name]
    torch.manual_seed(0)
    model = SeriesForecaster(kind, L, H, channels=channels, **{"hidden_size": 8, **options, **more}).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def windows(lengths: list[int], channels: tuple[int, int, int] = CHANNELS, seed: int = 0) -> Batch:
    """Windows of counts around 50, with holes in the past, the future and the exogenous numbers."""
    generator, (P, K, S), B = torch.Generator().manual_seed(seed), channels, len(lengths)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    ends = torch.tensor(lengths)
    past, future = ((numbers(B, T) * 6).round() / 6 for T in (L, H))
    past[torch.rand(B, L, generator=generator) < 0.15] = torch.nan
    past[torch.arange(L) >= ends[:, None]] = torch.nan
    future[torch.rand(B, H, generator=generator) < 0.15] = torch.nan
    beside, ahead = numbers(B, L, P + K), numbers(B, H, K)
    beside[torch.rand(beside.shape, generator=generator) < 0.1] = torch.nan
    mean, deviation = torch.full((B,), 50.0, dtype=torch.float64), torch.full((B,), 6.0, dtype=torch.float64)
    return Batch(past, future, ends, beside, ahead, numbers(B, S), mean, deviation, torch.arange(1, B + 1))


def rows(batch: Batch, at: list[int]) -> Batch:
    return Batch(*(part[torch.tensor(at)] for part in batch))


@every_normalisation
@every_form
def test_losses_and_forecasts_are_numbers_whatever_is_missing(name: str, normalisation: str) -> None:
    model, batch = make(name, normalisation=normalisation).train(), windows([L, 5, 1, 8, L])
    batch.past[4] = torch.nan  # a window of nothing
    losses = model.loss(batch)
    losses.sum().backward()
    assert losses.shape == (5, H)
    assert ((losses == 0) == batch.future.isnan()).all()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    forecast = model.eval().forecast(batch)
    assert forecast.mean.shape == (5, H)
    assert forecast.quantiles.shape == (5, H, len(model.levels))
    assert torch.isfinite(forecast.mean).all()
    assert torch.isfinite(forecast.quantiles).all()
    assert (forecast.quantiles.diff(dim=-1) >= 0).all()


@every_form
def test_a_window_is_forecast_alone_as_among_others(name: str) -> None:
    model, batch = make(name), windows([L, 5, 1, 8])
    together, losses = model.forecast(batch), model.loss(batch)
    for row in range(4):
        alone = model.forecast(rows(batch, [row]))
        torch.testing.assert_close(alone.mean[0], together.mean[row])
        torch.testing.assert_close(alone.quantiles[0], together.quantiles[row])
        torch.testing.assert_close(model.loss(rows(batch, [row]))[0], losses[row])


@every_form
def test_what_lies_beyond_a_row_and_the_truth_change_no_forecast(name: str) -> None:
    model, batch = make(name), windows([L, 5, 1, 8])
    expected = model.forecast(batch)
    beyond = torch.arange(L) >= batch.lengths[:, None]
    other = batch._replace(
        past_exogenous=batch.past_exogenous.where(~beyond[..., None], 1e9),
        future=torch.full_like(batch.future, 1e9),
    )
    found = model.forecast(other)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0, atol=0)
    torch.testing.assert_close(found.quantiles, expected.quantiles, rtol=0, atol=0)


@every_form
def test_every_step_of_the_window_and_every_exogenous_number_counts(name: str) -> None:
    model, batch = make(name), windows([L, 5])
    inputs = [part.nan_to_num().requires_grad_() for part in (batch.past, *batch[3:6])]
    tensors = dict(zip(("past", "past_exogenous", "future_exogenous", "static"), inputs, strict=True))
    given = batch._replace(future=torch.randn(2, H).double(), **tensors)
    given = given._replace(past=tensors["past"].where(torch.arange(L) < batch.lengths[:, None], torch.nan))
    gradients = torch.autograd.grad(model.loss(given).sum(), inputs)
    there = torch.arange(L) < batch.lengths[:, None]
    for gradient in gradients[:2]:
        seen = gradient if gradient.dim() == 2 else gradient.abs().sum(-1)
        assert ((seen != 0) == there).all()
    assert gradients[2].all()
    assert gradients[3].all()


@pytest.mark.parametrize("name", ["gru, segments", "direct", "attention"])
@pytest.mark.parametrize("normalisation", ["last", "mean"])
def test_a_forecast_moves_with_its_window(name: str, normalisation: str) -> None:
    model, batch = make(name, (0, 0, 0), normalisation=normalisation), windows([L, 5], (0, 0, 0))
    expected, moved = model.forecast(batch), model.forecast(batch._replace(past=batch.past + 100))
    torch.testing.assert_close(moved.mean, expected.mean + 100)
    torch.testing.assert_close(moved.quantiles, expected.quantiles + 100)
    if normalisation == "mean":
        grown = model.forecast(batch._replace(past=batch.past * 8)).mean
        torch.testing.assert_close(grown, expected.mean * 8)


@pytest.mark.parametrize("kind", ["gru", "lstm", "elman", "transformer"])
def test_reading_step_by_step_equals_reading_whole(kind: str) -> None:
    """A likelihood forecaster's state contract, and its distributions are those of teacher forcing."""
    options = CAUSAL if kind == "transformer" else {"num_layers": 2}
    model = (
        SeriesForecaster(kind, L, H, form="likelihood", distribution="student_t", hidden_size=8, **options)
        .double()
        .eval()
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    steps = torch.randn(3, 11, 2, dtype=torch.float64)
    whole, after = model.read(steps)
    state, pieces = None, []
    for at in range(11):
        raw, state = model.read(steps[:, at : at + 1], state)
        pieces.append(raw)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    assert state is not None
    for one, other in zip(leaves(state), leaves(after), strict=True):
        torch.testing.assert_close(one, other)
    batch = windows([L, 5], (0, 0, 0))._replace(future=torch.randn(2, H, dtype=torch.float64))
    raw = model(batch)
    first = torch.cat((batch.past[0], batch.future[0]))
    scaling = model.units(batch).window
    normalised = scaling.normalise(torch.stack((first, first)))[0]
    channels = torch.stack((normalised.nan_to_num(), normalised.isnan().double()), dim=1)
    torch.testing.assert_close(model.read(channels[None, :-1])[0][0, L - 1 :], raw[0])


@torch.no_grad()
def test_samples_are_drawn_value_by_value() -> None:
    """A model whose mean is the value before: its forecast is a random walk, as wide as the root of the steps."""
    own = {"form": "likelihood", "distribution": "gaussian", "samples": 400, "normalisation": "none"}
    model = SeriesForecaster("elman", L, H, hidden_size=1, **own).double().eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.zero_()
    model.encoder.layers[0].weight_ih_l0[0, 0] = 0.01  # h = tanh(x / 100)
    model.head.weight[0, 0] = 100.0
    model.head.bias[1] = -1.0
    batch = windows([L], (0, 0, 0))
    batch = batch._replace(past=batch.past.nan_to_num(0.5))
    mean, samples = draw(model, batch, model.units(batch))
    assert mean[0, 0].item() == pytest.approx(batch.past[0, -1].item(), abs=0.01)
    torch.testing.assert_close(mean[0, 1:], samples[0, :-1].mean(-1), atol=0.02, rtol=0.05)
    deviation = samples[0].std(-1)
    assert (deviation[6] / deviation[0]).item() == pytest.approx(7**0.5, rel=0.1)


def test_the_negative_binomial_gives_counts() -> None:
    model, batch = make("negative_binomial"), windows([L, 5])
    quantiles = model.forecast(batch).quantiles * 6 + 50
    torch.testing.assert_close(quantiles, quantiles.round().clamp(min=0), rtol=0, atol=0.51)
    units = model.units(batch)
    drawn = draw(model, batch, units)[1] * 6 + 50
    torch.testing.assert_close(drawn, drawn.round(), rtol=0, atol=1e-9)
    assert (drawn.round() >= 0).all()


@every_form
def test_truncation_cuts_gradients_and_changes_no_loss(name: str) -> None:
    model, batch = make(name), windows([L, 5, 1, 8])
    if not model.encoder.causal:
        with pytest.raises(UserError, match="k2"):
            model.loss(batch, k2=3)
        return
    whole = model.loss(batch)
    cut = model.loss(batch, k2=4)
    torch.testing.assert_close(cut, whole)
    first, second = (torch.autograd.grad(each.sum(), list(model.encoder.parameters())[1])[0] for each in (whole, cut))
    assert not torch.allclose(first, second) or name == "attention, student_t"


def test_widths_move_the_quantiles_and_travel_with_the_weights() -> None:
    model, batch = make("levels"), windows([L, 5])
    before = model.forecast(batch)
    model.widths[2] = 3.0
    after = model.forecast(batch)
    middle = before.quantiles[:, 2, 2:3]
    torch.testing.assert_close(after.quantiles[:, 2], middle + 3 * (before.quantiles[:, 2] - middle))
    torch.testing.assert_close(after.mean, before.mean)
    again = build_forecaster(model.config).double()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval().forecast(batch).quantiles, after.quantiles, rtol=0, atol=0)


def test_a_series_has_its_own_embedding_and_others_that_of_none() -> None:
    model, batch = make("identities"), rows(windows([L]), [0, 0, 0, 0])
    batch = batch._replace(identity=torch.tensor([1, 2, 0, 5]))  # the model has 4
    forecast = model.forecast(batch).mean
    assert (forecast[0] != forecast[1]).all()
    assert (forecast[0] != forecast[2]).all()
    torch.testing.assert_close(forecast[3], forecast[2])
    model.train().loss(rows(batch._replace(identity=torch.full((4,), 3)), [0] * 200)).sum().backward()
    gradient = model.identity.weight.grad.abs().sum(1)
    assert (gradient > 0).tolist() == [True, False, False, True, False]


def test_segments_end_with_the_last_step_of_their_row() -> None:
    values = torch.arange(1.0, 11.0).view(1, 5, 2).repeat(2, 1, 1)
    segments, lengths = in_segments(values, torch.tensor([5, 2]), 3)
    assert lengths.tolist() == [2, 1]
    assert segments[0].tolist() == [[0, 1, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]]  # the first step is missing
    assert segments[1, 0].tolist() == [0, 1, 1, 2, 3, 4]


def test_the_future_is_joined_behind_each_past() -> None:
    past, future = torch.arange(1.0, 7.0).view(2, 3, 1), torch.tensor([[[10.0], [11.0]], [[20.0], [21.0]]])
    assert joined(past, future, torch.tensor([3, 1]))[..., 0].tolist() == [[1, 2, 3, 10, 11], [4, 20, 21, 0, 0]]


@pytest.mark.parametrize(
    ("kind", "settings", "match"),
    [
        ("perceptron", {}, "model: expected"),
        ("gru", {"levels": (0.5, 0.1, 0.9)}, "rise"),
        ("gru", {"levels": (0.25, 0.5, 0.75)}, "among them"),
        ("gru", {"form": "likelihood", "distribution": "quantiles"}, "sample from"),
        ("gru", {"form": "likelihood", "distribution": "gaussian", "segment": 4}, "step by step"),
        ("gru", {"form": "segment", "bidirectional": True}, "both directions"),
        ("transformer", {"form": "segment", "is_causal": True}, "direct or likelihood"),
        ("transformer", {"form": "likelihood", "distribution": "gaussian"}, "both directions"),
    ],
)
def test_settings_that_do_not_fit_are_refused(kind: str, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        SeriesForecaster(kind, L, H, **settings)

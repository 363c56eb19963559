"""Forecasters as graphs in onnxruntime: numbers in the units of the data in and out, against the model in its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from elman.data.windows import WindowBatch
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import DISTRIBUTIONS
from graphs import Opened, arrays, assert_close, assert_equal_states, assert_trial, run_of

pytest.importorskip("onnxruntime")
L, H = 12, 5
CHANNELS = (2, 1, 3)  # of a numeric static column and one of two words
COLUMNS = {"past 0": (3.0, 2.0), "past 1": (-1.0, 0.5), "ahead": (10.0, 4.0), "size": (2.0, 3.0)}
CONSTANT = np.array([COLUMNS["size"], (0.0, 1.0), (0.0, 1.0)])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def run(kind: str, channels: tuple[int, int, int], **options: Any) -> Any:
    model = SeriesForecaster(kind, L, H, channels=channels, series=4, hidden_size=8, num_layers=2, **options)
    model.widths.copy_(torch.rand(model.widths.shape) * 3)  # so wide and narrow that quantiles would cross
    some = any(channels)
    scaler = SimpleNamespace(columns=COLUMNS if some else {}, words={"shop": ("x", "y")} if some else {})
    return run_of(model, scaler=scaler, columns=SimpleNamespace(static=("size", "shop") if some else None))


def windows(B: int, T: int, channels: tuple[int, int, int], lengths: np.ndarray | None) -> WindowBatch:
    random = np.random.default_rng(B * T)
    ends = np.full(B, T) if lengths is None else lengths

    def drawn(*shape: int) -> Tensor:
        numbers = random.normal(size=shape).astype(np.float32)
        numbers[random.random(shape) < 0.15] = np.nan
        return torch.from_numpy(numbers)

    past = drawn(B, T).masked_fill(torch.arange(T) >= torch.from_numpy(ends)[:, None], torch.nan)
    P, K, S = channels
    mean, deviation = drawn(B).nan_to_num(), drawn(B).nan_to_num().mul(0.3).exp()
    known = drawn(B, T, P + K), drawn(B, H, K), drawn(B, S).nan_to_num()
    identity = torch.arange(B) * 3 % 7  # some are of series that the training did not have
    series = torch.arange(B)
    return WindowBatch(past, drawn(B, H), torch.from_numpy(ends), *known, mean, deviation, series, identity)


def raw(numbers: Tensor, scales: Any) -> np.ndarray:
    """Numbers (…, n) in the units of the data, by their scales (n, 2)."""
    mean, deviation = np.array(list(scales), np.float64).reshape(-1, 2).T
    return (numbers.double().numpy() * deviation + mean).astype(np.float32)


def feeds_of(batch: WindowBatch, channels: tuple[int, int, int]) -> dict[str, np.ndarray]:
    P, K, _ = channels
    names = list(COLUMNS)[: P + K]
    value = (batch.past * batch.deviation[:, None] + batch.mean[:, None]).numpy()
    other = raw(batch.past_exogenous, [COLUMNS[name] for name in names])
    return {
        "values": np.concatenate([value[..., None], other], 2),
        "mean": batch.mean.numpy(),
        "deviation": batch.deviation.numpy(),
        "future_values": raw(batch.future_exogenous, [COLUMNS[name] for name in names[P:]]),
        "static": raw(batch.static, CONSTANT[: batch.static.shape[1]]),
        "identity": batch.identity.numpy(),
        "lengths": batch.lengths.numpy(),
    }


FORMS: dict[str, dict[str, Any]] = {
    "direct": {},
    "segments, direct": {"segment": 3},
    "both directions": {"segment": 5, "bidirectional": True},
    "segment": {"form": "segment", "segment": 3, "identities": True},
    "segment of one": {"form": "segment"},
}


@pytest.mark.parametrize("normalisation", ["last", "mean", "none"])
@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_quantiles(form: str, normalisation: str) -> None:
    for channels in ((0, 0, 0), CHANNELS):
        made = run("gru", channels, normalisation=normalisation, levels=(0.1, 0.3, 0.5, 0.9), **FORMS[form])
        for lengths in (False, True):
            opened = Opened(made, lengths=lengths)
            for B, T in ((1, 1), (3, L), (2, 7)):
                batch = windows(B, T, channels, np.random.default_rng(T).integers(1, T + 1, B) if lengths else None)
                found, _ = opened.step(feeds_of(batch, channels))
                location, scale = batch.mean[:, None, None], batch.deviation[:, None, None]
                told, learnt = made.model.forecast(batch), made.model.forecast(batch, calibrated=False)
                wanted = torch.cat((told.mean[..., None], told.quantiles), 2)
                assert_close(found["forecast"], location + scale * wanted, 3e-5)
                assert_close(found["quantiles"], location + scale * learnt.quantiles, 3e-5)
            assert_trial(opened)


@pytest.mark.parametrize("is_causal", [False, True])
@torch.no_grad()
def test_a_transformer_reads_a_window(is_causal: bool) -> None:
    made = run("transformer", CHANNELS, is_causal=is_causal, window=4 if is_causal else None)
    batch = windows(3, L, CHANNELS, None)
    found, _ = Opened(made).step(feeds_of(batch, CHANNELS))
    wanted = batch.mean[:, None] + batch.deviation[:, None] * made.model.forecast(batch).mean
    assert_close(found["forecast"][..., 0], wanted, 3e-5)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("form", ["direct", "segment"])
@torch.no_grad()
def test_parameters_of_a_distribution(form: str, distribution: str) -> None:
    made = run("lstm", CHANNELS, form=form, distribution=distribution)
    opened = Opened(made)
    batch = windows(3, L, CHANNELS, None)
    found, _ = opened.step(feeds_of(batch, CHANNELS))
    model, units = made.model, made.model.units(batch)
    mean = batch.mean[:, None] + batch.deviation[:, None] * model.output.mean(model(batch), units)
    assert_close(found["parameters"][..., 0], mean, 3e-5)
    assert_trial(opened)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("kind", ["gru", "transformer"])
@torch.no_grad()
def test_the_form_likelihood_goes_step_by_step(kind: str, distribution: str) -> None:
    """Every parameter is that which the model's loss takes, and the state after each piece is the model's."""
    way = {"is_causal": True} if kind == "transformer" else {}
    made = run(kind, CHANNELS, form="likelihood", distribution=distribution, **way)
    opened, model, batch = Opened(made), made.model, windows(3, L, CHANNELS, None)
    units = model.units(batch)
    steps, _ = model.inputs(batch)
    value = steps[..., 0].masked_fill(steps[..., 1] > 0, torch.nan)
    names = [*list(COLUMNS.values())[:3], *CONSTANT]
    values = np.concatenate([units.data.restore(value).numpy()[..., None], raw(steps[..., 2:], names)], 2)
    location, scale = (part[:, 0].numpy() for part in units.data)
    memory = model.encoder.initial_state(3)
    state = arrays(memory)
    for begin, end in ((0, 4), (4, 5), (5, L)):
        numbers, memory = model.read(steps[:, begin:end], memory)
        feeds = {"values": values[:, begin:end], "location": location, "scale": scale}
        found, state = opened.step(feeds, state)
        assert_equal_states(state, memory)
        target = torch.randn(3, end - begin)
        wanted = model.output.losses(numbers, target, units)
        assert_close(nats(distribution, found["parameters"], target, batch, units), wanted.double(), 1e-4)
    assert_trial(opened)


def nats(kind: str, parameters: np.ndarray, target: Tensor, batch: WindowBatch, units: Any) -> np.ndarray:
    """−ln p of targets in the units of the model, by parameters in those of the data."""
    from torch.distributions import NegativeBinomial, Normal, StudentT

    first, second, *third = torch.from_numpy(parameters).double().unbind(-1)
    value = batch.mean[:, None] + batch.deviation[:, None] * target
    if kind == "negative_binomial":
        count = units.data.restore(units.window.normalise(target)).round().clamp(min=0)
        return -NegativeBinomial(second, logits=(first / second).log()).log_prob(count.double()).numpy()
    made = StudentT(third[0], first, second) if third else Normal(first, second)
    return (-made.log_prob(value.double()) - batch.deviation[:, None].double().log()).numpy()


def test_a_constant_series_and_a_window_without_a_value() -> None:
    """A deviation of 0 stands for 1, and what is missing everywhere has finite forecasts."""
    made = run("gru", (0, 0, 0), normalisation="mean")
    batch = windows(2, 7, (0, 0, 0), None)
    batch = batch._replace(past=torch.full((2, 7), torch.nan), deviation=torch.zeros(2))
    found, _ = Opened(made).step(feeds_of(batch, (0, 0, 0)))
    wanted = batch.mean[:, None] + made.model.forecast(batch).mean
    assert_close(found["forecast"][..., 0], wanted, 3e-5)


def test_columns_are_in_the_answer() -> None:
    answer = Opened(run("gru", CHANNELS)).drawing.answer
    static = [{"name": "size", "words": None}, {"name": "shop", "words": ["x", "y"]}]
    assert answer["columns"] == {"past": ["past 0", "past 1"], "future": ["ahead"], "static": static}
    assert answer["middle"] == 1
    assert np.array(answer["widths"]).shape == (H, 3)

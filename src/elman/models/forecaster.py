"""Forecasters: a sequence encoder that reads the window of a series, and writes the steps to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.models.configuration import IMPORTED
from elman.models.conformal import widened
from elman.models.constructor import checked, configure
from elman.models.encoder import make_encoder
from elman.models.forecaster_forms import FORMS, draw, steps_of
from elman.models.forecaster_settings import FORECASTER_SETTINGS, LEVELS
from elman.models.likelihoods import DISTRIBUTIONS, Distribution, Output, Quantiles, Units, anchor, sampling_noise
from elman.models.window_tensors import WindowTensors, in_segments, value_and_missing
from elman.nn.sequences import Lengths, Resets
from elman.nn.window_normalisation import Scaling, window_scaling
from elman.state import State


class Forecast(NamedTuple):
    """The steps to come of B windows, in the units of the windows.

    >>> made = Forecast(mean=torch.zeros(1, 2), quantiles=torch.tensor([[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]]]))
    >>> low, high = made.quantiles[..., 0], made.quantiles[..., -1]
    >>> (high - low).tolist()  # the further ahead, the wider
    [[2.0, 4.0]]
    """

    mean: Tensor  # (B, H)
    quantiles: Tensor  # (B, H, Q), rising


class SeriesForecaster(nn.Module):
    """One model for all series, in one of three forms.

    Each window is brought to the units of its own scaling (`normalisation`), and forecasts are brought back. A step's
    channels are its value (0 where it is missing), whether it is missing, and the exogenous numbers of the step.

    - `direct`: an encoder reads the window, and a linear layer writes the horizon from its last hidden state.
    - `segment`: each segment of w steps is embedded, and a recurrent network steps over the segments. Each future
      segment is one more step from the state after the window, whose input is an embedding of its position, so that
      all are decoded in parallel (Lin et al. 2023, "SegRNN", arXiv:2308.11200):

          x_i = relu(W_x s_i + b)             i = 1 … n        h_i = cell(x_i, h_{i−1})
          ŷ_j = W_y cell(p_j, h_n) + b        j = 1 … m

    - `likelihood`: the network reads the series step by step, and each hidden state gives the distribution of the next
      value; forecasts are drawn value by value (Salinas et al. 2020, "DeepAR", arXiv:1704.04110).

    `SeriesForecaster("gru", past_steps, horizon, channels=(P, K, S))`: so many exogenous numbers are known of the past
    alone, of the steps to come too, and of a series as a whole. Missing ones count as 0. The buffer `widths` is fitted
    on validation data (`elman.models.conformal`).

    With `identities`, the form segment adds an embedding of each of the `series` of the training to its positions; a
    series that the training did not have has the embedding of none, which training learns from a tenth of its windows.

    >>> from elman.data.windows import WindowBatch
    >>> model, zeros, count = SeriesForecaster("gru", 24, 6, hidden_size=8), torch.zeros(5, 24, 0), torch.full((5,), 24)
    >>> windows = WindowBatch(  # five windows without exogenous numbers, in the units of the data
    ...     past=torch.randn(5, 24), future=torch.full((5, 6), torch.nan), lengths=count, past_exogenous=zeros,
    ...     future_exogenous=zeros[:, :6], static=zeros[:, 0], mean=torch.zeros(5), deviation=torch.ones(5),
    ...     series=count, identity=count,
    ... )
    >>> made = model.forecast(windows)
    >>> made.mean.shape, made.quantiles.shape
    (torch.Size([5, 6]), torch.Size([5, 6, 3]))
    """

    memory_part: ClassVar[str] = "encoder"
    settings: Any  # of `FORECASTER_SETTINGS`; every setting is an attribute of the model too
    widths: Tensor  # (H, Q)

    def __init__(
        self,
        kind: str,
        /,
        past_steps: int,
        horizon: int,
        *,
        channels: Sequence[int] = (0, 0, 0),
        series: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__()
        if kind not in FORECASTER_SETTINGS:
            raise UserError("model", expected=" or ".join(FORECASTER_SETTINGS), got=repr(kind))
        settings |= {"levels": tuple(settings.get("levels", LEVELS))}  # JSON has lists alone
        own: Any = configure(self, kind, cast(Any, FORECASTER_SETTINGS[kind]), settings)
        self.past_steps, self.horizon = checked(past_steps, int, "past_steps"), checked(horizon, int, "horizon")
        self.channels = P, K, S = tuple(channels)
        self.series = checked(series, int, "series")
        self.output: Output
        if own.learnt == "quantiles":
            self.output = Quantiles(own.levels, own.point_loss)
        else:
            self.output = DISTRIBUTIONS[own.learnt]()
        H, w, out, read = own.hidden_size, own.segment, self.output.size, 2 + P + K
        if own.form == "segment":
            self.embedding = nn.Linear(w * read, H)
            self.encoder = make_encoder(kind, H, own)
            self.positions = nn.Embedding(-(-horizon // w), H)
            self.known = nn.Linear(w * K + S, H, bias=False) if K or S else None
            self.identity = nn.Embedding(1 + self.series, H) if own.identities else None
            self.head = nn.Linear(H, w * out)
        elif own.form == "direct":
            self.encoder = make_encoder(kind, w * read, own)
            self.head = nn.Linear(H + horizon * K + S, horizon * out)
        else:
            self.encoder = make_encoder(kind, read + S, own)
            self.head = nn.Linear(H, out)
        self.register_buffer("widths", torch.ones(horizon, len(own.levels)))
        self._reset_parameters()

    @torch.no_grad()
    def _reset_parameters(self) -> None:
        """Embeddings of segments begin with about unit variance; the head is small, so that forecasts begin level."""
        if self.form == "segment":
            nn.init.normal_(self.embedding.weight, std=(2 / self.embedding.in_features) ** 0.5)
            nn.init.zeros_(self.embedding.bias)
        nn.init.normal_(self.head.weight, std=0.1 * self.head.in_features**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: WindowTensors, *, k2: int | None = None) -> Tensor:
        """The numbers (B, horizon, size) of each step to come, for `output`, in the units of each window's scaling.

        In the form likelihood, each step is told the true values before it (teacher forcing). With `k2`, no gradient
        flows back over more than so many steps.
        """
        raw = FORMS[self.form](self, batch, None if k2 is None else max(1, k2 // self.segment))
        return raw.to(batch.past.dtype)  # another one under autocast

    def loss(self, batch: WindowTensors, *, k2: int | None = None) -> Tensor:
        """The loss (B, horizon) of each target that is known; 0 for the others."""
        return self._losses(self(batch, k2=k2), batch, self.units(batch))

    def _losses(self, raw: Tensor, batch: WindowTensors, units: Units) -> Tensor:
        known = ~batch.future.isnan()
        return self.output.losses(raw, batch.future.where(known, 0), units).where(known, 0)

    def means(self, batch: WindowTensors) -> Tensor:
        """The mean (B, horizon) of each step, with its graph; in the form likelihood, given the true values before."""
        return self.output.mean(self(batch), self.units(batch))

    @torch.no_grad()
    def forecast(self, batch: WindowTensors, *, calibrated: bool = True) -> Forecast:
        """The mean and the quantiles at `levels`, in the units of the windows; each row by itself.

        Quantiles that are `calibrated` are moved by `widths`; the others are as the model learnt them.
        """
        made = self._forecast(batch, self.units(batch))
        return (
            made._replace(quantiles=widened(made.quantiles, self.widths, anchor(self.levels))) if calibrated else made
        )

    @torch.no_grad()
    def loss_and_forecast(self, batch: WindowTensors) -> tuple[Tensor, Forecast]:
        """`loss`, and `forecast` without calibration, from one reading of the windows.

        In the form likelihood there are two: its loss reads the true values, its forecast what it draws.
        """
        units, raw = self.units(batch), self(batch)
        return self._losses(raw, batch, units), self._forecast(batch, units, raw)

    def _forecast(self, batch: WindowTensors, units: Units, raw: Tensor | None = None) -> Forecast:
        if self.form == "likelihood":
            mean, samples = draw(self, batch, units)
        else:
            raw = self(batch) if raw is None else raw
            mean = self.output.mean(raw, units)
            if isinstance(self.output, Quantiles):
                return Forecast(mean, self.output.quantiles(raw, units))
            noise = sampling_noise(self.horizon, self.samples, like=raw)
            samples = cast(Distribution, self.output).sample(raw[:, :, None], noise, units.unsqueeze())
        levels = samples.new_tensor(self.levels)
        return Forecast(mean, samples.quantile(levels, dim=-1).movedim(0, -1))

    def units(self, batch: WindowTensors) -> Units:
        """What the numbers of each window mean."""
        window = window_scaling(self.normalisation, batch.past, ~batch.past.isnan())
        deviation = batch.deviation.where(batch.deviation > 0, 1)[:, None]
        return Units(window, Scaling(batch.mean[:, None] + deviation * window.location, deviation * window.scale))

    # Reading the window

    def inputs(self, batch: WindowTensors) -> tuple[Tensor, Tensor]:
        """What the encoder reads of the windows: its inputs (B, n, ·), and how many each row has (B,)."""
        past = window_scaling(self.normalisation, batch.past, ~batch.past.isnan()).normalise(batch.past)
        if self.form == "likelihood":
            return steps_of(self, batch, past), batch.lengths
        steps = torch.cat((value_and_missing(past), batch.past_exogenous.nan_to_num()), dim=2)
        values, lengths = in_segments(steps, batch.lengths, self.segment)
        return F.relu(self.embedding(values)) if self.form == "segment" else values, lengths

    # Going on step by step

    def read(
        self, steps: Tensor, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None
    ) -> tuple[Tensor, State]:
        """In the form likelihood: the numbers (B, T, size) of each next value, and the state after the steps.

        steps (B, T, C): a value, whether it is missing, what else is known of the step, then what is known ahead of the
        next step and of the series.
        """
        hidden, state = self.encoder(steps, state, lengths=lengths, resets=resets)
        return self.head(hidden), state

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices between hidden states."""
        return self.encoder.stacked_maps()

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which `build_forecaster` makes such a model again."""
        data = {"past_steps": self.past_steps, "horizon": self.horizon, "channels": list(self.channels)}
        data["series"] = self.series
        return {"model": self.kind, **data, **self.settings.model_dump(mode="json")}

    if TYPE_CHECKING:  # else mypy takes a setting for a tensor or a module, which torch.nn.Module finds by name

        def __getattr__(self, name: str) -> Any: ...


def build_forecaster(config: Mapping[str, Any]) -> SeriesForecaster:
    """Make the forecaster of a configuration: a kind under "model", and the arguments of `SeriesForecaster`.

    >>> model = build_forecaster({"model": "lstm", "past_steps": 28, "horizon": 7, "hidden_size": 8})
    >>> model.past_steps, model.horizon, model.levels
    (28, 7, (0.1, 0.5, 0.9))
    """
    arguments = dict(config)
    kind = arguments.pop("model", None)
    if kind == IMPORTED:
        from elman.models.layered_forecaster import LayeredForecaster

        return LayeredForecaster(**arguments)
    return SeriesForecaster(kind, **arguments)

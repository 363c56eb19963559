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
from elman.models.encoder import make_encoder, read_truncated
from elman.models.forecaster_settings import FORECASTER_SETTINGS, LEVELS
from elman.models.likelihoods import DISTRIBUTIONS, Distribution, Output, Quantiles, Units, anchor, sampling_noise
from elman.models.window_tensors import WindowTensors, in_segments, joined, ragged_lengths, value_and_missing
from elman.nn.sequences import Lengths, Resets
from elman.nn.window_normalisation import Scaling, window_scaling
from elman.state import State, select_rows

FORGOTTEN = 0.1  # of the windows of a training: the series that they are of


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
        forms = {"direct": self._direct, "segment": self._segments, "likelihood": self._teacher_forced}
        raw = forms[self.form](batch, None if k2 is None else max(1, k2 // self.segment))
        return raw.to(batch.past.dtype)  # another one under autocast

    def loss(self, batch: WindowTensors, *, k2: int | None = None) -> Tensor:
        """The loss (B, horizon) of each target that is known; 0 for the others."""
        known = ~batch.future.isnan()
        losses = self.output.losses(self(batch, k2=k2), batch.future.where(known, 0), self.units(batch))
        return losses.where(known, 0)

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

    def _forecast(self, batch: WindowTensors, units: Units) -> Forecast:
        if self.form == "likelihood":
            mean, samples = self._draw(batch, units)
        else:
            raw = self(batch)
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
            return self._steps(batch, past), batch.lengths
        steps = torch.cat((value_and_missing(past), batch.past_exogenous.nan_to_num()), dim=2)
        values, lengths = in_segments(steps, batch.lengths, self.segment)
        return F.relu(self.embedding(values)) if self.form == "segment" else values, lengths

    def _direct(self, batch: WindowTensors, k2: int | None) -> Tensor:
        values, lengths = self.inputs(batch)
        hidden, _ = read_truncated(self.encoder, values, k2, lengths=ragged_lengths(lengths, values))
        last = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]  # (B, H)
        known = batch.future_exogenous.nan_to_num().flatten(1)
        written: Tensor = self.head(torch.cat((last, known, batch.static.nan_to_num()), dim=1))
        return written.unflatten(1, (self.horizon, -1))

    def _segments(self, batch: WindowTensors, k2: int | None) -> Tensor:
        values, lengths = self.inputs(batch)
        _, state = read_truncated(self.encoder, values, k2, lengths=ragged_lengths(lengths, values))
        queries = self.positions.weight.expand(len(values), -1, -1)  # (B, m, H)
        _, m, H = queries.shape
        if self.known is not None:
            ahead = F.pad(batch.future_exogenous.nan_to_num(), (0, 0, 0, m * self.segment - self.horizon))
            static = batch.static.nan_to_num()[:, None].expand(-1, m, -1)
            queries = queries + self.known(torch.cat((ahead.reshape(len(ahead), m, -1), static), dim=2))
        if self.identity is not None:
            queries = queries + self.identity(self._identity(batch))[:, None]
        rows = torch.arange(len(values), device=values.device).repeat_interleave(m)
        hidden, _ = self.encoder(queries.reshape(-1, 1, H), select_rows(state, rows))  # each from the same state
        written: Tensor = self.head(hidden)
        return written.view(len(values), m * self.segment, -1)[:, : self.horizon]

    def _identity(self, batch: WindowTensors) -> Tensor:
        """The row (B,) of each window in the embedding of the series; in training, 0 is learnt from some of all."""
        known = batch.identity <= self.series
        if self.training:
            known &= torch.rand(known.shape, device=known.device) >= FORGOTTEN
        return batch.identity.where(known, 0)

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

    def _steps(self, batch: WindowTensors, values: Tensor) -> Tensor:
        """The steps (B, T, C) of `read` for values (B, T) that begin with the window; T ≤ L + horizon − 1."""
        P, T = self.channels[0], values.shape[1]
        ahead = batch.future_exogenous
        ahead = torch.cat((ahead.new_zeros(*ahead.shape[:2], P), ahead), dim=2)
        other = joined(batch.past_exogenous, ahead, batch.lengths).nan_to_num()  # (B, L + horizon, P + K)
        static = batch.static.nan_to_num()[:, None].expand(-1, T, -1)
        return torch.cat((value_and_missing(values), other[:, :T, :P], other[:, 1 : T + 1, P:], static), dim=2)

    def _teacher_forced(self, batch: WindowTensors, k2: int | None) -> Tensor:
        scaling = self.units(batch).window
        past, future = (scaling.normalise(part)[..., None] for part in (batch.past, batch.future))
        values = joined(past, future, batch.lengths)[:, :-1, 0]
        lengths = batch.lengths + self.horizon - 1
        raw = self.head(read_truncated(self.encoder, self._steps(batch, values), k2, lengths=lengths)[0])
        at = batch.lengths[:, None] - 1 + torch.arange(self.horizon, device=raw.device)  # (B, horizon)
        return raw.take_along_dim(at[..., None], dim=1)

    def _draw(self, batch: WindowTensors, units: Units) -> tuple[Tensor, Tensor]:
        """The mean (B, horizon), and samples (B, horizon, S)."""
        output, B, S = cast(Distribution, self.output), len(batch.past), self.samples
        noise = sampling_noise(self.horizon, S, like=batch.past)
        steps, lengths = self.inputs(batch)
        raw, state = self.read(steps, lengths=lengths)
        rows = torch.arange(B, device=raw.device)
        raw = raw[rows, batch.lengths - 1][:, None].expand(-1, S, -1)  # (B, S, size)
        state = select_rows(state, rows.repeat_interleave(S))
        known = F.pad(batch.future_exogenous.nan_to_num(), (0, 0, 0, 1))  # of the step after the last, nothing
        constant = [batch.past.new_zeros(B, self.channels[0]), batch.static.nan_to_num()]
        means, samples = [], []
        for step in range(self.horizon):
            means.append(output.mean(raw, units).mean(1))
            samples.append(output.sample(raw, noise[step], units))
            value = units.window.normalise(samples[-1])[..., None]  # (B, S, 1)
            others = torch.cat((torch.zeros(B, 1).to(value), constant[0], known[:, step + 1], constant[1]), dim=1)
            steps = torch.cat((value, others[:, None].expand(-1, S, -1)), dim=2)
            raw, state = self.read(steps.view(B * S, 1, -1), state)
            raw = raw.view(B, S, -1)
        return torch.stack(means, dim=1), torch.stack(samples, dim=1)

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

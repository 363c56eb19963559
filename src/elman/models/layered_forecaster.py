"""A model of another framework as a forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.configuration import IMPORTED, ImportedSettings
from elman.models.forecaster import SeriesForecaster
from elman.models.forecaster_settings import LEVELS
from elman.models.layered import LayeredModel
from elman.models.layered_scores import check_network, read_in_pieces
from elman.models.likelihoods import PointForecast
from elman.models.window_tensors import WindowTensors, ragged_lengths
from elman.nn.sequences import Lengths


class LayeredForecaster(SeriesForecaster):
    """A `LayeredModel` that reads a series of one channel and gives the steps to come.

    `model(values)[0]`, of values (B, T, 1), is the framework's own output; of windows the call gives that after the
    newest step. Values are in the units of the data, and a missing one is read as 0. There are no quantiles before a
    validation: `widths` begin as 0. Raises `UserError` where the layers do not fit.
    """

    memory_part: ClassVar[str] = "network"

    def __init__(
        self, *, past_steps: int, horizon: int, network: Mapping[str, Any], channels: Sequence[int] = (0, 0, 0),
        series: int = 0,
    ) -> None:  # fmt: skip
        nn.Module.__init__(self)
        self.kind, self.settings = IMPORTED, ImportedSettings(network=dict(network))
        self.network = LayeredModel(network)
        self.past_steps, self.horizon, self.channels, self.series = past_steps, horizon, tuple(channels), series
        if self.channels != (0, 0, 0):
            raise UserError("channels", expected="no further columns", got=self.channels)
        check_network(self.network, input={"kind": "values", "channels": 1}, outputs=horizon)
        self.form, self.segment, self.normalisation, self.levels = "direct", 1, "none", LEVELS
        self.samples, self.identities = 0, False
        self.output = PointForecast(LEVELS, "mse")
        self.register_buffer("widths", torch.zeros(horizon, len(LEVELS)))

    def forward(self, batch: Any, *, k2: int | None = None, lengths: Lengths = None) -> Any:
        """Of values (B, T, 1) the framework's own output, and the state; of windows the numbers (B, horizon, 1)."""
        if not hasattr(batch, "past"):
            return self.network(batch, lengths=lengths)
        values, ends = self.inputs(batch)
        whole = ragged_lengths(ends, values)
        made, _ = read_in_pieces(self.network, self.network, values, k2 or values.shape[1], whole)
        if self.network.config["per_step"]:
            made = made[torch.arange(len(made), device=made.device), ends - 1]
        return made[..., None].to(batch.past.dtype)

    def inputs(self, batch: WindowTensors) -> tuple[Tensor, Tensor]:
        """The values (B, L, 1) of the windows, and how many each row has (B,)."""
        return batch.past.nan_to_num()[..., None], batch.lengths

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the recurrent layers."""
        return self.network.stacked_maps()

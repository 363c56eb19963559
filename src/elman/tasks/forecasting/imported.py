"""A model of another framework as a forecaster."""

from __future__ import annotations

import numpy as np

from elman.data.series_columns import SeriesColumns
from elman.data.series_scaler import SeriesScaler
from elman.errors import UserError
from elman.metrics.forecasts import LEVELS
from elman.models.configuration import IMPORTED
from elman.models.layered import LayeredModel
from elman.tasks.exchange import Adopted, Codec, Particulars
from elman.tasks.forecasting.baselines import NAMES, Baselines

HORIZONS, LEAST = 4, 24  # that a window holds where nobody says how long it is, and its steps at least


def recognises(network: LayeredModel) -> str | None:
    """Numbers after one channel."""
    config = network.config
    if config["output_kind"] != "numbers" or config["input"].get("channels") != 1:
        return None
    return f"it reads a series of one channel, and gives {config['outputs']:,} numbers"


def adopt(network: LayeredModel, said: Particulars) -> Adopted:
    """The layers, which forecast as many steps as they have outputs. Raises `UserError` where they do not fit."""
    config = network.config
    channels = config["input"].get("channels")
    if channels != 1 or config["output_kind"] == "probabilities":
        got = "tokens" if channels is None else f"{channels} channels and {config['output_kind']}"
        raise UserError("the model", expected="a series of one channel, and numbers", got=got)
    for name in ("labels", "tokenizer"):
        if getattr(said, name) is not None:
            raise UserError(name, expected="none of a forecaster", got="some")
    H = config["outputs"]
    window = said.window or max(HORIZONS * H, LEAST)
    spread = {name: np.zeros((H, len(LEVELS))) for name in NAMES}
    codecs: dict[str, Codec] = {
        "scaler": SeriesScaler(1, {}, raw=True),
        "columns": SeriesColumns(past=(), static=()),
        "baselines": Baselines(1, np.zeros((window + 1, H)), spread),
    }
    notes = [
        "values are read as they are given: scale them as in the model's training",
        "the model has no quantiles: they are the forecast itself until it is trained (elman train --from)",
    ]
    if said.window is None:
        notes.append(f"nobody says how many steps of a series it reads (--window): {window}")
    made = {
        "model": IMPORTED,
        "past_steps": window,
        "horizon": H,
        "channels": [0, 0, 0],
        "series": 0,
        "network": config,
    }
    return Adopted(made, codecs, notes)

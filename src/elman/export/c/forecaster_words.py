"""What the header of a forecaster says of its functions, and what makes a fresh state of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman.export.c.interface import Init
from elman.models.forecaster import SeriesForecaster

NAMED = 12  # series whose scales the header lists


def init(codecs: Mapping[str, Any], identity: bool) -> Init:
    """What a fresh state needs: the scale of the series and, with `identity`, its place."""
    names = ["mean", "deviation"] + ["identity"] * identity
    arguments = [f"{'int' if name == 'identity' else 'double'} {name}" for name in names]
    words = "A fresh memory of a series, of which the mean and the deviation are those of the steps known at training"
    scales: Mapping[str, Sequence[float]] = codecs["scaler"].scales if "scaler" in codecs else {}
    known = [f"{name!r} {mean!r}, {deviation!r}" for name, (mean, deviation, _) in list(scales.items())[:NAMED]]
    if known:
        words += f" ({'; '.join(known)}{'; and others in scaler.json' * (len(scales) > NAMED)})"
    if identity:
        words += "; identity is the place of the series among those, from 1, and 0 for any other"
    gets = "".join(f"{argument}; GET({name}); " for argument, name in zip(arguments, names, strict=True))
    return Init(
        words=f"{words}.",
        arguments=tuple(arguments),
        lines=tuple(f"state->{name} = {name};" for name in names),
        call=f"{gets}PREFIX_init(&state, {', '.join(names)});",
    )


def push_words(codecs: Mapping[str, Any]) -> str:
    """What a step of the series is."""
    columns = codecs.get("columns")
    further = [*columns.past, *columns.future] if columns is not None else []
    rest = f", then of {', '.join(further)}" if further else ""
    return f"A step of the series, in the units of the data: its value{rest}. NaN is a missing number."


def forecast_words(model: SeriesForecaster, codecs: Mapping[str, Any]) -> str:
    """What goes in and comes out of a forecast."""
    columns, (_, K, S) = codecs.get("columns"), model.channels
    levels = ", ".join(f"{level:g}" for level in model.levels)
    words = "The mean of each of the PREFIX_HORIZON steps after the last that was pushed (one at least), and the "
    words += f"quantiles at {levels} of each, in the units of the data."
    if K:
        named = f", {', '.join(columns.future)}," if columns is not None else ""
        words += f" ahead: the columns that are known{named} of each of these steps."
    if S:
        named = f": {', '.join(columns.static)}; of a word 0 or 1 for each" if columns is not None else ""
        words += f" constant: what is known of the series as a whole{named}."
    return words

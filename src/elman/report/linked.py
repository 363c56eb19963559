"""A text, the memory of a model over it, and the gates of one unit, which show each other's places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from elman.report.chart import Chart, Coarse, Half, finite
from elman.report.figure import Cell, Figure, Table
from elman.report.heatmap import heatmap
from elman.report.names import visible
from elman.report.texts import strip

Matrix = npt.NDArray[np.floating]
MOST = 0.98  # of a map's values are within full colour, unless a limit is given
DRAWN = 32  # units of the drawing and of the table, and of the maps until one asks for all


def reading(
    pieces: Sequence[str],
    states: Mapping[str, Matrix],
    units: Sequence[int | str],
    *,
    title: str,
    reading: str,
    gates: Mapping[str, Matrix] | None = None,
    colours: Mapping[str, npt.NDArray[np.floating]] | None = None,
    orders: Mapping[str, Sequence[int] | npt.NDArray[np.int64]] | None = None,
    limits: Mapping[str, float] | None = None,
    unit: int = 0,
    symbols: Sequence[str] | None = None,
    link: str = "",
    group: str = "",
) -> Figure:
    """Point at a character, a unit or a time, and all three show it; a click on a unit shows its gates.

    Args:
        pieces: the texts of the T tokens that were read.
        states: by name, such as "cell state c": the values (U, T) of the units after each token.
        units: the names of the U units.
        gates: by name: the values (U, T) of the gates of the same units, 0 to 1.
        colours: numbers (T,) that the text can be coloured by in place of the chosen unit, such as the surprise.
        orders: orders of the units, by name, of which one can choose another than the given one.
        limits: the values of full colour by the names of states and colours; the default leaves few values beyond.
        unit: the row of the unit that is chosen first.
        symbols: names of the tokens for the columns of maps (None: the pieces).
        group: what the units belong to, such as "layer 1": a unit that is chosen over one text is chosen over all.

    >>> h, f = np.array([[0.1, 0.5, 0.9], [0.0, -0.4, 0.2]]), np.array([[0.9, 0.9, 0.8], [0.1, 0.2, 0.1]])
    >>> words = {"title": "What two units do", "reading": "Choose a unit to see it over the text."}
    >>> figure = reading(list("cat"), {"h": h}, units=[3, 8], gates={"forget gate": f}, **words)
    >>> figure.chart.kind, figure.wide
    ('reading', True)
    """
    gates, colours = gates or {}, colours or {}
    columns = list(symbols) if symbols is not None else [visible(piece) for piece in pieces]
    full = {name: (limits or {}).get(name) or _full(values) for name, values in (dict(states) | dict(colours)).items()}
    names = [*map(str, units)]
    shown = _most_varying(list(states.values())[-1], unit)
    data = {
        "pieces": list(pieces),
        "columns": columns,
        "units": names,
        "unit": unit,
        "shown": shown,
        "states": {name: Coarse(values) for name, values in states.items()},
        "gates": {name: Coarse(values) for name, values in gates.items()},
        "colours": {name: Half(values) for name, values in colours.items()},
        "full": full,
        "orders": {name: [*map(int, order)] for name, order in (orders or {}).items()},
    }
    last = list(states)[-1]
    text = f"the text, coloured by unit {names[unit]} of {last}"
    drawings = {text: strip(pieces, states[last][unit], full[last], f"{text}, {title}")}
    drawn = {name: (values[shown], full[name], [names[row] for row in shown]) for name, values in states.items()}
    if gates:
        of_unit = np.stack([values[unit] for values in gates.values()])
        drawn[f"the gates of unit {names[unit]}, from shut to open"] = of_unit, 1.0, [*gates]
    drawings |= {name: _map(f"{name}, {title}", *one, columns) for name, one in drawn.items()}
    parts = "".join(f"<h4>{escape(name)}</h4>{drawing}" for name, drawing in drawings.items())
    table = _table(pieces, {name: values[shown] for name, values in states.items()}, [names[row] for row in shown])
    return Figure(title, f"<div>{parts}</div>", reading, table, (), True, Chart("reading", data), link, group)


def _map(name: str, values: Matrix, limit: float, rows: Sequence[str], columns: Sequence[str]) -> str:
    figure = heatmap(values, title=name, reading="", x="token read", y="", rows=rows, columns=columns, limit=limit)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{figure.drawing}</div>'


def _most_varying(values: Matrix, unit: int) -> list[int]:
    """Rows, in their order: those that vary most, and the one that is chosen."""
    order = np.argsort(-finite(values).std(1), kind="stable")
    return sorted([unit, *order[order != unit][: DRAWN - 1].tolist()])


def _full(values: npt.NDArray[np.floating]) -> float:
    sizes = np.abs(values[np.isfinite(values)])
    return (float(np.quantile(sizes, MOST)) if len(sizes) else 0.0) or 1.0


def _table(pieces: Sequence[str], states: Mapping[str, Matrix], units: Sequence[str]) -> Table:
    """A row for each token, and a column for each unit of each state."""
    headings = ["token", *(f"{name}, {unit}" for name in states for unit in units)]
    numbers = np.concatenate([*states.values()]).T
    rows: list[tuple[Cell, ...]] = [
        (repr(piece)[1:-1], *(float(f"{value:.3g}") for value in row))
        for piece, row in zip(pieces, numbers.tolist(), strict=True)
    ]
    return Table(headings, rows)

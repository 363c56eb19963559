"""A text, the memory of a model over it, and the gates of one unit, which show each other's places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from elman.report.chart import Chart, Half
from elman.report.figure import Cell, Figure, Table
from elman.report.heatmap import heatmap
from elman.report.texts import strip

Matrix = npt.NDArray[np.floating]
MOST = 0.98  # of a map's values are within full colour, unless a limit is given


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
    """
    gates, colours = gates or {}, colours or {}
    columns = list(symbols) if symbols is not None else [piece.strip() or repr(piece)[1:-1] for piece in pieces]
    full = {name: (limits or {}).get(name) or _full(values) for name, values in (dict(states) | dict(colours)).items()}
    names = [*map(str, units)]
    last, chosen = list(states.items())[-1], names[unit]

    def drawn(name: str, values: Matrix, y: str, rows: Sequence[str], limit: float) -> str:
        words = f"{name}, {title}"
        x = "token read"
        return heatmap(values, title=words, reading="", x=x, y=y, rows=rows, columns=columns, limit=limit).drawing

    drawings = {f"the text, coloured by unit {chosen} of {last[0]}": strip(pieces, last[1][unit], full[last[0]], title)}
    drawings |= {name: drawn(name, values, "unit", names, full[name]) for name, values in states.items()}
    if gates:
        of_unit = np.stack([values[unit] for values in gates.values()])
        drawings[f"the gates of unit {chosen}, from shut to open"] = drawn("gates", of_unit, "gate", [*gates], 1.0)
    parts = "".join(f'<h4>{escape(name)}</h4><div class="scroll">{drawing}</div>' for name, drawing in drawings.items())
    data = {
        "pieces": list(pieces),
        "columns": columns,
        "units": names,
        "unit": unit,
        "states": {name: Half(values) for name, values in states.items()},
        "gates": {name: Half(values) for name, values in gates.items()},
        "colours": {name: Half(values) for name, values in colours.items()},
        "full": full,
        "orders": {name: [*map(int, order)] for name, order in (orders or {}).items()},
    }
    table = _table(pieces, states, names)
    return Figure(title, f"<div>{parts}</div>", reading, table, (), True, Chart("reading", data), link)


def _full(values: npt.NDArray[np.floating]) -> float:
    return float(np.nanquantile(np.abs(values), MOST)) or 1.0


def _table(pieces: Sequence[str], states: Mapping[str, Matrix], units: Sequence[str]) -> Table:
    """A row for each token, and a column for each unit of each state."""
    headings = ["token", *(f"{name}, {unit}" for name in states for unit in units)]
    numbers = np.concatenate([*states.values()]).T
    rows: list[tuple[Cell, ...]] = [
        (repr(piece)[1:-1], *(float(f"{value:.3g}") for value in row))
        for piece, row in zip(pieces, numbers.tolist(), strict=True)
    ]
    return Table(headings, rows)

"""Passages of the text with the memory over them: text, maps and gates of all units, which show each other's places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from elman.arrays import Floats, Numbers
from elman.cells import cell_named
from elman.inspection.reading import HIDDEN, PASSAGE, TextReading
from elman.inspection.subject import Subject
from elman.lens.activity import most_active, time_scales
from elman.report import Figure, choice, likeness, reading

MOST_NUMBERS = 820_000  # of all passages: a report keeps each in a byte, and is to have at most 3 MB
SHORTEST = 48  # tokens of a passage, where there is no room for two longer ones
LIKE_STEPS = 2048  # of the text, whose states say which units are alike

READ = (
    "Point at a token, a unit or a step, and {shown} show it; a click chooses the unit that colours the "
    "text: orange above zero, blue below. Units can be ordered by their time scale (the steps in which a unit's "
    "correlation with its own past falls to 1/e, as its neighbouring steps tell) or by likeness (units that vary "
    "together). The passage begins with a fresh memory."
)


@dataclass(frozen=True)
class UnitGroup:
    """The parts of the memory that have the same units."""

    name: str
    states: dict[str, Floats]  # (B, T, U)
    gates: dict[str, Floats]  # over the passages, (P, T', U)
    units: Numbers  # that are shown, of U
    orders: dict[str, Numbers]  # of these
    unit: int  # the place of the one that is chosen first


def linked_passages(subject: Subject, found: TextReading, chosen: Mapping[str, int]) -> Figure:
    """As many of the subject's passages as there is room for; `chosen` are units to begin with, by parts of the memory.

    Where one passage has too many numbers, only the units that vary most are shown.
    """
    every = sum(values.shape[2] for values in found.states.values())
    every += sum(gate.shape[2] for gates in found.shown_gates.values() for gate in gates.values())
    steps = min(PASSAGE, subject.read.shape[1], max(SHORTEST, MOST_NUMBERS // (2 * every)))
    layers = _layers(found, min(1.0, MOST_NUMBERS / (every * steps)), chosen)
    passages = list(enumerate(subject.passages.items()))[: max(1, MOST_NUMBERS // (every * steps))]
    options = {
        name: _one_of({layer.name: _reading(subject, layer, place, row, name, steps) for layer in layers}, name)
        for place, (row, name) in passages
    }
    memory = HIDDEN if HIDDEN in found.states else "the memory"
    gated = any(layer.gates for layer in layers)
    return choice(options, title=f"The text, {memory} and the gates" if gated else f"The text and {memory}")


def _one_of(layers: dict[str, Figure], passage: str) -> Figure:
    return next(iter(layers.values())) if len(layers) == 1 else choice(layers, title=f"Passage {passage}")


def _layers(found: TextReading, share: float, chosen: Mapping[str, int]) -> list[UnitGroup]:
    """The layers with a share of their units."""
    cells = {one.layer: cell_named(one.cell) for one in found.gates}
    layers = []
    for (place, size), group in groupby(found.states, lambda part: (_place(part), found.states[part].shape[2])):
        parts = list(group)
        states = {part: found.states[part] for part in parts}
        gates = {
            f"{cells[place].gates[gate]} {gate}": values
            for gate, values in found.shown_gates.get(place, {}).items()
            if values.shape[2] == size
        }
        last = states[parts[-1]]
        flat = last.reshape(-1, size)
        units = most_active(flat, max(1, int(share * size)))
        like = flat[:: max(1, len(flat) // LIKE_STEPS), units].T
        orders = {"time scale": np.argsort(-time_scales(last)[units], kind="stable"), "likeness": likeness(like)}
        whole = len(parts) == sum(_place(part) == place for part in found.states)
        wanted = [unit for part, unit in chosen.items() if part in states and unit in units]
        first = units.tolist().index(wanted[0]) if wanted else int(flat[:, units].std(0).argmax())
        layers.append(UnitGroup(place if whole else parts[-1], states, gates, units, orders, first))
    return layers


def _place(part: str) -> str:
    """The layer of a part of the memory, such as "layer 1" of "layer 1 h"."""
    return part.rpartition(" ")[0] if part.startswith("layer ") else part


def _reading(subject: Subject, layer: UnitGroup, place: int, row: int, name: str, steps: int) -> Figure:
    tokens = subject.read[row, :steps]
    states = {part: values[row, : len(tokens)][:, layer.units].T for part, values in layer.states.items()}
    return reading(
        [piece or "" for piece in subject.pieces(tokens)],
        states,
        layer.units.tolist(),
        title=f"{layer.name.capitalize()} over passage {name}",
        reading=READ.format(shown="text, maps and gates" if layer.gates else "text and maps"),
        gates={gate: values[place, :steps][:, layer.units].T for gate, values in layer.gates.items()},
        colours={"surprise": np.nan_to_num(subject.readings["trained"].surprise[row, : len(tokens)])},
        orders=layer.orders,
        unit=layer.unit,
        symbols=subject.symbols(tokens),
        link=f"passage {row}",
        group=layer.name,
    )

"""What a model does while it reads windows of a text: its memory, its gates, and the surprise of every token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elman.arrays import Floats
from elman.lens.activity import as_array, states_of
from elman.lens.gates import LayerGates, gated, gates_of, read_gates
from elman.lens.observe import has_vectors_for_memory
from elman.lens.visit import LayerVisit, visit_layers
from elman.models import LanguageModel

GATE_STEPS = 256  # of each window, whose gates are counted
PASSAGE = 96  # tokens at the beginning of a window that are shown
HIDDEN = "the hidden state"  # of a model whose memory is not made of vectors


@dataclass(frozen=True)
class TextReading:
    """A model over windows of a text (B, T), each from a fresh memory."""

    states: dict[str, Floats]  # every part of the memory after every token, (B, T, H); a Transformer's hidden states
    gates: list[LayerGates]
    shown_gates: dict[str, dict[str, Floats]]  # by layer and gate, over the beginnings of the passages, (P, T', H)
    surprise: Floats  # −ln p of every token given those before it, in nats (B, T); NaN for the first of a window


@torch.no_grad()
def read_windows(model: LanguageModel, windows: Tensor, resets: Tensor | None, passages: Sequence[int]) -> TextReading:
    """A model over windows (B, T), of which the `passages` are rows that are shown."""
    found: list[Tensor] = []

    def read() -> None:
        found.append(model.read(windows, resets=resets)[0])

    if not has_vectors_for_memory(model):
        read()
        return TextReading({HIDDEN: as_array(found[0])}, [], {}, _surprise(model, found[0], windows))
    visits = visit_layers(model, read)
    beginnings = [_beginning(visit, GATE_STEPS) for visit in gated(visits)]
    gates = [gates_of(visit) for visit in beginnings]
    return TextReading(
        {part: np.ascontiguousarray(values) for part, values in states_of(visits).items()},
        [read_gates(visit, values) for visit, values in zip(beginnings, gates, strict=True)],
        {
            visit.name: {name: as_array(gate[:PASSAGE, passages].transpose(0, 1)) for name, gate in values.items()}
            for visit, values in zip(beginnings, gates, strict=True)
        },
        _surprise(model, found[0], windows),
    )


def _beginning(visit: LayerVisit, steps: int) -> LayerVisit:
    """The first steps of a visit."""
    return replace(
        visit,
        inputs=visit.inputs[:steps],
        before=tuple(part[:steps] for part in visit.before),
        after=tuple(part[:steps] for part in visit.after),
        real=visit.real[:steps],
    )


def _surprise(model: LanguageModel, hidden: Tensor, windows: Tensor) -> Floats:
    """A window at a time: the logits of all would not fit into RAM where there are many tokens."""
    nats = torch.full(windows.shape, torch.nan, dtype=torch.float64)
    for row, (states, tokens) in enumerate(zip(hidden, windows, strict=True)):
        logits = model.output(states[None, :-1])[0].float()
        nats[row, 1:] = F.cross_entropy(logits, tokens[1:], reduction="none").double()
    return np.asarray(nats.numpy())

"""What a model's layers say of inputs that are read whole, beside what a session is shown of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.arrays import Floats
from elman.lens import visit_layers
from elman.lens.gates import gated, gates_of
from elman.lens.observe import hooked
from elman.nn.recurrent import Recurrent
from elman.runs import Run

HIDDEN = "hidden state"


def in_float64(run: Run) -> Run:
    return replace(run, model=copy.deepcopy(run.model).double().eval())


@torch.no_grad()
def memory_over(part: nn.Module, read: Callable[[], object]) -> dict[str, Floats]:
    """States and gates (T, H) of the one row that `read` reads; hidden states where there are no recurrent layers."""
    if not any(isinstance(layer, Recurrent) for layer in part.modules()):
        heard: list[Any] = []
        with hooked(part, type(part), lambda *call: heard.append(call[3][0])):
            read()
        return {HIDDEN: heard[0][0].numpy()}
    visits = visit_layers(part, read)
    told = {f"{visit.name} {name}": v for visit in visits for name, v in zip("hcnm", visit.after, strict=False)}
    told |= {f"{visit.name} {name}": v for visit in gated(visits) for name, v in gates_of(visit).items()}
    return {name: values[:, 0].numpy() for name, values in told.items()}


def same_memory(
    found: dict[str, Any],
    whole: dict[str, Floats],
    begin: int,
    *,
    units: Sequence[int],
    unit: int,
    steps: slice = slice(None),
    atol: float = 1e-12,
) -> None:
    """That a session is shown what was read whole, from a step on."""
    assert found["states"]
    for name, part in found["states"].items():
        assert part["units"] == list(units)
        np.testing.assert_allclose(part["values"].T[steps], whole[name][begin:, units], rtol=0, atol=atol)
    gates = {f"{layer} {name}": values for layer, every in found["gates"].items() for name, values in every.items()}
    for name, values in gates.items():
        np.testing.assert_allclose(values[steps], whole[name][begin:, unit], rtol=0, atol=atol)
    gated_layers = {name.rpartition(" ")[0] for name in whole if name.rpartition(" ")[2] in ("z", "f")}
    assert {name.rpartition(" ")[0] for name in gates if name.startswith("layer 1")} == {
        name for name in gated_layers if name.startswith("layer 1")
    }

"""What each gate buys: LSTM and GRU with one gate held open or shut at a time."""

from __future__ import annotations

from functools import partial

import torch

from elman.cells import CELLS
from elman.lab.drawing import bars
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.memory_tasks import SUM, solve
from elman.lab.recurrent_net import RecurrentNet
from elman.nn.recurrent import Recurrent

GATES = {cell: CELLS[cell].gates for cell in ("lstm", "gru")}
OPEN = 40.0  # a bias whose sigmoid is 1 in single precision
LEARNT, FACTOR = 0.01, 2.0
NEEDED, SPARED = ("lstm without input gate", "gru without update gate"), "gru without reset gate"


@torch.no_grad()
def hold(layer: Recurrent, gate: str) -> None:
    """Take a gate from a layer: its weights become zero and get no gradient, and its bias holds the gate at 1.

    A gate that keeps the old state and, closing, writes the new one (z of the GRU) is held at 1/2: half of each.
    """
    cell = layer.specification
    rows = cell.rows_of(gate, len(layer.get_parameter("bias_ih_l0")) // len(cell.rows))
    for parameter in layer.parameters():
        kept = torch.ones_like(parameter)
        kept[rows] = 0
        parameter.mul_(kept)
        parameter.register_hook(kept.mul)
    layer.get_parameter("bias_ih_l0")[rows] = 0.0 if gate == cell.keeping and not cell.writing else OPEN


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T = 20 if setting.quick else 60
    steps = steps or (1000 if setting.quick else 3000)
    variants = {f"{cell}, whole": (cell, "") for cell in GATES}
    variants |= {f"{cell} without {words}": (cell, gate) for cell in GATES for gate, words in GATES[cell].items()}
    errors = {}
    for name, part in setting.each("gates", variants):
        cell, gate = variants[name]
        errors[name], _ = solve(part, SUM, partial(_net, cell, gate), T, steps, rate=1e-2)
    factors = {name: errors[name] / errors[f"{cell}, whole"] for name, (cell, gate) in variants.items() if gate}
    figure = bars(
        errors,
        "How much worse a cell is without a gate: what that gate buys, on this task.",
        title=f"The adding problem over {T} steps, one gate missing",
        x="mean squared error; guessing is 0.167",
        notes=[f"× {factors[name]:.1f}" if name in factors else "whole" for name in errors],
    )
    words = [f"{name}: {error:.4f}" for name, error in errors.items() if name not in factors]
    words += [f"{name}: {errors[name]:.4f}, {factor:.1f} times the whole cell's" for name, factor in factors.items()]
    met = all(factors[name] > FACTOR for name in NEEDED) and factors[SPARED] < FACTOR
    control = all(errors[f"{cell}, whole"] < LEARNT for cell in GATES)
    return Findings(met, control, words, [figure], {"errors": errors, "factors": factors})


def _net(cell: str, without: str) -> RecurrentNet:
    model = RecurrentNet(cell, 2, 32, 1)
    if without:
        hold(model.layer, without)
    return model


EXPERIMENT = Experiment(
    "gates",
    "The gate that decides what enters the memory is needed, the LSTM's input gate as the GRU's update gate; the GRU's "
    "reset gate can be spared.",
    f"without the input gate, and without the update gate, the error is more than {FACTOR:g} times that of the whole "
    "cell, without the reset gate less; what the other gates buy depends on the task, and is shown but not judged",
    f"both whole cells learn the task: an error below {LEARNT:g}",
    "Hochreiter & Schmidhuber 1997; Greff et al. 2017; Jozefowicz et al. 2015; Ravanelli et al. 2018",
    _run,
)

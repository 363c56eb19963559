"""What each gate buys: LSTM and GRU with one gate held open or shut at a time."""

from __future__ import annotations

from functools import partial

import torch

from elman.lab.drawing import bars
from elman.lab.experiment import TEST, Experiment, Findings, Setting
from elman.lab.learning import Drawn, learn
from elman.lab.memory_tasks import squared_error
from elman.lab.recurrent_net import RecurrentNet
from elman.nn.recurrent import Recurrent

GATES = {"lstm": ("input", "forget", "", "output"), "gru": ("reset", "update", "")}  # in the order of the rows
OPEN = 40.0  # a bias whose sigmoid is 1 in single precision
LEARNT, FACTOR = 0.01, 2.0
NEEDED, SPARED = ("lstm without input gate", "gru without update gate"), "gru without reset gate"


@torch.no_grad()
def hold(layer: Recurrent, gate: str) -> None:
    """Take one gate from a layer: its weights become zero and have no gradient, and its bias holds it where it is.

    lstm   i = 1 without the input gate, f = 1 without the forget gate, o = 1 without the output gate
    gru    r = 1 without the reset gate, z = 1/2 without the update gate (half of the past, always)
    """
    place, H = GATES[layer.cell].index(gate), layer.hidden_size
    rows = slice(place * H, (place + 1) * H)
    for parameter in layer.parameters():
        kept = torch.ones_like(parameter)
        kept[rows] = 0
        parameter.mul_(kept)
        parameter.register_hook(kept.mul)
    layer.get_parameter("bias_ih_l0")[rows] = 0.0 if gate == "update" else OPEN


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T = 20 if setting.quick else 60
    steps = steps or (1000 if setting.quick else 3000)
    variants = [(cell, gate) for cell, gates in GATES.items() for gate in sorted(gates)]  # whole first

    loss, errors = partial(squared_error, setting, T), dict[str, float]()
    for index, (cell, gate) in enumerate(variants):
        part = setting.part(f"gates: {cell}", index, len(variants))
        model, _ = learn(part, partial(_made, cell, gate), Drawn(steps, partial(loss, 32)), 1e-2)
        with torch.no_grad():
            errors[f"{cell} without {gate} gate" if gate else f"{cell}, whole"] = loss(1000, model, TEST).item()
    whole = {cell: errors[f"{cell}, whole"] for cell in GATES}
    factors = {name: error / whole[name.split()[0]] for name, error in errors.items() if "without" in name}
    figure = bars(
        errors,
        title=f"The adding problem over {T} steps, one gate missing",
        x="mean squared error; guessing is 0.167",
        reading="How much worse a cell is without a gate: what that gate buys, on this task.",
        notes=[f"× {factors[name]:.1f}" if name in factors else "whole" for name in errors],
    )
    words = [f"{name}: {error:.4f}" for name, error in errors.items() if name not in factors]
    words += [f"{name}: {errors[name]:.4f}, {factor:.1f} times the whole cell's" for name, factor in factors.items()]
    met = all(factors[name] > FACTOR for name in NEEDED) and factors[SPARED] < FACTOR
    return Findings(met, max(whole.values()) < LEARNT, words, [figure], {"errors": errors, "factors": factors})


def _made(cell: str, without: str) -> RecurrentNet:
    model = RecurrentNet(cell, 2, 32, 1)
    if without:
        hold(model.layer, without)
    return model


EXPERIMENT = Experiment(
    "gates",
    "The gate that decides what enters the memory is needed, the LSTM's input gate as the GRU's update gate; the GRU's "
    "reset gate can be spared.",
    f"without the input gate, and without the update gate, the error is more than {FACTOR:g} times that of the whole "
    "cell, without the reset gate less; what the other gates buy is shown and not judged, for it depends on the task",
    f"both whole cells learn the task: an error below {LEARNT:g}",
    "Hochreiter & Schmidhuber 1997; Greff et al. 2017; Jozefowicz et al. 2015; Ravanelli et al. 2018",
    _run,
)

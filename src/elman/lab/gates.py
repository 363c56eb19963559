"""What each gate buys: LSTM and GRU with one gate held open or shut at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.memory_tasks import adding
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import CELLS, fit_sequence
from elman.report import bar_chart

GATES = {"lstm": ("input", "forget", "", "output"), "gru": ("reset", "update", "")}  # in the order of the rows
OPEN = 40.0  # a bias whose sigmoid is 1 in single precision
LEARNT, FACTOR = 0.01, 2.0
NEEDED, SPARED = ("lstm without input gate", "gru without update gate"), "gru without reset gate"


class Ablated(nn.Module):
    """An LSTM or GRU with one gate missing: x (B, T, D) -> the last state's output (B,).

    lstm   i = 1 without the input gate, f = 1 without the forget gate, o = 1 without the output gate
    gru    r = 1 without the reset gate, z = 1/2 without the update gate (half of the past, always)

    The gate's weights are zero and have no gradient, its bias holds it where it is.
    """

    def __init__(self, cell: str, without: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.layer = CELLS[cell](inputs, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)
        for gate in self.layer.get_parameter("weight_hh_l0").data.split(hidden):
            nn.init.orthogonal_(gate)
        bias = self.layer.get_parameter("bias_ih_l0")
        for name, parameter in self.layer.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
        if cell == "lstm":
            bias.data[hidden : 2 * hidden] = 1
        if without:
            place = GATES[cell].index(without)
            rows = slice(place * hidden, (place + 1) * hidden)
            for parameter in self.layer.parameters():
                kept = torch.ones_like(parameter.data)
                kept[rows] = 0
                parameter.data.mul_(kept)
                parameter.register_hook(kept.mul)
            bias.data[rows] = 0.0 if without == "update" else OPEN

    def forward(self, x: Tensor) -> Tensor:
        """From a fresh memory."""
        return self.out(self.layer(x)[0][:, -1])[:, 0]


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T = 20 if setting.quick else 60
    steps = steps or (1000 if setting.quick else 3000)
    variants = [(cell, gate) for cell, gates in GATES.items() for gate in sorted(gates)]  # whole first
    errors: dict[str, float] = {}
    for index, (cell, gate) in enumerate(variants):
        torch.manual_seed(setting.seed)
        model = Ablated(cell, gate, 2, 32)

        def loss(step: int, model: Ablated = model, batch: int = 32) -> Tensor:
            x, y = map(torch.from_numpy, adding(batch, T, setting.seed * 10**6 + step))
            return (model(x) - y).square().mean()

        def report(done: float, index: int = index, cell: str = cell) -> None:
            setting.progress(f"gates: {cell}", (index + done) / len(variants))

        fit_sequence(model, loss, steps, rate=1e-2, progress=report)
        with torch.no_grad():
            errors[f"{cell} without {gate} gate" if gate else f"{cell}, whole"] = loss(999_999, batch=1000).item()
    whole = {cell: errors[f"{cell}, whole"] for cell in GATES}
    factors = {name: error / whole[name.split()[0]] for name, error in errors.items() if "without" in name}
    figure = bar_chart(
        list(errors),
        np.array(list(errors.values())),
        title=f"The adding problem over {T} steps, one gate missing",
        x="mean squared error; guessing is 0.167",
        reading="How much worse a cell is without a gate: what that gate buys, on this task.",
        notes=[f"× {factors[name]:.1f}" if name in factors else "whole" for name in errors],
    )
    words = [f"{name}: {error:.4f}" for name, error in errors.items() if name not in factors]
    words += [f"{name}: {errors[name]:.4f}, {factor:.1f} times the whole cell's" for name, factor in factors.items()]
    met = all(factors[name] > FACTOR for name in NEEDED) and factors[SPARED] < FACTOR
    return Findings(met, max(whole.values()) < LEARNT, words, [figure], {"errors": errors, "factors": factors})


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

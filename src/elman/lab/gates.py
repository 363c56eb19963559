"""What each gate buys: LSTM and GRU with one gate held open or shut at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from elman.data.memory_tasks import adding
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import fit_sequence
from elman.report import bar_chart

ABLATIONS = {
    "lstm": ("", "input", "forget", "output"),
    "gru": ("", "reset", "update"),
}


class Ablated(nn.Module):
    """An LSTM or GRU with one gate missing, step by step: x (B, T, D) -> the last state's output (B,).

    lstm   i = 1 without the input gate, f = 1 without the forget gate, o = 1 without the output gate
    gru    r = 1 without the reset gate, z = 1/2 without the update gate (half of the past, always)
    """

    def __init__(self, cell: str, without: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cell, self.without = cell, without
        maps = 4 if cell == "lstm" else 3
        self.read = nn.Linear(inputs, maps * hidden)
        self.recur = nn.Linear(hidden, maps * hidden, bias=False)
        self.out = nn.Linear(hidden, 1)
        for gate in self.recur.weight.data.split(hidden):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(self.read.bias)
        if cell == "lstm":
            self.read.bias.data[hidden : 2 * hidden] = 1

    def forward(self, x: Tensor) -> Tensor:
        """From a fresh memory."""
        projected = self.read(x)  # (B, T, G)
        h = c = x.new_zeros(len(x), self.out.in_features)
        for t in range(x.shape[1]):
            if self.cell == "lstm":
                i, f, g, o = (projected[:, t] + self.recur(h)).chunk(4, 1)
                i, f, o = (self._gate(*pair) for pair in (("input", i), ("forget", f), ("output", o)))
                c = f * c + i * g.tanh()
                h = o * c.tanh()
            else:
                a, b = projected[:, t].chunk(3, 1), self.recur(h).chunk(3, 1)
                r = self._gate("reset", a[0] + b[0])
                z = torch.full_like(h, 0.5) if self.without == "update" else (a[1] + b[1]).sigmoid()
                h = z * h + (1 - z) * (a[2] + r * b[2]).tanh()
        return self.out(h)[:, 0]

    def _gate(self, name: str, x: Tensor) -> Tensor:
        return torch.ones_like(x) if self.without == name else x.sigmoid()


def _run(setting: Setting, steps: int | None = None) -> Findings:
    T = 20 if setting.quick else 60
    steps = steps or (500 if setting.quick else 3000)
    variants = [(cell, gate) for cell, gates in ABLATIONS.items() for gate in gates]
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
    needed = {name: errors[name] > 2 * errors[f"{name.split()[0]}, whole"] for name in errors if "without" in name}
    figure = bar_chart(
        list(errors),
        np.array(list(errors.values())),
        title=f"The adding problem over {T} steps, one gate missing",
        x="mean squared error; guessing is 0.167",
        reading="How much worse a cell is without a gate: what that gate buys, on this task.",
    )
    words = [f"{name}: {error:.4f}" for name, error in errors.items()]
    spared = [name for name, need in needed.items() if not need]
    if spared:
        words.append("no loss on this task: " + ", ".join(spared))
    return Findings(all(needed.values()), words, [figure], {"errors": errors, "needed": needed})


EXPERIMENT = Experiment(
    "gates",
    "Every gate of the LSTM and of the GRU is needed.",
    "without any one gate the error is more than twice that of the whole cell",
    "Hochreiter & Schmidhuber 1997; Gers et al. 2000; Greff et al. 2017; Jozefowicz et al. 2015",
    _run,
)

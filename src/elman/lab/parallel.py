"""Time against length: recurrence takes its steps one after another, attention takes them at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.fitting import CELLS, COLOURS
from elman.nn.transformer import TransformerLayer
from elman.report import Line, line_chart

H, HEADS = 64, 4


def _run(setting: Setting) -> Findings:
    torch.manual_seed(setting.seed)
    lengths = [64, 128, 256, 512, 1024] if setting.quick else [64, 128, 256, 512, 1024, 2048, 4096]
    transformer = TransformerLayer(H, HEADS, 4 * H, dropout=0.0, qk_norm=True)
    empty = torch.zeros(1, HEADS, 0, H // HEADS)
    readers: dict[str, Callable[[Tensor], Tensor]] = {cell: _reader(cell) for cell in CELLS}
    readers["transformer"] = lambda x: transformer(x, empty, empty, rotation=None, mask=None)[0]
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for index, length in enumerate(lengths):
        for name, read in readers.items():
            seconds[name].append(_seconds(read, length, 3 if setting.quick else 10))
        setting.progress("parallel", (index + 1) / len(lengths))
    slopes = {
        name: float(np.polyfit(np.log(lengths[-3:]), np.log(values[-3:]), 1)[0]) for name, values in seconds.items()
    }
    figure = line_chart(
        [Line(name, np.array(lengths), np.array(values), colour=COLOURS[name]) for name, values in seconds.items()],
        title="Forward and backward through one layer",
        x="length, steps",
        y="seconds",
        log_x=True,
        log_y=True,
        wide=True,
        reading=f"One sequence, {H} units: recurrence grows with the length, attention with its square in the end, "
        "from a lower beginning where a machine can do many steps at once.",
    )
    words = [
        f"{name}: {values[-1] * 1e3:.1f} ms at {lengths[-1]} steps; time grows as length to the {slopes[name]:.2f}"
        for name, values in seconds.items()
    ]
    held = all(seconds["transformer"][-1] < seconds[cell][-1] for cell in CELLS)
    if not held:
        words.append(f"on {torch.get_num_threads()} cores little is done at once: parallel in time is not faster")
    return Findings(held, words, [figure], {"lengths": lengths, "seconds": seconds, "slopes": slopes})


def _reader(cell: str) -> Callable[[Tensor], Tensor]:
    layer = CELLS[cell](H, H, batch_first=True)
    return lambda x: layer(x)[0]


def _seconds(read: Callable[[Tensor], Tensor], length: int, repeats: int) -> float:
    """The least of a few times: what else the machine does only ever makes one longer."""
    best = float("inf")
    for _ in range(repeats):
        x = torch.randn(1, length, H, requires_grad=True)
        begun = time.perf_counter()
        read(x).sum().backward()
        best = min(best, time.perf_counter() - begun)
    return best


EXPERIMENT = Experiment(
    "parallel",
    "A Transformer reads faster than a recurrent network, for it reads all steps at once.",
    "at the greatest length its layer takes less time, forward and backward, than each recurrent one of the same width",
    "Vaswani et al. 2017, table 1",
    _run,
)

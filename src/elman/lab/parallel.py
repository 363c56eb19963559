"""Time against length: recurrence takes its steps one after another, attention takes them at once."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.environment import one_thread
from elman.lab.drawing import bars, curves
from elman.lab.experiment import Experiment, Findings, Setting
from elman.lab.recurrent_net import CLASSICAL
from elman.nn import layer_of
from elman.nn.transformer import TransformerLayer

H, HEADS = 64, 4
AT_ONCE = 1.5  # how many times as fast as one core a machine must be with all its cores


def _run(setting: Setting) -> Findings:
    torch.manual_seed(setting.seed)
    lengths = [64, 128, 256, 512, 1024] if setting.quick else [64, 128, 256, 512, 1024, 2048, 4096]
    transformer = TransformerLayer(H, HEADS, 4 * H, dropout=0.0, qk_norm=True)
    readers: dict[str, Callable[[Tensor], Any]] = {cell: layer_of(cell)(H, H, batch_first=True) for cell in CLASSICAL}
    readers["transformer"] = transformer
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for index, length in enumerate(lengths, start=1):
        x = torch.randn(1, length, H, requires_grad=True)
        for name, read in readers.items():
            seconds[name].append(_least_time(partial(_pass, read, x), 3 if setting.quick else 10))
        setting.progress("parallel", index / len(lengths))
    last = np.log(lengths[-3:])
    slopes = {name: float(np.polyfit(last, np.log(values[-3:]), 1)[0]) for name, values in seconds.items()}
    times = {f"{name}: length to the {slopes[name]:.2f}": values for name, values in seconds.items()}
    reading = (
        f"One sequence, {H} units: the time of recurrence grows with the length, that of attention in the end with its "
        "square, but from a lower beginning on a machine that does many steps at once."
    )
    axes: dict[str, Any] = {"x": "length, steps", "y": "seconds", "log_x": True, "log_y": True, "wide": True}
    figure = curves(lengths, times, reading, title="Forward and backward through one layer", **axes)
    words = [
        f"{name}: {values[-1] * 1e3:.1f} ms at {lengths[-1]} steps; time grows as length to the {slopes[name]:.2f}"
        for name, values in seconds.items()
    ]
    product, threads = partial(torch.mm, *torch.randn(2, 512, 512)), torch.get_num_threads()
    with one_thread():
        alone = _least_time(product, 10)
    at_once = alone / _least_time(product, 10)
    words.append(f"with {threads} threads a matrix product is {at_once:.1f} times as fast as with one")
    speeds = {"one thread": 1.0, f"{threads} threads": at_once}
    reading = "A layer that takes its steps at once gains from a machine as much as the machine does at once."
    axes = {"x": "speed of a matrix product, 1 with one thread"}
    machine = bars(speeds, reading, title="How much this machine does at once", **axes)
    met = all(seconds["transformer"][-1] < seconds[cell][-1] for cell in CLASSICAL)
    numbers = {"lengths": lengths, "seconds": seconds, "slopes": slopes, "at_once": at_once}
    return Findings(met, at_once >= AT_ONCE, words, [figure, machine], numbers)


def _pass(read: Callable[[Tensor], Any], x: Tensor) -> None:
    """One pass, forward and backward."""
    read(x)[0].sum().backward()


def _least_time(call: Callable[[], object], repeats: int) -> float:
    """The least time of some calls, in seconds: other work of the machine only makes a time longer."""
    return min(timeit.repeat(call, number=1, repeat=repeats))


EXPERIMENT = Experiment(
    "parallel",
    "A Transformer reads faster than a recurrent network, for a Transformer reads all steps at once.",
    "at the greatest length its layer takes less time, forward and backward, than each recurrent one of the same width",
    f"the machine does things at once: with all its threads a matrix product is {AT_ONCE:g} times as fast as with one",
    "Vaswani et al. 2017, table 1",
    _run,
)

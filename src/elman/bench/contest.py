"""A contest of layers: one line for each cell, shape, pass, dtype and number of threads."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from elman import cells
from elman.bench import onnx_layer
from elman.bench.timing import CLOCKS, Contestant, matmul_rate, medians
from elman.nn import layer_of

Shape: TypeAlias = tuple[int, int, int]  # T, B, H; the size of the input is H

TORCH_CELLS = {name: cell for name, cell in cells.CELLS.items() if cell.torch_layer}  # those to compare with torch.nn's
SHAPES: dict[str, list[Shape]] = {
    "grid": [
        (35, 20, 200),
        (35, 20, 650),
        (100, 32, 256),
        (128, 64, 512),
        (784, 32, 128),
        (50, 1, 128),
        (200, 128, 64),
    ],
    "step": [(1, 1, 512)],
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
OPENMP_SPIN = 0.02  # seconds: torch's OpenMP threads spin after their work for a few ms, or three times that


@dataclass(frozen=True)
class Contest:
    """The lines to measure: every combination of a cell, a shape, a pass, a dtype and a number of threads."""

    cells: Sequence[str]
    shapes: Sequence[Shape]
    passes: Sequence[str]
    dtypes: Sequence[str]
    threads: Sequence[int]
    backend: str | None = None
    seconds: float = 0.6  # for each line, and for each matmul rate
    clock: str = "wall"

    def __len__(self) -> int:
        return math.prod(map(len, (self.cells, self.shapes, self.passes, self.dtypes, self.threads)))


class Measurement(NamedTuple):
    """The times on one line of a contest."""

    threads: int
    dtype: str
    pass_: str
    cell: str
    shape: Shape
    seconds: dict[str, float]  # the median time of "elman", "torch" and other contestants

    @property
    def ratios(self) -> dict[str, float]:
        """The others' times over elman's: above 1, elman is faster."""
        return {name: time / self.seconds["elman"] for name, time in self.seconds.items() if name != "elman"}

    @property
    def gflops(self) -> float:
        """Elman's rate in GFLOP/s, of the matmuls alone."""
        T, B, H = self.shape
        step = 2 * len(TORCH_CELLS[self.cell].rows) * H * (H + H)
        return T * B * step * (3 if self.pass_ == "training" else 1) / self.seconds["elman"] / 1e9

    def __str__(self) -> str:
        shape = ",".join(map(str, self.shape))
        return f"{self.pass_} {self.dtype} {self.cell} {shape}: {self.ratios['torch']:.2f}"


class Rate(NamedTuple):
    """The best rate of a matmul, in GFLOP/s."""

    threads: int
    dtype: str
    gflops: float

    def __str__(self) -> str:
        return f"torch.mm {self.dtype}: {self.gflops:,.0f} GFLOP/s"


def inference(layer: nn.Module, x: Tensor, dtype: str) -> Callable[[], object]:
    """A call of the layer, to be made where there are no gradients."""
    if dtype == "float32":
        return lambda: layer(x)

    def call() -> object:
        with torch.autocast("cpu", DTYPES[dtype]):
            return layer(x)

    return call


def training(layer: nn.Module, x: Tensor, dtype: str, **masks: Tensor) -> Callable[[], object]:
    """A call of the layer, forward and backward to x and all weights."""
    x = x.clone().requires_grad_()

    def forward() -> Tensor:
        with _precision(dtype):
            return layer(x, **masks)[0]

    gradient = torch.ones_like(forward())

    def call() -> None:
        layer.zero_grad()
        x.grad = None
        forward().backward(gradient)

    return call


def torch_layer(cell: str, D: int, H: int) -> nn.RNNBase:
    """The layer of torch.nn that has this cell."""
    return getattr(nn, str(TORCH_CELLS[cell].torch_layer))(D, H)


PASSES = {"inference": inference, "training": training}


def _precision(dtype: str) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if dtype == "float32" else torch.autocast("cpu", DTYPES[dtype])


def contestants(
    backend: str | None, threads: int, dtype: str, pass_: str, cell: str, shape: Shape
) -> dict[str, Contestant]:
    """Elman's layer and the others, with the same weights and input."""
    T, B, H = shape
    torch.manual_seed(0)
    x = torch.randn(T, B, H)
    layer, other = layer_of(cell)(H, H, backend=backend), torch_layer(cell, H, H)
    other.load_state_dict(layer.state_dict())
    make = PASSES[pass_]
    sides = {"elman": Contestant(make(layer, x, dtype)), "torch": Contestant(make(other, x, dtype))}
    if dtype != "float32":
        sides["elman_float32"] = Contestant(make(layer, x, "float32"))
    elif pass_ == "inference" and onnx_layer.missing_package() is None:
        pause = OPENMP_SPIN if threads > 1 else 0.0
        sides["onnxruntime"] = Contestant(onnx_layer.runner(cell, other, x, threads), pause)
    return sides


def measure(contest: Contest) -> Iterator[Measurement | Rate]:
    """Measure line by line, and the matmul before and after the lines of each dtype and number of threads."""
    before, seconds, clock = torch.get_num_threads(), contest.seconds, CLOCKS[contest.clock]
    try:
        for threads, dtype in itertools.product(contest.threads, contest.dtypes):
            torch.set_num_threads(threads)
            yield Rate(threads, dtype, matmul_rate(DTYPES[dtype], seconds, clock))
            for line in itertools.product(contest.passes, contest.cells, contest.shapes):
                sides = contestants(contest.backend, threads, dtype, *line)
                with torch.inference_mode(line[0] == "inference"):  # of the loop, as a server's is
                    times = medians(sides, seconds, clock)
                yield Measurement(threads, dtype, *line, times)
            yield Rate(threads, dtype, matmul_rate(DTYPES[dtype], seconds, clock))
    finally:
        torch.set_num_threads(before)

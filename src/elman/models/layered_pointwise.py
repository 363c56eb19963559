"""The nodes of a `LayeredModel` that treat each vector by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, TypeAlias, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.models.layered_values import Node, NodeValue, Shape, StepsOfCall, one
from elman.settings import Units
from elman.state import State

Function: TypeAlias = Callable[[Tensor], Tensor]
Rows = Annotated[int, Field(ge=1, le=1 << 32)]
Positive = Annotated[float, Field(gt=0, le=1)]
# By the names of Keras, with its values where libraries differ. Those with a parameter take it as `alpha`.
FUNCTIONS: dict[str, Function] = {
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,  # clip(x / 6 + 1/2, 0, 1)
    "log_sigmoid": F.logsigmoid,
    "hard_tanh": F.hardtanh,
    "relu": torch.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "hard_silu": F.hardswish,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "exponential": torch.exp,
    "softmax": partial(torch.softmax, dim=-1),
    "log_softmax": partial(torch.log_softmax, dim=-1),
}
WITH_ALPHA: dict[str, Callable[[Tensor, float], Tensor]] = {"leaky_relu": F.leaky_relu, "elu": F.elu, "celu": F.celu}


class Pointwise(Node):
    """A function of each vector by itself, which leaves the mask as it is."""

    def __init__(self, function: Function, size: int = 0, output_size: int = 0) -> None:
        super().__init__()
        self.layer, self.size, self.output_size = function, size, output_size

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(…, F) -> (…, output_size), or (…, F) where that is 0."""
        shape = one(given, self.size)
        return shape._replace(size=self.output_size or shape.size)

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """Every vector, masked or not."""
        ((x, mask),) = given
        return NodeValue(self.layer(x), mask), None


def linear(input_size: Units, output_size: Rows, bias: bool = True) -> Node:
    """W x + b."""
    return Pointwise(nn.Linear(input_size, output_size, bias), input_size, output_size)


def activation(function: str, alpha: float | None = None) -> Node:
    """One of `FUNCTIONS`, or of `WITH_ALPHA` with its parameter."""
    if (alpha is not None) != (function in WITH_ALPHA) or function not in {*FUNCTIONS, *WITH_ALPHA}:
        known = ", ".join([*FUNCTIONS, *(f"{name} with alpha" for name in WITH_ALPHA)])
        raise UserError("function", expected=f"one of {known}", got=repr(function))
    return Pointwise(FUNCTIONS[function] if alpha is None else lambda x: WITH_ALPHA[function](x, alpha))


def affine(size: Units, scale: bool = True, bias: bool = True) -> Node:
    """g x + b, number by number."""
    return Pointwise(ScaleAndShift(size, scale, bias), size)


class ScaleAndShift(nn.Module):
    """A gain and a bias of each number, of which one may be left out."""

    def __init__(self, size: int, scale: bool, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size)) if scale else None
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (…, size)."""
        x = x if self.weight is None else x * self.weight
        return x if self.bias is None else x + self.bias


class SliceNode(Node):
    """The numbers of each vector from `start` to before `stop`."""

    def __init__(self, start: Annotated[int, Field(ge=0)], stop: Rows) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(…, F) -> (…, stop - start)."""
        shape = one(given)
        if not self.start < self.stop <= cast(int, shape.size):
            got = f"{self.start} to {self.stop}"
            raise UserError("start and stop", expected=f"a part of {shape.size} numbers", got=got)
        return shape._replace(size=self.stop - self.start)

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """Every vector, masked or not."""
        ((x, mask),) = given
        return NodeValue(x[..., self.start : self.stop], mask), None


def layer_norm(size: Units, epsilon: Positive, scale: bool = True, bias: bool = True) -> Node:
    """Each vector with mean 0 and variance 1, times a gain, plus a bias (Ba et al. 2016, arXiv:1607.06450)."""
    return Pointwise(LayerNorm(size, epsilon, scale, bias), size)


def batch_norm(size: Units, epsilon: Positive) -> Node:
    """(x − mean) / √(variance + ε), times a gain, plus a bias: the statistics are those of the framework's training."""
    return Pointwise(FrozenNorm(size, epsilon), size)


class LayerNorm(nn.Module):
    """`torch.nn.LayerNorm` whose gain and bias may be left out one by one."""

    def __init__(self, size: int, epsilon: float, scale: bool, bias: bool) -> None:
        super().__init__()
        self.size, self.epsilon = size, epsilon
        self.weight = nn.Parameter(torch.ones(size)) if scale else None
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (…, size)."""
        return F.layer_norm(x, (self.size,), self.weight, self.bias, self.epsilon)


class FrozenNorm(nn.Module):
    """Batch normalization by stored statistics, in training, too."""

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size)), epsilon
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """x (…, size)."""
        return (x - self.mean) * (self.variance + self.epsilon).rsqrt() * self.weight + self.bias

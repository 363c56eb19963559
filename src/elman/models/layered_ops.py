"""The nodes of a `LayeredModel` by their names in a configuration, beside the recurrent one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Annotated, Literal, TypeAlias, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError
from elman.models.configuration import Probability, Units
from elman.models.layered_recurrent import RecurrentNode
from elman.models.layered_values import Node, NodeValue, Packing, Shape, StepsOfCall, one
from elman.nn.dropout import Dropout, locked_dropout
from elman.nn.pooling import Pooling, PoolState
from elman.nn.sequences import embed
from elman.state import State, reset_rows

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
COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


class EmbeddingNode(Node):
    """Tokens (B, T) -> (B, T, size); with `mask_zero`, the steps of token 0 are masked from here on."""

    def __init__(self, rows: Rows, size: Units, mask_zero: bool = False) -> None:
        super().__init__()
        self.layer, self.mask_zero = nn.Embedding(rows, size), mask_zero

    def shape(self, given: Sequence[Shape]) -> Shape:
        """Tokens -> (B, T, size)."""
        one(given, None)
        return Shape(self.layer.embedding_dim, True)

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """Raise `UserError` for a token that the embedding does not have."""
        ((tokens, mask),) = given
        return NodeValue(embed(self.layer, tokens), tokens != 0 if self.mask_zero else mask), None


class MaskingNode(Node):
    """Steps whose numbers all are `mask_value` are masked from here on, and zeros."""

    def __init__(self, mask_value: float = 0.0) -> None:
        super().__init__()
        self.mask_value = mask_value

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(B, T, F) -> (B, T, F)."""
        return one(given, per_step=True)

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """The mask replaces the one before."""
        ((x, _),) = given
        mask = (x != self.mask_value).any(-1)
        return NodeValue(x.masked_fill(~mask[..., None], 0), mask), None


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


class DropoutNode(Node):
    """In training, numbers are zero with probability p; `locked`: of (B, T, F) the same units at all steps."""

    def __init__(self, p: Probability, locked: bool = False) -> None:
        super().__init__()
        self.layer, self.locked = Dropout(p), locked

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(…, F) -> (…, F)."""
        return one(given)

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """The numbers as they are, outside of training."""
        ((x, mask),) = given
        if self.locked and x.dim() == 3:
            return NodeValue(
                locked_dropout(x.transpose(0, 1), self.layer.p, training=self.training).transpose(0, 1), mask
            ), None
        return NodeValue(self.layer(x), mask), None


class CombinationNode(Node):
    """Several values together: [a; b; …] ("concat"), or a + b + … and the like, number by number.

    As in Keras, a step is masked that is masked in all values.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def shape(self, given: Sequence[Shape]) -> Shape:
        """Values of one shape, or of any sizes F where they are put behind one another."""
        got = ", ".join(map(str, given))
        if len(given) < 2 or any(s.size is None for s in given) or len({s.per_step for s in given}) > 1:
            raise UserError("inputs", expected="two or more values, all (B, T, F) or all (B, F)", got=got)
        if self.kind == "concat":
            return given[0]._replace(size=sum(s.size or 0 for s in given))
        if len({*given}) > 1:
            raise UserError("inputs", expected="values of one shape", got=got)
        return given[0]

    def forward(self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None) -> tuple[NodeValue, None]:
        """All values at once."""
        parts = [value.data for value in given]
        masks = [value.mask for value in given if value.mask is not None]
        mask = reduce(torch.logical_or, masks) if len(masks) == len(given) else None
        if self.kind == "concat":
            return NodeValue(torch.cat(parts, -1), mask), None
        whole = reduce(COMBINATIONS["add" if self.kind == "average" else self.kind], parts)
        return NodeValue(whole / len(parts) if self.kind == "average" else whole, mask), None


class PoolNode(Node):
    """(B, T, F) -> (B, F): the last, the mean or the greatest of all that a row has read since its last reset.

    Masked steps count nothing, or with `use_mask` false as others. Rows that have read nothing are zeros.
    """

    stateful = True

    def __init__(self, kind: Literal["last", "mean", "max"], size: Units, use_mask: bool = True) -> None:
        super().__init__()
        self.layer, self.use_mask = Pooling(kind, size), use_mask

    def shape(self, given: Sequence[Shape]) -> Shape:
        """(B, T, F) -> (B, F)."""
        return Shape(one(given, self.layer.hidden_size, per_step=True).size, False)

    def initial_state(self, batch_size: int, like: Tensor) -> State:
        """A pool that has read nothing."""
        return self.layer.initial_state(batch_size, like)

    def forward(
        self, given: Sequence[NodeValue], call: StepsOfCall, before: State | None
    ) -> tuple[NodeValue, State | None]:
        """What was read before and now."""
        ((x, mask),) = given
        state = cast("PoolState | None", before)
        if mask is None or not self.use_mask:
            pooled, after = self.layer(x, state, lengths=call.lengths, resets=call.resets)
            return NodeValue(pooled.to(x.dtype)), after
        packing = Packing(cast(Tensor, call.real(mask)), call.resets)
        pooled, after = self.layer(packing.pack(x), state, lengths=packing.lengths, resets=packing.resets)
        if (cleared := packing.cleared()) is not None:
            pooled, after = reset_rows(pooled, cleared), reset_rows(after, cleared)
        return NodeValue(pooled.to(x.dtype)), after


OPS: dict[str, Callable[..., Node]] = {
    "embedding": EmbeddingNode,
    "masking": MaskingNode,
    "recurrent": RecurrentNode,
    "linear": linear,
    "activation": activation,
    "affine": affine,
    "slice": SliceNode,
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "dropout": DropoutNode,
    **{kind: partial(CombinationNode, kind) for kind in ("concat", "average", *COMBINATIONS)},
    **{kind: partial(PoolNode, kind) for kind in ("last", "mean", "max")},
}

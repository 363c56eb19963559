"""The nodes of a `LayeredModel` by their names in a configuration, beside the recurrent one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.models.layered_pointwise import Rows, SliceNode, activation, affine, batch_norm, layer_norm, linear
from elman.models.layered_recurrent import RecurrentNode
from elman.models.layered_values import Node, NodeValue, Packing, Shape, StepsOfCall, one
from elman.nn.dropout import Dropout, locked_dropout
from elman.nn.pooling import Pooling, PoolState
from elman.nn.sequences import embed
from elman.settings import Probability, Units
from elman.state import State, reset_rows

COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
PoolKind = Literal["last", "mean", "max"]
POOLS: tuple[PoolKind, ...] = get_args(PoolKind)  # whose memory no module of another framework keeps


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

    def __init__(self, kind: PoolKind, size: Units, use_mask: bool = True) -> None:
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
    **{kind: partial(PoolNode, kind) for kind in POOLS},
}

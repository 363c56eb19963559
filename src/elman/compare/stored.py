"""What the two JSON files of a comparison hold, by name and type; more may be in them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs it until Python 3.12

from elman.reading import Count

FORMAT = 1

Number = Annotated[int, Field(gt=-(1 << 53), lt=1 << 53)] | float
_OPEN = ConfigDict(extra="allow")


@with_config(_OPEN)
class BlockLosses(TypedDict):
    """Losses of the validation set, block by block (`measure.block_losses`): their sums, and targets of each."""

    nats: list[Number]
    tokens: list[Number]


def _fitting(blocks: BlockLosses) -> BlockLosses:
    if not 0 < len(blocks["nats"]) == len(blocks["tokens"]) or min(blocks["tokens"]) <= 0:
        raise ValueError("as many nats as tokens are expected, one at least, and tokens above 0")
    return blocks


@with_config(_OPEN)
class Memory(TypedDict):
    """How far gradients reach (`Task.memory`); nothing where the data are too few to tell."""

    horizon: NotRequired[Number | None]
    lags: NotRequired[Count]
    rate: NotRequired[Number | None]
    gradient: NotRequired[list[Number | None]]


def _complete(memory: Memory) -> Memory:
    if memory and memory.get("lags", 0) + 1 != len(memory.get("gradient", ())):
        raise ValueError("a gradient at every lag is expected")
    return memory


@with_config(_OPEN)
class Result(TypedDict):
    """Of one training: what seed and data decide; `Task.scores` and, where they are measured, memories beside it."""

    loss: Number
    tokens: Count  # targets learnt from
    learning_rate: Number
    memory: NotRequired[Annotated[Memory, AfterValidator(_complete)]]
    curve: list[tuple[Number, Number, Number | None]]  # step, tokens, loss
    training_curve: list[tuple[Number, Number | None]]  # tokens, loss
    blocks: Annotated[BlockLosses, AfterValidator(_fitting)]


@with_config(_OPEN)
class Trial(TypedDict):
    """A learning rate that was tried."""

    factor: Number
    learning_rate: Number
    loss: Number | None


@with_config(_OPEN)
class StoredPlan(TypedDict):
    """Which trainings there are."""

    models: list[str]
    seed: Count
    seeds: Count


@with_config(_OPEN)
class Known(TypedDict):
    """`comparison.json`: what seed and data decide."""

    format: int
    plan: StoredPlan
    settings: dict[str, dict[str, Any]]
    trials: dict[str, list[Trial]]
    runs: dict[str, Result]
    parameters: NotRequired[dict[str, Count]]
    data: NotRequired[dict[str, Count]]  # how much of everything there is


@with_config(_OPEN)
class Clocked(TypedDict):
    """Of one training: what the clock and the machine said."""

    seconds: Number
    training_tokens_per_second: Number
    decoding_tokens_per_second: NotRequired[Number]
    peak_megabytes: Number | None
    own_share: NotRequired[Number | None]
    others_share: NotRequired[Number | None]
    curve: list[tuple[Number, Number, Number]]  # step, tokens, seconds


@with_config(_OPEN)
class Timing(TypedDict):
    """`timing.json`: what the clock said."""

    runs: dict[str, Clocked]

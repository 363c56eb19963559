"""What the two JSON files of a comparison hold, by name and type; more may be in them."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic needs it until Python 3.12

FORMAT = 1

Number = int | float  # either stays what it is, so that a file that is written again has the same bytes
_OPEN = ConfigDict(extra="allow")


@with_config(_OPEN)
class BlockLosses(TypedDict):
    """Losses of the validation text, block by block (`measure.block_losses`)."""

    nats: list[Number]
    tokens: list[Number]


def _fitting(blocks: BlockLosses) -> BlockLosses:
    if not 0 < len(blocks["nats"]) == len(blocks["tokens"]):
        raise ValueError("as many nats as tokens are expected, and one at least")
    return blocks


@with_config(_OPEN)
class Memory(TypedDict):
    """How far gradients reach (`measure.memory`); nothing where the text is too short to tell."""

    horizon: NotRequired[Number | None]
    lags: NotRequired[int]
    rate: NotRequired[Number | None]
    gradient: NotRequired[list[Number | None]]


@with_config(_OPEN)
class Result(TypedDict):
    """Of one training: what seed and data decide."""

    loss: Number
    bits_per_character: Number
    tokens: int
    learning_rate: Number
    memory: Memory
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
class Data(TypedDict):
    """What all were trained on."""

    training_tokens: int
    validation_tokens: int
    vocabulary: int


@with_config(_OPEN)
class Known(TypedDict):
    """`comparison.json`: what seed and data decide."""

    format: int
    plan: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    trials: dict[str, list[Trial]]
    runs: dict[str, Result]
    parameters: NotRequired[dict[str, int]]
    data: NotRequired[Data]


@with_config(_OPEN)
class Clocked(TypedDict):
    """Of one training: what the clock and the machine said."""

    seconds: Number
    training_tokens_per_second: Number
    decoding_tokens_per_second: Number
    peak_megabytes: Number | None
    own_share: NotRequired[Number | None]
    others_share: NotRequired[Number | None]
    curve: list[tuple[Number, Number, Number]]  # step, tokens, seconds


@with_config(_OPEN)
class Timing(TypedDict):
    """`timing.json`: what the clock said."""

    runs: dict[str, Clocked]

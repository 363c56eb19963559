"""What a reader of another framework's files makes of one: a `LayeredModel`'s configuration and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Imported(NamedTuple):
    """A whole model of another framework."""

    config: dict[str, Any]  # of `elman.models.layered.LayeredModel`
    tensors: dict[str, Tensor]  # its state dict
    notes: tuple[str, ...] = ()  # for people: what the file cannot hold, what was folded, what was guessed
    steps: int | None = None  # that it reads of a sequence, where the file fixes their number


@dataclass(frozen=True)
class ImportOptions:
    """What a person says of a file that the file cannot say; a reader passes over what does not concern it."""

    task: str | None = None
    whole: bool | None = None  # whether an output is of a whole sequence, and not of a step, where the task says so
    labels: int | None = None  # how many, where their names are given
    layers: str | None = None  # a description of the layers of a torch state dict
    # The outputs at masked steps before a row's first real one, read from a state that is not fresh: h of that state
    # (Keras on JAX), or zeros (Keras on torch and TensorFlow).
    leading: Literal["state", "zero"] = "state"

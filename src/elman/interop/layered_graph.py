"""The nodes and tensors of a `LayeredModel`, put together one after another by a reader of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.errors import UserError
from elman.interop.imported import Imported
from elman.models.layered import INPUT, node_key
from elman.models.layered_values import Shape

PROBABILITIES = ("softmax", "sigmoid")


class Symbol(NamedTuple):
    """A value of the model, while it is put together."""

    name: str
    shape: Shape
    mask: frozenset[str] | None = None  # what makes its mask; None: there is none


class LayeredGraph:
    """A `LayeredModel` in the making."""

    def __init__(self) -> None:
        self.input: dict[str, Any] = {}
        self.nodes: list[dict[str, Any]] = []
        self.tensors: dict[str, Tensor] = {}
        self.notes: list[str] = []

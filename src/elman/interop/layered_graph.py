"""The nodes and tensors of a `LayeredModel`, put together one after another by a reader of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.imported import Imported
from elman.models.layered import INPUT, LayeredModel, make_node
from elman.models.layered_values import Shape

PROBABILITIES = ("softmax", "sigmoid")


class Symbol(NamedTuple):
    """A value of the model, while the model is put together."""

    name: str
    shape: Shape
    mask: frozenset[str] = frozenset()  # what its mask is made of; empty: there is none

    @property
    def size(self) -> int:
        """The size F. Raises `UserError` for tokens."""
        if self.shape.size is None:
            raise UserError("input", expected="numbers", got="tokens", remedy="an embedding reads these")
        return self.shape.size


class LayeredGraph:
    """A `LayeredModel` in the making, which begins with its input."""

    def __init__(self, channels: int | None) -> None:
        self.source = Symbol(INPUT, Shape(channels, True))
        self._nodes: dict[str, dict[str, Any]] = {}
        self._tensors: dict[str, Mapping[str, Tensor]] = {}
        self._notes: dict[str, None] = {}

    def add(
        self, op: str, name: str, *given: Symbol, tensors: Mapping[str, Numbers | Tensor] | None = None, **options: Any
    ) -> Symbol:
        """The value that a node makes; its mask is that of the first value before it, while there are steps.

        Raises:
            UserError: options or values that do not fit the operation, or a name that there is already.
        """
        settings = {"op": op, "name": name, "inputs": [value.name for value in given], **options}
        if name in self._nodes or name == INPUT:
            raise UserError("name", expected="one that no other layer has", got=repr(name))
        with torch.device("meta"):
            node = make_node(settings)
        shape = node.shape([value.shape for value in given])
        self._nodes[name] = settings
        self._tensors[name] = {
            f"layer.{key}": value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
            for key, value in (tensors or {}).items()
        }
        return Symbol(name, shape, given[0].mask if shape.per_step else frozenset())

    def note(self, words: str) -> None:
        """Say something to the person, once."""
        self._notes[words] = None

    def imported(self, framework: str, output: Symbol, otherwise: str) -> Imported:
        """The finished model; `otherwise` is the kind of an output that no softmax or sigmoid makes."""
        if output.name == INPUT:
            raise UserError("the model", expected="at least one layer that computes", got="none")
        last = self._nodes[output.name]
        ends = last["op"] == "activation" and last["function"] in PROBABILITIES and last["inputs"] != [INPUT]
        own = {"kind": "values", "channels": self.source.shape.size}
        if self.source.shape.size is None:
            rows = [node["rows"] for node in self._nodes.values() if node["op"] == "embedding"]
            own = {"kind": "tokens", "vocab_size": min(rows)}
        config = {
            "model": "imported",
            "framework": framework,
            "input": own,
            "nodes": [*self._nodes.values()],
            "output": output.name,
            "output_kind": "probabilities" if ends else otherwise,
            "logits": last["inputs"][0] if ends else None,
            "outputs": output.size,
            "per_step": output.shape.per_step,
        }
        with torch.device("meta"):
            model = LayeredModel(config)
        places = zip(model.named_nodes, model.nodes, strict=True)
        tensors = {f"nodes.{key}.{tail}": t for name, key in places for tail, t in self._tensors[name].items()}
        return Imported(config, tensors, tuple(self._notes))

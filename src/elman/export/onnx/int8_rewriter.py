"""A copy of an ONNX graph in which nodes are replaced and weights become bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from elman.arrays import Numbers
from elman.export.quantisation import quantise

MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operators
FEWEST = 1024  # weights of an array: a smaller one saves nothing


class Rewriter:
    """The changes of one model. Weights live in the outermost graph, where the bodies of loops see them."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.model = model
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.transposed: dict[str, str] = {}  # a name that a Transpose node gives to an initializer
        self.made: dict[tuple[str, ...], tuple[str, str]] = {}  # bytes and scales by weight and use
        self.stored: dict[str, Numbers] = {}  # new weights by name
        self.number = 0

    def run(self, changes: Mapping[str, Change]) -> None:
        """Rewrite every graph by the changes of operators, and drop the weights that nothing reads any more."""
        self._rewrite(self.model.graph, changes)
        if MICROSOFT not in {entry.domain for entry in self.model.opset_import}:
            self.model.opset_import.add(domain=MICROSOFT, version=1)
        while self._drop_unread():
            pass

    def _rewrite(self, graph: Any, changes: Mapping[str, Change]) -> None:
        for node in graph.node:
            if node.op_type == "Transpose" and node.input[0] in self.arrays and _permutation(node) == [1, 0]:
                self.transposed[node.output[0]] = node.input[0]
        nodes = []
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self._rewrite(attribute.g, changes)
            change = changes.get(node.op_type) if node.domain in ("", MICROSOFT) else None
            changed = change(self, node) if change else None
            nodes += [node] if changed is None else changed
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _drop_unread(self) -> bool:
        """Remove initializers that no node reads, and nodes of the outermost graph that only they feed."""
        graph = self.model.graph
        read = set(_read(graph)) | {value.name for value in graph.output}
        unread = [tensor for tensor in graph.initializer if tensor.name not in read]
        idle = [node for node in graph.node if node.op_type == "Transpose" and not read & set(node.output)]
        for tensor in unread:
            graph.initializer.remove(tensor)
        for node in idle:
            graph.node.remove(node)
        return bool(unread or idle)

    # Weights

    def name(self, word: str) -> str:
        """A name that nothing in the model has."""
        self.number += 1
        return f"int8.{word}.{self.number}"

    def store(self, word: str, array: Numbers) -> str:
        """The name of a new weight of the outermost graph."""
        from onnx import numpy_helper

        name = self.name(word)
        self.stored[name] = array
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def weight(self, name: str) -> Numbers | None:
        """A large float32 matrix: an initializer, or what a Transpose node makes of one; None for any other name."""
        array = self.arrays.get(self.transposed.get(name, name))
        if array is None or array.dtype != np.float32 or array.size < FEWEST:
            return None
        return array.T if name in self.transposed else array

    def product_weight(self, name: str, matrix: Numbers) -> tuple[str, str]:
        """Bytes (inputs, outputs) and scales (outputs,) of a matrix by the name of what it is made of."""
        if (name, "product") not in self.made:
            values, scales = quantise(matrix, axis=0)
            self.made[name, "product"] = self.store("weight", values), self.store("scales", scales)
        return self.made[name, "product"]

    def product(self, x: str, name: str, matrix: Numbers, output: str, bias: str = "") -> list[Any]:
        """Nodes for output = x W + bias, where W is `matrix`."""
        from onnx import TensorProto, helper

        weight, scales = self.product_weight(name, matrix)
        values, scale, zero = self.name("x"), self.name("scale"), self.name("zero")
        sums, cast, scaled, both = (self.name(word) for word in ("sums", "cast", "scaled", "both"))
        nodes = [
            helper.make_node("DynamicQuantizeLinear", [x], [values, scale, zero]),
            helper.make_node("MatMulInteger", [values, weight, zero], [sums]),
            helper.make_node("Cast", [sums], [cast], to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, scales], [both]),
            helper.make_node("Mul", [cast, both], [scaled if bias else output]),
        ]
        return [*nodes, helper.make_node("Add", [scaled, bias], [output])] if bias else nodes


Change: TypeAlias = Callable[[Rewriter, Any], list[Any] | None]
"""The nodes that come in the place of a node; None: it stays."""


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _permutation(node: Any) -> Sequence[int] | None:
    return attributes_of(node).get("perm")


def _read(graph: Any) -> list[str]:
    """Every name that a node reads, in the bodies of loops too."""
    names = []
    for node in graph.node:
        names += node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names += [*_read(attribute.g), *(value.name for value in attribute.g.output)]
    return names

"""An ONNX file as nodes, constants, inputs and outputs; external data are refused, and no path is followed.

The numbers of fields are those of onnx.proto3, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.interop.onnx.protobuf import Field, Message, WireReader
from elman.reading import Unreadable, check_file

LARGEST = 2**31  # bytes of a file: protocol buffers have no larger ones
OPSETS = (7, 26)
MOST_NODES = 50_000
LONGEST = 100  # letters of a name that are said
SCHEMA = {
    "model": {
        1: Field("ir_version", "int"),
        2: Field("producer_name", "text"),
        3: Field("producer_version", "text"),
        7: Field("graph", "graph"),
        8: Field("opset_import", "opset", True),
    },
    "opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "graph": {
        1: Field("node", "node", True),
        5: Field("initializer", "tensor", True),
        11: Field("input", "value", True),
        12: Field("output", "value", True),
        15: Field("sparse_initializer", "bytes", True),
    },
    "node": {
        1: Field("input", "text", True),
        2: Field("output", "text", True),
        3: Field("name", "text"),
        4: Field("op_type", "text"),
        5: Field("attribute", "attribute", True),
        7: Field("domain", "text"),
    },
    "attribute": {
        1: Field("name", "text"),
        2: Field("f", "bytes"),
        3: Field("i", "int"),
        4: Field("s", "bytes"),
        5: Field("t", "tensor"),
        7: Field("floats", "bytes", True),
        8: Field("ints", "int", True),
        9: Field("strings", "bytes", True),
        20: Field("type", "int"),
    },
    "tensor": {
        1: Field("dims", "int", True),
        2: Field("data_type", "int"),
        4: Field("float_data", "bytes", True),
        5: Field("int32_data", "int", True),
        7: Field("int64_data", "int", True),
        8: Field("name", "text"),
        9: Field("raw_data", "bytes"),
        10: Field("double_data", "bytes", True),
        13: Field("external_data", "bytes", True),
        14: Field("data_location", "int"),
    },
    "value": {1: Field("name", "text"), 2: Field("type", "type")},
    "type": {1: Field("tensor_type", "tensor_type")},
    "tensor_type": {1: Field("elem_type", "int"), 2: Field("shape", "shape")},
    "shape": {1: Field("dim", "dim", True)},
    "dim": {1: Field("dim_value", "int"), 2: Field("dim_param", "text")},
}
DTYPES = {1: "f4", 2: "u1", 3: "i1", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}
# Where the numbers of a dtype stand if they are not raw.
TYPED = {"f4": "float_data", "f8": "double_data", "i8": "int64_data"}


@dataclass(frozen=True)
class GraphNode:
    """A node of a graph: an operator, the names of its inputs ("" where one is left out) and outputs."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)  # int, float, str, lists of them, arrays

    def __str__(self) -> str:
        return f"{shown(self.op)} {(self.name or next(iter(self.outputs), ''))[:LONGEST]!r}"


@dataclass(frozen=True)
class GraphInput:
    """An input of a graph."""

    name: str
    dtype: str  # as NumPy names it, or "" where the file does not say, or another
    dims: tuple[int | str, ...] | None  # a number, a symbol, or "" for an unknown one


@dataclass(frozen=True)
class OnnxGraph:
    """A graph with its constants; nodes are in an order in which they can be computed."""

    nodes: tuple[GraphNode, ...]
    constants: dict[str, Numbers]
    inputs: tuple[GraphInput, ...]  # without those that have constants
    outputs: tuple[str, ...]
    opset: int
    producer: str


def read_graph(path: Path) -> OnnxGraph:
    """The graph of an ONNX file. Raises `UserError` for a damaged file and for what is understood here by nobody."""
    check_file(path)
    if (size := path.stat().st_size) > LARGEST:
        raise UserError(f"{path}", expected=f"an ONNX file of at most {LARGEST} bytes", got=size)
    model = WireReader(SCHEMA, memoryview(path.read_bytes()), f"{path}").message("model")
    if "graph" not in model or "opset_import" not in model:
        raise Unreadable(f"{path} is no ONNX file (it holds no graph)")
    versions = {opset.get("domain", "") or "ai.onnx": opset.get("version", 0) for opset in model["opset_import"]}
    opset = versions.get("ai.onnx", 0)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        expected = f"operators of ONNX's opset {OPSETS[0]} to {OPSETS[1]}"
        raise UserError(f"{path}", expected=expected, got=f"opset {opset}")
    if model["graph"].get("sparse_initializer"):
        raise UserError(f"{path} has sparse initializers, which are not understood here")
    producer = f"{model.get('producer_name', '')} {model.get('producer_version', '')}".strip()
    try:
        return _graph(model["graph"], opset, producer)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def shown(name: str) -> str:
    """A name of a file in a line for people."""
    return name[:LONGEST] if name.isprintable() else repr(name[:LONGEST])


def _graph(graph: Message, opset: int, producer: str) -> OnnxGraph:
    if len(graph.get("node", [])) > MOST_NODES:
        raise UserError("the graph", expected=f"at most {MOST_NODES:,} nodes", got=len(graph["node"]))
    constants = {tensor.get("name", ""): _array(tensor) for tensor in graph.get("initializer", [])}
    return OnnxGraph(
        tuple(_node(node) for node in graph.get("node", [])),
        constants,
        tuple(port for value in graph.get("input", []) if (port := _port(value)).name not in constants),
        tuple(value.get("name", "") for value in graph.get("output", [])),
        opset,
        producer,
    )


def _node(message: Message) -> GraphNode:
    op, domain = message.get("op_type", ""), message.get("domain", "")
    node = GraphNode(
        op if domain in ("", "ai.onnx") else f"{domain}.{op}",
        message.get("name", ""),
        tuple(message.get("input", [])),
        tuple(message.get("output", [])),
    )
    for each in message.get("attribute", []):
        node.attributes[each.get("name", "")] = _attribute(each)
    return node


def _attribute(message: Message) -> Any:
    """The value of an attribute, by its type where that is said; None for one of a type that no reader here needs."""
    kind = message.get("type", 0)
    if kind == 1:
        return float(_floats([message["f"]], "<f4")[0]) if "f" in message else 0.0
    if kind == 2:
        return message.get("i", 0)
    if kind == 3:
        return _string(message.get("s", b""))
    if kind == 4:
        return _array(message.get("t", {}))
    if kind == 6:
        return [float(value) for value in _floats(message.get("floats", []), "<f4")]
    if kind == 7:
        return list(message.get("ints", []))
    if kind == 8:
        return [_string(value) for value in message.get("strings", [])]
    return None


def _string(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace")


def _floats(parts: Sequence[memoryview], dtype: str) -> Numbers:
    data = b"".join(parts)
    size = np.dtype(dtype).itemsize
    if len(data) % size:
        raise UserError(f"numbers of {size} bytes are expected, and there are {len(data)} bytes")
    return np.frombuffer(data, dtype)


def _array(message: Message) -> Numbers:
    """A tensor as an array: as many numbers as its shape says, all of them in the file itself."""
    name, dims = f"the tensor {message.get('name', '')!r}", tuple(message.get("dims", []))
    if message.get("data_location") or message.get("external_data"):
        remedy = "save the model in one file: onnx.save(model, FILE, save_as_external_data=False)"
        raise UserError(f"{name} lies in another file, and no other file is read", remedy=remedy)
    if (dtype := DTYPES.get(message.get("data_type", 0))) is None:
        got = f"type {message.get('data_type', 0)}"
        raise UserError(name, expected="numbers of a dtype that NumPy has", got=got)
    if any(size < 0 for size in dims) or len(dims) > 8:
        raise UserError(f"{name} is damaged (its shape is {dims})")
    if "raw_data" in message:
        values = _floats([message["raw_data"]], f"<{dtype}" if dtype != "?" else dtype)
    elif dtype in ("f4", "f8"):
        values = _floats(message.get(TYPED[dtype], []), f"<{dtype}")
    else:
        values = _integers(message.get(TYPED.get(dtype, "int32_data"), []), dtype, name)
    if prod(dims) != len(values):
        raise UserError(f"{name} is damaged (it has {len(values)} numbers, and its shape is {dims})")
    return values.reshape(dims)


def _integers(values: Sequence[int], dtype: str, name: str) -> Numbers:
    if dtype == "f2":  # the bits of each number
        return _integers(values, "u2", name).view("f2")
    try:
        return np.array(values, "i8").astype(dtype) if dtype == "?" else np.array(values, dtype)
    except OverflowError:
        raise UserError(f"{name} is damaged (it has numbers beyond its dtype)") from None


def _port(message: Message) -> GraphInput:
    kind = message.get("type", {}).get("tensor_type", {})
    dims = None
    if "shape" in kind:
        dims = tuple(dim.get("dim_value", dim.get("dim_param", "")) for dim in kind["shape"].get("dim", []))
    return GraphInput(message.get("name", ""), DTYPES.get(kind.get("elem_type", 0), ""), dims)

"""A graph of ONNX under construction, whose values have the operators and methods of torch's tensors.

So a function that is written for tensors, such as the step of a cell, draws its graph when it is called with values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.onnx.functions import FUNCTIONS

OPSET, IR_VERSION = 14, 8  # as in the forms that were right in every runtime
TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}
COMPARISONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "IsNaN")
SHAPES = ("Shape", "Size", "NonZero", "ArgMax", "ArgMin")
MOST_BYTES = 2**31 - 1  # of a protocol buffer
Shape: TypeAlias = Sequence[int | str]
"""Sizes, and the names of sizes that are open."""


def key_of(array: Numbers) -> tuple[Any, ...]:
    """What equal arrays have in common."""
    return array.dtype.str, array.shape, hashlib.sha256(np.ascontiguousarray(array).data).digest()


def _operator(name: str) -> Callable[..., Value]:
    """A method, for Python looks for operators in the class alone."""
    return lambda self, *others: FUNCTIONS[name](self.graph, self, *others)


class Value:
    """A tensor that the graph computes."""

    __add__, __radd__, __sub__, __rsub__ = map(_operator, ("add", "radd", "sub", "rsub"))
    __mul__, __rmul__, __truediv__, __rtruediv__ = map(_operator, ("mul", "rmul", "truediv", "rtruediv"))
    __matmul__, __neg__, __mod__, __invert__ = map(_operator, ("matmul", "neg", "mod", "invert"))
    __eq__, __ne__, __lt__, __le__ = map(_operator, ("eq", "ne", "lt", "le"))  # type: ignore[assignment]
    __gt__, __ge__, __and__, __or__ = map(_operator, ("gt", "ge", "and", "or"))
    __hash__ = object.__hash__

    def __init__(self, graph: Graph, name: str, dtype: str) -> None:
        self.graph, self.name, self.dtype = graph, name, dtype

    def __repr__(self) -> str:
        return f"{self.name} ({self.dtype})"

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A function of torch of a value; also the operators of a tensor and a value."""
        name = function.__name__.strip("_")
        if name not in FUNCTIONS:
            raise UserError(f"no graph of ONNX for torch's function {name}")
        value = next(argument for argument in args if isinstance(argument, Value))
        return FUNCTIONS[name](value.graph, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"no graph of ONNX for a tensor's {name}")
        return lambda *args, **kwargs: FUNCTIONS[name](self.graph, self, *args, **kwargs)


class Graph:
    """Nodes in the order of their calls. Every argument of a node is a value, or an array or number as a constant.

    Args:
        name: of the graph.
        module: its parameters keep their names in the file.
        outer: of the body of a loop, the graph around the loop, whose values the body can use.
    """

    def __init__(self, name: str, module: nn.Module | None = None, outer: Graph | None = None) -> None:
        self.name, self.outer = name, outer
        self.root: Graph = outer.root if outer else self
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.states: list[str] = []  # of the next inputs and outputs, by pairs
        self.weights: dict[tuple[Any, ...], tuple[str, Numbers]] = {}
        self.types: dict[str, str] = {}  # of the inputs, by name
        self.names = {} if module is None else {id(value): name for name, value in module.named_parameters()}
        self.used: dict[str, int] = {}

    # The parts of a graph

    def input(self, name: str, dtype: str, shape: Shape) -> Value:
        """An input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))
        self.types[name] = dtype
        return Value(self, name, dtype)

    def output(self, name: str, value: Value, shape: Shape) -> None:
        """Give a value as an output of the graph, under a name of its own."""
        self.nodes.append(helper.make_node("Identity", [value.name], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, TYPES[value.dtype], list(shape)))

    def state(self, shape: Shape, dtype: str = "float32") -> Value:
        """The next tensor of the state before, `state_0` and so on; `next_state` gives the same one after."""
        return self.input(f"state_{len([n for n in self.types if n.startswith('state_')])}", dtype, shape)

    def next_state(self, value: Value, shape: Shape) -> None:
        """The next tensor of the state after."""
        self.states.append(f"next_state_{len(self.states)}")
        self.output(self.states[-1], value, shape)

    def weight(self, array: Any, name: str = "") -> Value:
        """An array as a constant; equal arrays are one."""
        name = name or self.root.names.get(id(array), "")
        if isinstance(array, Tensor):
            array = array.detach().cpu().numpy()
        array = np.asarray(array)
        array = np.ascontiguousarray(array).reshape(array.shape)  # which makes a number a vector
        root, key = self.root, key_of(array)
        if key not in root.weights:
            root.weights[key] = self.fresh(name or "constant"), array
        return Value(self, root.weights[key][0], array.dtype.name)

    def holds(self, array: Numbers) -> bool:
        """Whether an array is a constant already."""
        return key_of(array) in self.root.weights

    def add(self, op: str, *inputs: Any, dtype: str = "", **attributes: Any) -> Value:
        """The output of a node. `dtype`, by default that of the first value, or what the operator alone gives."""
        return self.add_many(op, 1, *inputs, dtype=dtype, **attributes)[0]

    def add_many(self, op: str, count: int, *inputs: Any, dtype: str = "", **attributes: Any) -> list[Value]:
        """All outputs of a node, each named."""
        like = next((each.dtype for each in inputs if isinstance(each, Value)), "float32")
        names = [self._name_of(each, like) for each in inputs]
        made = "bool" if op in COMPARISONS else "int64" if op in SHAPES else like
        name = self.fresh(op)
        outputs = [name] if count == 1 else [f"{name}.{n}" for n in range(count)]
        domain = attributes.pop("domain", "")
        self.nodes.append(helper.make_node(op, names, outputs, name=name, domain=domain, **attributes))
        return [Value(self, output, dtype or made) for output in outputs]

    def cast(self, value: Value, dtype: str) -> Value:
        """The value in another type."""
        return value if value.dtype == dtype else self.add("Cast", value, dtype=dtype, to=TYPES[dtype])

    def size(self, value: Value, axis: int) -> Value:
        """One size of a value, int64 (1,)."""
        return self.add("Slice", self.add("Shape", value), np.array([axis]), np.array([axis + 1]))

    def shape(self, *sizes: Value | int) -> Value:
        """Sizes as a shape: each is an int64 (1,) or a number."""
        parts = [size if isinstance(size, Value) else np.array([size]) for size in sizes]
        if not any(isinstance(part, Value) for part in parts):
            return self.weight(np.concatenate(parts))
        return self.add("Concat", *parts, axis=0, dtype="int64")

    def zeros(self, *sizes: Value | int) -> Value:
        """Zeros, float32."""
        zero = numpy_helper.from_array(np.zeros(1, np.float32))  # the default, which not every runtime knows
        return self.add("ConstantOfShape", self.shape(*sizes), dtype="float32", value=zero)

    def fresh(self, word: str) -> str:
        """A name that no other value has: in the graph, nor in the bodies of its loops."""
        count = self.root.used.get(word, 0)
        self.root.used[word] = count + 1
        return f"{word}_{count}" if count or "." not in word else word

    def _name_of(self, value: Any, dtype: str) -> str:
        if value is None:
            return ""  # an optional input that is left out
        if isinstance(value, Value):
            return value.name
        if isinstance(value, bool | int | float):
            value = np.array(value, dtype)
        return self.weight(value).name

    # What is made of it

    def proto(self) -> Any:
        """The graph as the message that holds it."""
        weights = [numpy_helper.from_array(array, name) for name, array in self.weights.values()]
        return helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, weights)

    def model(self, metadata: Mapping[str, str]) -> ModelProto:
        """The whole model. Raises `UserError` where it is larger than a file of ONNX can be."""
        import onnx

        size = sum(array.nbytes for _, array in self.weights.values())
        if size > MOST_BYTES:
            raise UserError("the model is too large for one file of ONNX", expected=f"{MOST_BYTES:,} bytes", got=size)
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(self.proto(), opset_imports=opsets, ir_version=IR_VERSION, producer_name="elman")
        helper.set_model_props(made, dict(metadata))
        onnx.checker.check_model(made)
        return made

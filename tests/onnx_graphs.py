"""ONNX graphs drawn by hand, as exporters lay them out, and onnxruntime's answers to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32


class Drawing:
    """A graph while nodes are added, with weights drawn from a seed."""

    def __init__(self, seed: int = 0, opset: int = 17) -> None:
        self.random, self.opset = np.random.default_rng(seed), opset
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[Any] = []
        self.outputs: list[str] = []

    def input(self, name: str, kind: int, *shape: int | str) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: Any, dtype: str | None = None) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype)
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.standard_normal(shape) * 0.5, "f4")

    def node(self, op: str, *inputs: str | list[int], outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """The name of the output, or names; lists become constants of integers."""
        given = [self.constant(each, "i8") if isinstance(each, list) else each for each in inputs]
        names = [f"{op.lower()}_{len(self.nodes)}_{n}" for n in range(outputs)]
        self.nodes.append(
            helper.make_node(op, given, names, name=f"{op}_{len(self.nodes)}", domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def layer(
        self, kind: str, x: str, D: int, H: int, *, lengths: str = "", state: tuple[str, ...] = (),
        bias: bool = True, peepholes: bool = False, **attributes: Any,
    ) -> list[str]:  # fmt: skip
        """The names of Y, Y_h and of an LSTM Y_c."""
        n = 2 if attributes.get("direction") == "bidirectional" else 1
        G = GATES[kind] * H
        parts = [self.weight(n, G, D), self.weight(n, G, H), self.weight(n, 2 * G) if bias else "", lengths, *state]
        if peepholes:
            parts += [""] * (6 - len(parts)) + [self.weight(n, 3 * H)]
        while not parts[-1]:
            parts.pop()
        outputs = 3 if kind == "LSTM" else 2
        return self.node(kind, x, *parts, outputs=outputs, hidden_size=H, **attributes)

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            self.inputs,
            [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="by hand")

    def write(self, path: Path, *outputs: str) -> Path:
        path.write_bytes(self.model(*outputs).SerializeToString())
        return path


def run(path: Path, **feeds: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)

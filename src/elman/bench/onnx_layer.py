"""A layer of torch.nn as an ONNX model, and onnxruntime's session for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.cells import CELLS
from elman.interop import Convention, from_arrays, to_arrays

CONVENTIONS: dict[str, str | Convention] = {
    "elman": "onnx.RNN",
    "gru": "onnx.GRU_linear_before_reset",
    "lstm": "onnx.LSTM",
}
OPSET, IR_VERSION = 14, 8  # the oldest with today's operators: every onnxruntime reads them
TOLERANCE = 1e-4


def missing_package() -> str | None:
    """The first of the two packages needed here that is not installed."""
    return next((name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None), None)


def to_onnx(cell: str, layer: nn.RNNBase, x: Tensor) -> Any:
    """The ONNX model of one layer in one direction that reads inputs of x's shape (T, B, D) from a state of zeros.

    Its outputs are `Y` (T, 1, B, H), `Y_h` (1, B, H) and the LSTM's `Y_c` (1, B, H).
    """
    from onnx import TensorProto, helper, numpy_helper

    T, B, _ = x.shape
    H, specification = layer.hidden_size, CELLS[cell]
    own = from_arrays(f"torch.{specification.torch_layer}", layer.state_dict())
    initializers = to_arrays(own, CONVENTIONS[cell])
    outputs = {"Y": (T, 1, B, H), "Y_h": (1, B, H)} | ({"Y_c": (1, B, H)} if len(specification.states) > 1 else {})
    # The reset gate acts after the matmul.
    attributes: dict[str, Any] = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(
        str(specification.torch_layer), ["x", *initializers], [*outputs], hidden_size=H, **attributes
    )
    graph = helper.make_graph(
        [node],
        cell,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def runner(cell: str, layer: nn.RNNBase, x: Tensor, threads: int) -> Callable[[], list[np.ndarray]]:
    """A call of onnxruntime that computes the layer's outputs of x (T, B, D), which are checked here."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin between two calls, waiting for work, would slow down the other contestants.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        to_onnx(cell, layer, x).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"x": x.detach().numpy()}
    with torch.inference_mode():
        expected = layer(x)[0].numpy()
    difference = np.abs(session.run(None, feeds)[0][:, 0] - expected).max()
    assert difference <= TOLERANCE, f"onnxruntime's {cell} is not torch's: they differ by {difference:.1e}"
    return lambda: session.run(None, feeds)

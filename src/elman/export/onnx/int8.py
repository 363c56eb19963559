"""An ONNX graph with weights of one byte: dynamic quantisation, written for onnxruntime.

    w_q = round(w / s),  s = max |w| / 127                     a scale for each output of a product, each row of a table
    x W ≈ s_x s (x_q − z_x) W_q                                x is quantised when it arrives: 8 bits, a scale, a zero

Weights of products, of tables of embeddings and of recurrent layers take a quarter of their bytes; states, sums and
nonlinearities stay in float32. onnxruntime has an operator for the LSTM, `DynamicQuantizeLSTM`, and leaves a GRU or an
Elman network in float32 without a word: here they become a `Scan` over integer products of ONNX's own operators.

A scale of x belongs to all that is read in one call, so that results depend a little on the rows beside a row. See
Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.export.onnx.int8_loop import scan
from elman.export.onnx.int8_rewriter import MICROSOFT, Change, Rewriter, attributes_of
from elman.export.quantisation import quantise


def to_int8(model: Any) -> Any:
    """A copy of an ONNX model whose large weights are bytes; it computes about the same.

    Products, tables, LSTM, GRU and RNN nodes are changed, in the bodies of loops too. Other nodes stay as they are.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    Rewriter(copy).run(CHANGES)
    return copy


def _matmul(rewriter: Rewriter, node: Any) -> list[Any] | None:
    """x W of a matrix W of weights."""
    x, name = node.input
    matrix = rewriter.weight(name)
    if matrix is None or matrix.ndim != 2:
        return None
    return rewriter.product(x, name, matrix, node.output[0])


def _gemm(rewriter: Rewriter, node: Any) -> list[Any] | None:
    """x W + b, or x Wᵀ + b."""
    options = attributes_of(node)
    plain = not options.get("transA", 0) and options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0
    matrix = rewriter.weight(node.input[1])
    if matrix is None or not plain:
        return None
    by, matrix = ("ᵀ", matrix.T) if options.get("transB", 0) else ("", matrix)
    bias = node.input[2] if len(node.input) > 2 else ""
    return rewriter.product(node.input[0], node.input[1] + by, matrix, node.output[0], bias)


def _gather(rewriter: Rewriter, node: Any) -> list[Any] | None:
    """Rows of a table of weights, each with a scale of its own."""
    from onnx import TensorProto, helper

    name, index = node.input
    table = rewriter.weight(name)
    if table is None or table.ndim != 2 or attributes_of(node).get("axis", 0) != 0:
        return None
    if (name, "table") not in rewriter.made:
        values, scales = quantise(table, axis=1)
        rewriter.made[name, "table"] = rewriter.store("table", values), rewriter.store("scales", scales[:, None])
    weight, scales_name = rewriter.made[name, "table"]
    rows, cast, scale = (rewriter.name(word) for word in ("rows", "cast", "scale"))
    return [
        helper.make_node("Gather", [weight, index], [rows]),
        helper.make_node("Gather", [scales_name, index], [scale]),
        helper.make_node("Cast", [rows], [cast], to=TensorProto.FLOAT),
        helper.make_node("Mul", [cast, scale], [node.output[0]]),
    ]


def _lstm(rewriter: Rewriter, node: Any) -> list[Any] | None:
    """onnxruntime's own operator: a scale for each row of W and R, states in float32."""
    from onnx import helper

    W, R = (rewriter.weight(name) for name in node.input[1:3])
    if W is None or R is None:
        return None
    matrices, scales = [], []
    for matrix in (W, R):
        values, scale = quantise(matrix.transpose(0, 2, 1), axis=1)
        matrices.append(rewriter.store("weight", values))
        scales += [rewriter.store("scales", scale), rewriter.store("zeros", np.zeros_like(scale, np.int8))]
    others = [*node.input[3:], *[""] * 5][:5]  # B, sequence_lens, initial_h, initial_c, P
    inputs = [node.input[0], *matrices, *others, *scales]
    made = helper.make_node("DynamicQuantizeLSTM", inputs, list(node.output), name=node.name, domain=MICROSOFT)
    made.attribute.extend(attribute for attribute in node.attribute if attribute.name != "layout")
    return [made]


CHANGES: dict[str, Change] = {
    "MatMul": _matmul, "Gemm": _gemm, "Gather": _gather, "LSTM": _lstm, "GRU": scan, "RNN": scan
}  # fmt: skip

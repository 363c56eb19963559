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

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Numbers
from elman.export.quantisation import quantise

MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operators
FEWEST = 1024  # weights of an array: a smaller one saves nothing
GATES = {"GRU": 3, "RNN": 1}


def to_int8(model: Any) -> Any:
    """A copy of an ONNX model whose large weights are bytes; it computes about the same.

    Products, tables, LSTM, GRU and RNN nodes are changed, in the bodies of loops too. Other nodes stay as they are.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _Rewriter(copy).run()
    return copy


class _Rewriter:
    """The changes of one model. Weights live in the outermost graph, where the bodies of loops see them."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.model = model
        self.arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.transposed: dict[str, str] = {}  # a name that a Transpose node gives to an initializer
        self.made: dict[tuple[str, ...], tuple[str, str]] = {}  # bytes and scales by weight and use
        self.stored: dict[str, Numbers] = {}  # new weights by name
        self.number = 0

    def run(self) -> None:
        """Rewrite every graph, and drop the weights that nothing reads any more."""
        self._rewrite(self.model.graph)
        if MICROSOFT not in {entry.domain for entry in self.model.opset_import}:
            self.model.opset_import.add(domain=MICROSOFT, version=1)
        while self._drop_unread():
            pass

    def _rewrite(self, graph: Any) -> None:
        for node in graph.node:
            if node.op_type == "Transpose" and node.input[0] in self.arrays and _permutation(node) == [1, 0]:
                self.transposed[node.output[0]] = node.input[0]
        nodes = []
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self._rewrite(attribute.g)
            change = CHANGES.get(node.op_type) if node.domain in ("", MICROSOFT) else None
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
        """A name that the model has not."""
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
        """A large float32 matrix, such as an initializer is or a Transpose node makes of one."""
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


def _matmul(rewriter: _Rewriter, node: Any) -> list[Any] | None:
    """x W of a matrix W of weights."""
    x, name = node.input
    matrix = rewriter.weight(name)
    if matrix is None or matrix.ndim != 2:
        return None
    return rewriter.product(x, name, matrix, node.output[0])


def _gemm(rewriter: _Rewriter, node: Any) -> list[Any] | None:
    """x W + b, or x Wᵀ + b."""
    options = _attributes(node)
    plain = not options.get("transA", 0) and options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0
    matrix = rewriter.weight(node.input[1])
    if matrix is None or not plain:
        return None
    by, matrix = ("ᵀ", matrix.T) if options.get("transB", 0) else ("", matrix)
    bias = node.input[2] if len(node.input) > 2 else ""
    return rewriter.product(node.input[0], node.input[1] + by, matrix, node.output[0], bias)


def _gather(rewriter: _Rewriter, node: Any) -> list[Any] | None:
    """Rows of a table of weights, each with a scale of its own."""
    from onnx import TensorProto, helper

    name, index = node.input
    table = rewriter.weight(name)
    if table is None or table.ndim != 2 or _attributes(node).get("axis", 0) != 0:
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


def _lstm(rewriter: _Rewriter, node: Any) -> list[Any] | None:
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


def _scan(rewriter: _Rewriter, node: Any) -> list[Any] | None:
    """A GRU of either kind or an Elman network as a loop a direction; default activations, or relu."""
    from onnx import helper

    options, (x, w, r, b) = _attributes(node), node.input[:4]
    W, R, biases = rewriter.weight(w), rewriter.weight(r), rewriter.arrays.get(b)
    known = not set(options) - {"hidden_size", "direction", "linear_before_reset", "activations"}
    if W is None or R is None or biases is None or not known or len(node.input) < 6 or node.input[4]:
        return None
    G = GATES[node.op_type]
    reverse = {b"forward": [0], b"reverse": [1], b"bidirectional": [0, 1]}[options.get("direction", b"forward")]
    usual = [b"Sigmoid", b"Tanh"][-2 if G == 3 else -1 :] * len(reverse)
    activations = options.get("activations", usual)
    activation = "Relu" if G == 1 and activations == [b"Relu"] * len(reverse) else "Tanh"
    if activation == "Tanh" and activations != usual:
        return None
    nodes, steps, last = list[Any](), list[str](), list[str]()
    for d, backward in enumerate(reverse):
        inputs, start = rewriter.name("inputs"), rewriter.name("start")
        Wb, Rb = (rewriter.store("bias", part) for part in np.split(biases[d], 2))
        nodes += rewriter.product(x, f"{w}[{d}]", W[d].T, inputs, Wb)
        place = rewriter.store("direction", np.array(d, np.int64))
        nodes.append(helper.make_node("Gather", [node.input[5], place], [start], axis=0))
        step = LoopStep(rewriter, f"{r}[{d}]", R[d].T, Rb, *map(rewriter.name, ("x_t", "h", "h_n")))
        body = step.elman(activation) if G == 1 else step.gru(options.get("linear_before_reset", 0) == 1)
        loop, outputs, after = step.loop(body, start, inputs, backward)
        nodes.append(loop)
        for name, kept, axis in ((outputs, steps, 1), (after, last, 0)):
            kept.append(rewriter.name("wide"))
            axes = rewriter.store("axes", np.array([axis], np.int64))
            nodes.append(helper.make_node("Unsqueeze", [name, axes], [kept[-1]]))
    for names, output, axis in ((steps, node.output[0], 1), (last, [*node.output, ""][1], 0)):
        if output:
            nodes.append(helper.make_node("Concat", names, [output], axis=axis))
    return nodes


class LoopStep(NamedTuple):
    """One step of a layer, as nodes of a loop's body."""

    rewriter: _Rewriter
    weight: str  # the name of R
    R: Numbers  # (H, gates · H)
    bias: str  # the name of R's (gates · H)
    x: str  # W x + b of all gates
    h: str  # the state before
    h_n: str  # the state after

    def loop(self, body: list[Any], start: str, inputs: str, backward: int) -> tuple[Any, str, str]:
        """A loop over the steps of the inputs, the names of its outputs and of the state after all of them."""
        from onnx import TensorProto, helper

        H, rows = self.R.shape
        y, outputs, after = map(self.rewriter.name, ("y_t", "outputs", "after"))
        sizes = {self.h: H, self.x: rows, self.h_n: H, y: H}
        kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name, size in sizes.items()]
        body = [*body, helper.make_node("Identity", [self.h_n], [y])]
        scan = helper.make_node(
            "Scan", [start, inputs], [after, outputs], body=helper.make_graph(body, "step", kinds[:2], kinds[2:]),
            num_scan_inputs=1, scan_input_directions=[backward], scan_output_directions=[backward],
        )  # fmt: skip
        return scan, outputs, after

    def elman(self, activation: str) -> list[Any]:
        """h' = f(W x + R h + b)."""
        from onnx import helper

        sums, whole = self.rewriter.name("sums"), self.rewriter.name("whole")
        return [
            *self.rewriter.product(self.h, self.weight, self.R, sums, self.bias),
            helper.make_node("Add", [self.x, sums], [whole]),
            helper.make_node(activation, [whole], [self.h_n]),
        ]

    def gru(self, reset_after: bool) -> list[Any]:
        """z, r, and n by R h or by R (r h); h' = n + z (h − n)."""
        from onnx import helper

        rewriter, H, nodes = self.rewriter, self.R.shape[0], list[Any]()

        def made(op: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
            outputs = [rewriter.name(op.lower()) for _ in range(count)]
            nodes.append(helper.make_node(op, inputs, outputs, **attributes))
            return outputs if count > 1 else outputs[0]

        def product(x: str, first: int, last: int) -> list[str]:
            """R x + b of the gates from the first to before the last."""
            sums, part = rewriter.name("sums"), f"{self.weight}.{first}:{last}"
            bias = rewriter.store("bias", rewriter.stored[self.bias][first * H : last * H])
            nodes.extend(rewriter.product(x, part, self.R[:, first * H : last * H], sums, bias))
            count = last - first
            sizes = rewriter.store("sizes", np.full(count, H, np.int64))
            return made("Split", sums, sizes, count=count, axis=-1) if count > 1 else [sums]

        sizes = rewriter.store("sizes", np.full(3, H, np.int64))
        z_x, r_x, n_x = made("Split", self.x, sizes, count=3, axis=-1)
        z_h, r_h, *n_h = product(self.h, 0, 3 if reset_after else 2)
        z, r = made("Sigmoid", made("Add", z_x, z_h)), made("Sigmoid", made("Add", r_x, r_h))
        inner = made("Mul", r, n_h[0]) if reset_after else product(made("Mul", r, self.h), 2, 3)[0]
        n = made("Tanh", made("Add", n_x, inner))
        kept = made("Mul", z, made("Sub", self.h, n))
        return [*nodes, helper.make_node("Add", [n, kept], [self.h_n])]


CHANGES: dict[str, Callable[[_Rewriter, Any], list[Any] | None]] = {
    "MatMul": _matmul, "Gemm": _gemm, "Gather": _gather, "LSTM": _lstm, "GRU": _scan, "RNN": _scan
}  # fmt: skip


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _permutation(node: Any) -> Sequence[int] | None:
    return _attributes(node).get("perm")


def _read(graph: Any) -> list[str]:
    """Every name that a node reads, in the bodies of loops too."""
    names = []
    for node in graph.node:
        names += node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names += [*_read(attribute.g), *(value.name for value in attribute.g.output)]
    return names

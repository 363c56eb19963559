"""A GRU of either kind or an Elman network as a loop over integer products, for weights of one byte."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elman.arrays import Numbers
from elman.export.onnx.int8_rewriter import Rewriter, attributes_of

GATES = {"GRU": 3, "RNN": 1}


def scan(rewriter: Rewriter, node: Any) -> list[Any] | None:
    """A GRU of either kind or an Elman network as a loop a direction; default activations, or relu."""
    from onnx import helper

    options, (x, w, r, b) = attributes_of(node), node.input[:4]
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

    rewriter: Rewriter
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

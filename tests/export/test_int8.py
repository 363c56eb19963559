"""Graphs with weights of one byte against the same arithmetic in NumPy, and against the graph in float32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from elman.cli import run as command
from elman.export.onnx.int8 import to_int8
from elman.export.quantisation import quantise

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def model(nodes, inputs: dict, outputs: list[str], weights: dict[str, np.ndarray]):
    kinds = {np.dtype("float32"): TensorProto.FLOAT, np.dtype("int64"): TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kinds[x.dtype], [None] * x.ndim) for name, x in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def run(made, inputs: dict) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def eight_bits(x: np.ndarray) -> np.ndarray:
    """x after DynamicQuantizeLinear and back: 256 steps between the least and the greatest, one of which is 0."""
    least, greatest = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = np.float32((greatest - least) / 255)
    zero = np.clip(np.rint(-least / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)


def restored(weight: np.ndarray, axis: int) -> np.ndarray:
    values, scales = quantise(weight, axis)
    return values * np.expand_dims(scales, axis)


def test_a_scale_of_zeros_is_one() -> None:
    values, scales = quantise(np.zeros((2, 3), np.float32), axis=1)
    assert not values.any()
    assert scales.tolist() == [1, 1]


@pytest.mark.parametrize("form", ["matmul", "transposed", "gemm", "gemm of a transposed matrix"])
def test_a_product(form: str) -> None:
    x, W, b = draw(5, 48), draw(48, 40), draw(40)
    nodes = {
        "matmul": [helper.make_node("MatMul", ["x", "W"], ["y"])],
        "transposed": [
            helper.make_node("Transpose", ["W"], ["Wt"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "Wt"], ["y"]),
        ],
        "gemm": [helper.make_node("Gemm", ["x", "W", "b"], ["y"])],
        "gemm of a transposed matrix": [helper.make_node("Gemm", ["x", "W", "b"], ["y"], transB=1)],
    }[form]
    stored = W.T if "transposed" in form else W
    small = to_int8(model(nodes, {"x": x}, ["y"], {"W": stored, "b": b}))
    expected = eight_bits(x) @ restored(W, 0) + (b if "gemm" in form else 0)
    np.testing.assert_allclose(run(small, {"x": x})[0], expected, rtol=1e-4, atol=1e-4)
    assert small.ByteSize() < 0.5 * W.nbytes  # the float32 weights are no longer in the file


def test_a_small_weight_stays() -> None:
    x, W = draw(5, 3), draw(3, 4)
    same = to_int8(model([helper.make_node("MatMul", ["x", "W"], ["y"])], {"x": x}, ["y"], {"W": W}))
    assert [node.op_type for node in same.graph.node] == ["MatMul"]


def test_a_table_has_a_scale_for_each_row() -> None:
    table, tokens = draw(60, 32) * np.geomspace(1e-3, 10, 60, dtype=np.float32)[:, None], np.array([[3, 59], [0, 3]])
    small = to_int8(model([helper.make_node("Gather", ["E", "x"], ["y"])], {"x": tokens}, ["y"], {"E": table}))
    np.testing.assert_allclose(run(small, {"x": tokens})[0], restored(table, 1)[tokens], rtol=1e-6)


@pytest.mark.parametrize("T", [1, 7])
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(
    ("layer", "G", "options"),
    [
        ("LSTM", 4, {}),
        ("GRU", 3, {"linear_before_reset": 1}),
        ("GRU", 3, {"linear_before_reset": 0}),
        ("RNN", 1, {}),
        ("RNN", 1, {"activations": ["Relu", "Relu"]}),
    ],
)
def test_recurrent_layers(layer: str, G: int, options: dict, direction: str, B: int, T: int) -> None:
    D, H, N = 33, 40, 1 + (direction == "bidirectional")
    x, weights = draw(T, B, D), {"W": draw(N, G * H, D) / 6, "R": draw(N, G * H, H) / 6, "B": draw(N, 2 * G * H)}
    names = ["h", *(["c"] if layer == "LSTM" else [])]
    states = {name: draw(N, B, H) for name in names}
    outputs = ["Y", "Y_h", *(["Y_c"] if layer == "LSTM" else [])]
    options = {**options, **({"activations": options["activations"][:N]} if "activations" in options else {})}
    node = helper.make_node(
        layer, ["x", "W", "R", "B", "", *names], outputs, hidden_size=H, direction=direction, **options
    )
    whole = model([node], {"x": x, **states}, outputs, weights)
    small = to_int8(whole)
    assert layer not in {node.op_type for node in small.graph.node}
    exact = {name: array if name == "B" else restored(array, 2) for name, array in weights.items()}
    reference = run(model([node], {"x": x, **states}, outputs, exact), {"x": x, **states})
    for got, expected in zip(run(small, {"x": x, **states}), reference, strict=True):
        assert got.shape == expected.shape
        # What differs are inputs and states of eight bits: steps of 1/255 of their range.
        np.testing.assert_allclose(got, expected, atol=0.06)
        assert np.abs(got - expected).mean() < 0.008


def test_what_is_not_in_the_form_stays() -> None:
    """Other activations are left to their own operators."""
    x, H = draw(3, 2, 33), 40
    weights = {"W": draw(1, 3 * H, 33), "R": draw(1, 3 * H, H), "B": draw(1, 6 * H), "h": draw(1, 2, H)}
    node = helper.make_node(
        "GRU", ["x", "W", "R", "B", "", "h"], ["Y"], hidden_size=H, activations=["HardSigmoid", "Tanh"]
    )
    whole = model([node], {"x": x}, ["Y"], weights)
    np.testing.assert_array_equal(run(to_int8(whole), {"x": x})[0], run(whole, {"x": x})[0])


def test_products_in_the_body_of_a_loop() -> None:
    """A body reads weights of the graph around it."""
    x, W, h = draw(4, 2, 40), draw(40, 40) / 6, draw(2, 40)
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "W"], ["p"]),
            helper.make_node("Add", ["p", "v"], ["a"]),
            helper.make_node("Tanh", ["a"], ["n"]),
            helper.make_node("Identity", ["n"], ["o"]),
        ],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 40]) for name in "sv"],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 40]) for name in "no"],
    )
    node = helper.make_node("Scan", ["h", "x"], ["last", "y"], body=body, num_scan_inputs=1)
    small = to_int8(model([node], {"x": x, "h": h}, ["y"], {"W": W}))
    state, expected = h, []
    for step in x:
        state = np.tanh(eight_bits(state) @ restored(W, 0) + step)
        expected.append(state)
    np.testing.assert_allclose(run(small, {"x": x, "h": h})[0], np.stack(expected), atol=0.02)
    assert "MatMulInteger" in {inner.op_type for inner in small.graph.node[0].attribute[0].g.node}


def test_an_export_says_what_bytes_cost(plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--set", "hidden_size=48", "--set", "embedding_size=48", "--set", "lanes=4", "--set", "k1=8"]
    assert command(["train", str(plain_text), "-o", str(tmp_path / "run"), "--steps", "8", *sizes]) == 0
    capsys.readouterr()
    assert command(["export", str(tmp_path / "run"), "--int8", "-o", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    costs, [check] = found["quantised"], found["checks"]
    assert costs["bytes"] == (tmp_path / "out" / "model.onnx").stat().st_size < 0.5 * costs["float32_bytes"]
    assert costs["float32_loss"] == pytest.approx(check["loss"], rel=1e-5)
    assert costs["loss"] == pytest.approx(costs["float32_loss"], rel=0.02)
    assert costs["loss"] != costs["float32_loss"]
    about = json.loads((tmp_path / "out" / "config.json").read_text())
    assert about["int8"] is True
    stored = {entry.key: entry.value for entry in onnx.load(tmp_path / "out" / "model.onnx").metadata_props}
    assert json.loads(stored["elman"]) == about

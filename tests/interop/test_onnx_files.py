"""ONNX graphs that became models of elman, against onnxruntime on the same graphs."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import reference

from elman.interop.imported import Imported
from elman.interop.onnx_files import read_onnx
from elman.models.layered import LayeredModel
from onnx_graphs import FLOAT, INT32, Drawing, run
from torch_networks import NETWORKS, TOKENS, Network, network

D, H = 3, 5
SIZES = ((3, 7), (2, 1), (1, 33))
TOLERANCE = {"atol": 1e-6, "rtol": 0}
every_kind = pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])


def model_of(found: Imported) -> LayeredModel:
    model = LayeredModel(found.config)
    model.load_state_dict(found.tensors)
    return model.eval()


def read(path: Path) -> LayeredModel:
    return model_of(read_onnx(path))


def answer(model: LayeredModel, x: np.ndarray, **given: Any) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x), **given)[0].numpy()


def check(path: Path, *, time_first: bool, tokens: int = 0, sizes: tuple = SIZES) -> LayeredModel:
    """The model equals onnxruntime's first output at several B and T, whatever is first in the graph."""
    model, random = read(path), np.random.default_rng(5)
    (name,) = (port.name for port in onnx.load(path).graph.input)
    for B, T in sizes:
        x = random.integers(0, tokens, (B, T)) if tokens else random.standard_normal((B, T, D)).astype("f4")
        ours = answer(model, x)
        theirs = run(path, **{name: np.ascontiguousarray(x.swapaxes(0, 1)) if time_first else x})[0]
        if theirs.ndim > 3:
            theirs = theirs.transpose(0, 2, 1, 3).reshape(T, B, -1)  # Y (T, directions, B, H)
        if ours.ndim == 3 and time_first:
            theirs = theirs.swapaxes(0, 1)
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)
        assert np.abs(ours).max() > 0.01
    return model


@every_kind
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_in_every_direction(tmp_path: Path, kind: str, direction: str, bias: bool) -> None:
    for reset in (0, 1) if kind == "GRU" else (None,):
        drawing = Drawing()
        x = drawing.input("x", FLOAT, "time", "batch", D)
        options = {} if reset is None else {"linear_before_reset": reset}
        y, *_ = drawing.layer(kind, x, D, H, direction=direction, bias=bias, **options)
        model = check(drawing.write(tmp_path / "model.onnx", y), time_first=True)
        assert model.causal == (direction == "forward")


@every_kind
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_the_last_outputs_alone(tmp_path: Path, kind: str, direction: str) -> None:
    """Y_h as directions behind one another, as Keras's and torch's exporters write it."""
    n = 2 if direction == "bidirectional" else 1
    drawing = Drawing()
    x = drawing.node("Transpose", drawing.input("x", FLOAT, "batch", "time", D), perm=[1, 0, 2])
    _, h, *_ = drawing.layer(kind, x, D, H, direction=direction)
    h = drawing.node("Reshape", drawing.node("Transpose", h, perm=[1, 0, 2]), [0, n * H])
    drawing.write(
        tmp_path / "model.onnx", drawing.node("Gemm", h, drawing.weight(2, n * H), drawing.weight(2), transB=1)
    )
    model = check(tmp_path / "model.onnx", time_first=False)
    assert model.config["nodes"][0]["reads"] == "last"


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_states_that_are_given_and_returned_become_the_model_s(tmp_path: Path, kind: str, layers: int) -> None:
    """As torch's exporter lays them out, (layers, B, H); three pieces from a state that is not zero."""
    drawing = Drawing()
    x = drawing.node("Transpose", drawing.input("x", FLOAT, "batch", "time", D), perm=[1, 0, 2])
    names = ("h", "c")[: 1 + (kind == "LSTM")]
    states = [drawing.input(name, FLOAT, layers, "batch", H) for name in names]
    finals: list[list[str]] = [[] for _ in names]
    for k in range(layers):
        own = tuple(drawing.node("Slice", state, [k], [k + 1], [0]) for state in states)
        y, *after = drawing.layer(kind, x, D if k == 0 else H, H, state=own)
        for part, final in zip(finals, after, strict=True):
            part.append(final)
        x = drawing.node("Squeeze", y, [1])
    y = drawing.node("Transpose", x, perm=[1, 0, 2])
    returned = [drawing.node("Concat", *part, axis=0) if layers > 1 else part[0] for part in finals]
    path = drawing.write(tmp_path / "model.onnx", y, *returned)
    found, random = read_onnx(path), np.random.default_rng(1)
    assert any(f"the graph's {', '.join(names)}, which it returns as {', '.join(returned)}," in n for n in found.notes)
    model = model_of(found)
    theirs = [random.standard_normal((layers, 4, H)).astype("f4") for _ in names]
    parts = [[torch.from_numpy(part[k].copy()) for part in theirs] for k in range(layers)]
    kinds = [type(state) for state in model.initial_state(4)]
    state = tuple(one[0] if len(one) == 1 else make(*one) for one, make in zip(parts, kinds, strict=True))
    for T in (3, 1, 5):
        x = random.standard_normal((4, T, D)).astype("f4")
        y, *theirs = run(path, x=x, **dict(zip(names, theirs, strict=True)))
        with torch.no_grad():
            ours, state = model(torch.from_numpy(x), state)
        np.testing.assert_allclose(ours.numpy(), y, **TOLERANCE)
        for k, own in enumerate(state):
            for part, final in zip(own if isinstance(own, tuple) else (own,), theirs, strict=True):
                np.testing.assert_allclose(part.numpy(), final[k], **TOLERANCE)


@every_kind
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_lengths_that_the_graph_is_given(tmp_path: Path, kind: str, direction: str) -> None:
    n = 2 if direction == "bidirectional" else 1
    drawing, random = Drawing(), np.random.default_rng(2)
    x, lengths = drawing.input("x", FLOAT, "time", "batch", D), drawing.input("lengths", INT32, "batch")
    y, h, *_ = drawing.layer(kind, x, D, H, lengths=lengths, direction=direction)
    y = drawing.node("Reshape", drawing.node("Transpose", y, perm=[2, 0, 1, 3]), [0, 0, n * H])
    h = drawing.node("Reshape", drawing.node("Transpose", h, perm=[1, 0, 2]), [0, n * H])
    x = random.standard_normal((4, 6, D)).astype("f4")
    rows = np.array([6, 0, 1, 4], np.int32)
    real = np.arange(6) < rows[:, None]
    for output in (y, h):
        path = drawing.write(tmp_path / "model.onnx", output)
        theirs = run(path, x=x.swapaxes(0, 1).copy(), lengths=rows)[0]
        found = read_onnx(path)
        ours = answer(model_of(found), x, lengths=rows)
        np.testing.assert_allclose(
            ours[real] if ours.ndim == 3 else ours, theirs[real] if ours.ndim == 3 else theirs, **TOLERANCE
        )
        assert any("`lengths`" in note for note in found.notes)


def test_peepholes(tmp_path: Path) -> None:
    drawing = Drawing()
    y, *_ = drawing.layer("LSTM", drawing.input("x", FLOAT, "t", "b", D), D, H, peepholes=True)
    model = check(drawing.write(tmp_path / "model.onnx", y), time_first=True)
    assert model.config["nodes"][0]["peepholes"]


def test_batch_first_layers(tmp_path: Path) -> None:
    """`layout`, which onnxruntime does not have: against ONNX's own reference."""
    drawing = Drawing()
    y, *_ = drawing.layer("GRU", drawing.input("x", FLOAT, "b", "t", D), D, H, layout=1, linear_before_reset=1)
    path = drawing.write(tmp_path / "model.onnx", drawing.node("Squeeze", y, [2]))
    x = np.random.default_rng(3).standard_normal((2, 5, D)).astype("f4")
    (theirs,) = reference.ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})
    np.testing.assert_allclose(answer(read(path), x), theirs, **TOLERANCE)


def test_a_reversed_input_is_read_backward(tmp_path: Path) -> None:
    drawing = Drawing()
    x = drawing.node("Transpose", drawing.input("x", FLOAT, "b", "t", D), perm=[1, 0, 2])
    far = [-(2**63) + 1]
    turned = drawing.node("Slice", x, [-1], far, [0], [-1])
    back, *_ = drawing.layer("GRU", turned, D, H, linear_before_reset=1)
    back = drawing.node("Slice", drawing.node("Squeeze", back, [1]), [-1], far, [0], [-1])
    forward, *_ = drawing.layer("GRU", x, D, H, linear_before_reset=1)
    both = drawing.node("Concat", drawing.node("Squeeze", forward, [1]), back, axis=-1)
    path = drawing.write(tmp_path / "model.onnx", drawing.node("Transpose", both, perm=[1, 0, 2]))
    model = check(path, time_first=False)
    assert [node.get("direction", "forward") for node in model.config["nodes"]][:2] == ["backward", "forward"]


def test_a_layer_of_tf2onnx(tmp_path: Path) -> None:
    """Tokens as numbers, states of zeros made of the shape, directions split and put together again."""
    drawing = Drawing(opset=15)
    tokens = drawing.node("Cast", drawing.input("tokens", FLOAT, "batch", "time"), to=INT32)
    x = drawing.node("Gather", drawing.weight(9, D), tokens)
    x = drawing.node("Transpose", x, perm=[1, 0, 2])
    shape = drawing.node("Shape", x)
    rows = drawing.node("Slice", shape, [1], [2], [0])
    zeros = drawing.node(
        "ConstantOfShape", drawing.node("Concat", drawing.constant([2]), rows, drawing.constant([H]), axis=0)
    )
    y, *_ = drawing.layer("LSTM", x, D, H, direction="bidirectional", state=(zeros, zeros))
    parts = drawing.node("Split", y, drawing.constant([1, 1]), outputs=2, axis=1)
    parts = [drawing.node("Squeeze", part, [1]) for part in parts]
    y = drawing.node("Transpose", drawing.node("Concat", *parts, axis=2), perm=[1, 0, 2])
    y = drawing.node("MatMul", y, drawing.weight(2 * H, 4))
    y = drawing.node("Softmax", drawing.node("Add", y, drawing.weight(4)), axis=-1)
    path, random = drawing.write(tmp_path / "model.onnx", y), np.random.default_rng(0)
    found = read_onnx(path)
    assert [node["op"] for node in found.config["nodes"]] == ["embedding", "recurrent", "linear", "activation"]
    assert (found.config["output_kind"], found.config["logits"]) == ("probabilities", found.config["nodes"][2]["name"])
    for B, T in SIZES:
        x = random.integers(0, 9, (B, T))
        np.testing.assert_allclose(answer(model_of(found), x), run(path, tokens=x.astype("f4"))[0], **TOLERANCE)


def test_layers_between_and_around(tmp_path: Path) -> None:
    """Residuals, gates, normalisations, pools and affine maps."""
    drawing = Drawing(opset=17)
    x = drawing.input("x", FLOAT, "batch", "time", D)
    size = drawing.node("Shape", x)
    flat = drawing.node("Gemm", drawing.node("Reshape", x, [-1, D]), drawing.weight(D, H), drawing.weight(H), alpha=0.5)
    rows = drawing.node("Gather", size, drawing.constant(0), axis=0)
    steps = drawing.node("Gather", size, drawing.constant(1), axis=0)
    shape = drawing.node(
        "Concat", *(drawing.node("Unsqueeze", s, [0]) for s in (rows, steps)), drawing.constant([H]), axis=0
    )
    wide = drawing.node("Relu", drawing.node("Reshape", flat, shape))
    y, *_ = drawing.layer("GRU", drawing.node("Transpose", wide, perm=[1, 0, 2]), H, H, linear_before_reset=1)
    y = drawing.node("Transpose", drawing.node("Squeeze", y, [1]), perm=[1, 0, 2])
    y = drawing.node("LayerNormalization", drawing.node("Add", y, wide), drawing.weight(H), drawing.weight(H), axis=-1)
    channels = drawing.node("Transpose", y, perm=[0, 2, 1])
    spread = drawing.constant(np.linspace(0.5, 2, H), "f4")
    parts = (drawing.weight(H), drawing.weight(H), drawing.weight(H), spread)
    channels = drawing.node("BatchNormalization", channels, *parts)
    y = drawing.node("Transpose", channels, perm=[0, 2, 1])
    y = drawing.node("Mul", y, drawing.node("Sigmoid", drawing.node("Dropout", y)))
    y = drawing.node("Div", drawing.node("Sub", drawing.constant(1.0, "f4"), y), drawing.constant(3.0, "f4"))
    a, b = drawing.node("Split", y, drawing.constant([2, 3]), outputs=2, axis=2)
    y = drawing.node("Concat", drawing.node("Tanh", b), a, axis=2)
    mean = drawing.node("ReduceMean", y, axes=[1], keepdims=0)
    top = drawing.node("ReduceMax", y, axes=[1], keepdims=0)
    path = drawing.write(tmp_path / "model.onnx", drawing.node("Concat", mean, top, axis=1))
    check(path, time_first=False)


@pytest.mark.parametrize("square", ["Pow", "Mul"])
def test_a_layer_normalisation_that_is_written_out(tmp_path: Path, square: str) -> None:
    drawing = Drawing(opset=13)
    y, *_ = drawing.layer("LSTM", drawing.input("x", FLOAT, "time", "batch", D), D, H)
    y = drawing.node("Squeeze", y, [1])
    centered = drawing.node("Sub", y, drawing.node("ReduceMean", y, axes=[-1]))
    squared = drawing.node(square, centered, drawing.constant(2.0, "f4") if square == "Pow" else centered)
    variance = drawing.node("Add", drawing.node("ReduceMean", squared, axes=[-1]), drawing.constant(1e-3, "f4"))
    y = drawing.node("Div", centered, drawing.node("Sqrt", variance))
    y = drawing.node("Add", drawing.node("Mul", y, drawing.weight(H)), drawing.weight(H))
    model = check(drawing.write(tmp_path / "model.onnx", y), time_first=True)
    norm = model.config["nodes"][1]
    assert (norm["op"], norm["scale"], norm["bias"], round(norm["epsilon"], 6)) == ("layer_norm", True, True, 1e-3)


@every_kind
@pytest.mark.parametrize(("batch_first", "both"), [*itertools.product([True, False], [False, True])])
@pytest.mark.parametrize("end", ["steps", "last", "mean", "final"])
def test_what_torch_exports(tmp_path: Path, kind: str, batch_first: bool, both: bool, end: str) -> None:
    torch.manual_seed(0)
    net, path = Network(kind, batch_first, both, end).eval(), tmp_path / "model.onnx"
    axes = {0: "batch", 1: "time"} if batch_first else {0: "time", 1: "batch"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls this exporter old, and its newer one fixes the number of steps
        torch.onnx.export(
            net, (torch.zeros(4, 3, dtype=torch.long),), path, dynamo=False, dynamic_axes={"x": axes}, input_names=["x"]
        )
    check(path, time_first=not batch_first, tokens=TOKENS)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_torch_s_newer_exporter_writes(name: str) -> None:
    """At the number of steps that it was shown, 3, against onnxruntime, and at others against torch itself."""
    path, net = Path(__file__).parent / "recorded" / f"torch_{name}.onnx", network(name)
    found, random = read_onnx(path), np.random.default_rng(0)
    time_first = not net.recurrent.batch_first
    T = 4 if time_first else 3
    fixed = [note for note in found.notes if f"is right for {T} steps alone" in note]
    assert len(fixed) == time_first, found.notes
    (port,) = onnx.load(path).graph.input
    for B, steps in ((2, T), *SIZES):
        x = random.integers(0, TOKENS, (B, steps))
        given = x.T.copy() if time_first else x
        with torch.no_grad():
            expected = net(torch.from_numpy(given)).numpy()
        ours = answer(model_of(found), x)
        np.testing.assert_allclose(ours, expected, **TOLERANCE)
        if steps == T or not time_first:
            np.testing.assert_allclose(ours, run(path, **{port.name: given})[0], **TOLERANCE)


@pytest.mark.parametrize("steps", ["time", 12])
def test_a_number_of_steps_that_a_graph_fixes_is_told(tmp_path: Path, steps: int | str) -> None:
    """A forecaster's window is as long; a graph that is given its state reads a sequence in many calls."""
    expected = steps if isinstance(steps, int) else None
    for states, told in ((False, expected), (True, None)):
        drawing = Drawing()
        x = drawing.node("Transpose", drawing.input("x", FLOAT, "batch", steps, D), perm=[1, 0, 2])
        state = (drawing.input("h", FLOAT, 1, "batch", H),) if states else ()
        y, h = drawing.layer("GRU", x, D, H, state=state)
        assert read_onnx(drawing.write(tmp_path / "model.onnx", y, *([h] if states else []))).steps == told

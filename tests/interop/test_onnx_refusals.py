"""What an ONNX file is refused for: one line, which names the node or says what is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from elman.errors import UserError
from elman.interop.onnx.messages import SCHEMA, read_graph
from elman.interop.onnx.protobuf import WireReader
from elman.interop.onnx_files import read_onnx
from elman.reading import Unreadable
from onnx_graphs import FLOAT, INT64, Drawing

D, H = 3, 5


def layer(kind: str = "LSTM", **attributes) -> Callable[[Drawing], str]:
    def draw(drawing: Drawing) -> str:
        x = drawing.node("Transpose", drawing.input("x", FLOAT, "batch", "time", D), perm=[1, 0, 2])
        return drawing.layer(kind, x, D, H, **attributes)[0]

    return draw


def after(*nodes: tuple, **attributes) -> Callable[[Drawing], str]:
    """Nodes behind Y (T, B, H) of a GRU, each with constants as further inputs."""

    def draw(drawing: Drawing) -> str:
        y = drawing.node("Squeeze", layer("GRU", **attributes)(drawing), [1])
        for op, constants, options in nodes:
            y = drawing.node(op, y, *(drawing.constant(c) for c in constants), **options)
        return y

    return draw


def batch_first_into_a_layer(drawing: Drawing) -> str:
    """Reads time of the batch: a frequent mistake that has no equal."""
    x = drawing.input("x", FLOAT, "batch", "time", D)
    a = drawing.node("Transpose", drawing.layer("GRU", x, D, H)[0], perm=[2, 0, 1, 3])
    return drawing.layer("GRU", drawing.node("Squeeze", a, [2]), H, H)[0]


def begins_with_ones(drawing: Drawing) -> str:
    x = drawing.input("x", FLOAT, "time", "batch", D)
    return drawing.layer("GRU", x, D, H, state=(drawing.constant(np.ones((1, 1, H)), "f4"),))[0]


def an_encoder_s_state(drawing: Drawing) -> str:
    x = drawing.input("x", FLOAT, "time", "batch", D)
    _, h = drawing.layer("GRU", x, D, H)
    return drawing.layer("GRU", x, D, H, state=(h,))[0]


def one_state_for_two(drawing: Drawing) -> str:
    x, h = drawing.input("x", FLOAT, "time", "batch", D), drawing.input("h", FLOAT, 1, "batch", H)
    a, b = (drawing.layer("GRU", x, D, H, state=(h,))[0] for _ in range(2))
    return drawing.node("Add", a, b)


def the_cell_state(drawing: Drawing) -> str:
    return drawing.node("Tanh", drawing.layer("LSTM", drawing.input("x", FLOAT, "time", "batch", D), D, H)[2])


def directions_without_their_axis(drawing: Drawing) -> str:
    """h (2, B, H) as (B, 2 H) by a reshape alone mixes rows: right for one row at most."""
    _, h, _ = drawing.layer("LSTM", drawing.input("x", FLOAT, "time", "batch", D), D, H, direction="bidirectional")
    return drawing.node("Reshape", h, [-1, 2 * H])


def unlike_axes(drawing: Drawing) -> str:
    x = drawing.input("x", FLOAT, "time", "batch", D)
    y = drawing.node("Squeeze", drawing.layer("GRU", x, D, D)[0], [1])
    return drawing.node("Add", y, drawing.node("Transpose", y, perm=[1, 0, 2]))


def two_inputs(drawing: Drawing) -> str:
    return drawing.node("Add", drawing.input("a", FLOAT, "b", "t", D), drawing.input("b", FLOAT, "b", "t", D))


REFUSED: dict[str, tuple[Callable[[Drawing], str], str]] = {
    "clip": (layer(clip=3.0), r"LSTM 'LSTM_1': it clips what goes into its activations at ±3"),
    "input_forget": (layer(input_forget=1), r"LSTM 'LSTM_1': its input_forget makes f of i"),
    "activations": (
        layer("GRU", activations=["HardSigmoid", "Tanh"]),
        r"GRU 'GRU_1': its activations are hardsigmoid",
    ),
    "no such direction": (layer(direction="sideways"), "LSTM 'LSTM_1': its direction is 'sideways'"),
    "an unknown operator": (after(("Attention", [], {})), "Attention 'Attention_3': this operator is not known here"),
    "another domain": (after(("Gelu", [], {"domain": "com.microsoft"})), "com.microsoft.Gelu 'Gelu_3': this operator"),
    "softmax over time": (after(("Softmax", [], {"axis": 0})), "Softmax 'Softmax_3': it is over time"),
    "mean over all": (after(("ReduceMean", [], {})), "ReduceMean 'ReduceMean_3': it reduces other axes"),
    "a part of the steps": (after(("Slice", [[1], [3], [0]], {})), "Slice 'Slice_3': it takes a part of the steps"),
    "a step inside": (after(("Gather", [2], {"axis": 0})), "Gather 'Gather_3': it takes a step that is neither"),
    "a row": (after(("Gather", [0], {"axis": 1})), "Gather 'Gather_3': it takes a row of the batch"),
    "positions": (
        after(("Add", [np.ones((7, 1, H), "f4")], {})),
        "Add 'Add_3': it has a constant that differs along ti",
    ),
    "rows into features": (after(("Flatten", [], {"axis": 0})), "Flatten 'Flatten_3': it makes features of the steps"),
    "squeezed rows": (after(("Squeeze", [[1]], {})), "Squeeze 'Squeeze_3': its axis 1 is batch"),
    "batch first into a layer": (batch_first_into_a_layer, "GRU 'GRU_3': it reads .time, batch, features., and"),
    "begins with ones": (begins_with_ones, "GRU 'GRU_0': its state h begins as other numbers than zeros"),
    "an encoder's state": (an_encoder_s_state, "GRU 'GRU_1': its state h begins as what other layers compute"),
    "one state for two": (one_state_for_two, "h of GRU_0 and h of GRU_1 begin as the same input"),
    "the cell state": (the_cell_state, "LSTM 'LSTM_0': the state c of an LSTM goes into another layer"),
    "mixed directions": (directions_without_their_axis, "Reshape 'Reshape_1': it mixes axes"),
    "unlike axes": (unlike_axes, "Add 'Add_3': it mixes axes"),
    "two inputs": (two_inputs, "inputs: expected one that the model reads, .* got a, b"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equal_is_refused_by_name(name: str, tmp_path: Path) -> None:
    draw, said = REFUSED[name]
    drawing = Drawing()
    output = draw(drawing)
    with pytest.raises(UserError, match=said) as caught:
        read_onnx(drawing.write(tmp_path / "model.onnx", output))
    assert "\n" not in str(caught.value)


def plain(tmp_path: Path) -> onnx.ModelProto:
    drawing = Drawing()
    y, *_ = drawing.layer("GRU", drawing.input("x", FLOAT, "time", "batch", D), D, H)
    return drawing.model(y)


def saved(model: onnx.ModelProto, tmp_path: Path) -> Path:
    (path := tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return path


def test_no_other_file_is_read(tmp_path: Path) -> None:
    model = plain(tmp_path)
    (tmp_path / "weights").write_bytes(b"\0" * 10**5)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    with pytest.raises(UserError, match="lies in another file, and no other file is read; save the model in one file"):
        read_onnx(saved(model, tmp_path))


def test_sizes_are_those_of_the_file(tmp_path: Path) -> None:
    """A header that claims a gigabyte allocates nothing."""
    model = plain(tmp_path)
    model.graph.initializer[0].dims[1] = 1 << 30
    with pytest.raises(UserError, match=r"it has 45 numbers, and its shape is \(1, 1073741824, 3\)"):
        read_onnx(saved(model, tmp_path))
    data = plain(tmp_path).SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(data[:-9])
    with pytest.raises(Unreadable, match=r"a field of .* bytes where .* are left"):
        read_onnx(tmp_path / "cut.onnx")


def test_constants_are_not_blown_up(tmp_path: Path) -> None:
    """Twenty doublings of a million numbers, and a shape of 10¹²."""
    drawing = Drawing()
    x = drawing.constant(np.ones(1 << 20), "f4")
    for _ in range(20):
        x = drawing.node("Concat", x, x, axis=0)
    with pytest.raises(UserError, match=r"Concat 'Concat_.*': its constants would take more memory"):
        read_onnx(
            drawing.write(tmp_path / "model.onnx", drawing.node("Add", drawing.input("x", FLOAT, "b", "t", D), x))
        )
    drawing = Drawing()
    huge = drawing.node("Expand", drawing.constant(1.0, "f4"), [10**6, 10**6])
    with pytest.raises(UserError, match="Expand 'Expand_0': its constants would take more memory"):
        read_onnx(
            drawing.write(tmp_path / "model.onnx", drawing.node("Add", drawing.input("x", FLOAT, "b", "t", D), huge))
        )


@pytest.mark.parametrize("opset", [6, 99])
def test_another_opset(opset: int, tmp_path: Path) -> None:
    model = plain(tmp_path)
    model.opset_import[0].version = opset
    with pytest.raises(UserError, match=f"expected operators of ONNX's opset 7 to .*, got opset {opset}"):
        read_onnx(saved(model, tmp_path))


@pytest.mark.parametrize("data", [b"", b"\x08", b"hello\n", b"\xff" * 40, b"PK\x03\x04" + bytes(60)])
def test_other_files(data: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(Unreadable, match=r"model.onnx is (damaged|no ONNX file)"):
        read_onnx(path)


def test_messages_in_messages_without_an_end() -> None:
    data = b""
    for _ in range(40):  # a graph in a graph in …
        data = b"\x0a" + len(data).to_bytes(1, "little") + data if len(data) < 100 else data
    schema = {"m": {1: SCHEMA["model"][7]._replace(kind="m", name="inner")}}
    with pytest.raises(Unreadable, match="nested deeper than 16"):
        WireReader(schema, memoryview(data), "it").message("m")


def test_a_graph_is_read_as_the_package_onnx_reads_it(tmp_path: Path) -> None:
    arrays = {
        name: np.arange(6).reshape(2, 3).astype(name)
        for name in ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
    }
    packed = [
        helper.make_tensor(
            f"typed_{name}", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.reshape(-1)
        )
        for name, array in arrays.items()
    ]
    raw = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    attributes = {"f": 0.5, "i": -3, "s": "text", "floats": [1.5, 2.5], "ints": [-1, 2], "strings": ["a", "b"]}
    node = helper.make_node("Op", ["x", "", "float32"], ["y"], "name", domain="there", t=raw[0], **attributes)
    ports = [helper.make_tensor_value_info("x", INT64, ["batch", 7, None])]
    graph = helper.make_graph([node], "g", ports, [helper.make_tensor_value_info("y", FLOAT, None)], raw + packed)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="p", producer_version="1"
    )
    found = read_graph(saved(model, tmp_path))
    for tensor in raw + packed:
        expected = numpy_helper.to_array(tensor)
        assert found.constants[tensor.name].dtype == expected.dtype
        np.testing.assert_array_equal(found.constants[tensor.name], expected)
    (ours,) = found.nodes
    np.testing.assert_array_equal(ours.attributes.pop("t"), arrays["float32"])
    assert ours.attributes == attributes
    assert (ours.op, ours.name, ours.inputs, ours.outputs) == ("there.Op", "name", ("x", "", "float32"), ("y",))
    assert [(port.name, port.dtype, port.dims) for port in found.inputs] == [("x", "i8", ("batch", 7, ""))]
    assert (found.outputs, found.opset, found.producer) == (("y",), 17, "p 1")

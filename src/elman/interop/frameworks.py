"""The conventions of frameworks, a row each, as measured with the version that stands beside the name.

`tests/interop/record.py` runs the frameworks, and tests compare layers of elman with the numbers of those runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from elman.errors import UserError, nearest
from elman.interop.convention import Array, Convention, Naming

W, U, X, Y = ("weight_ih",), ("weight_hh",), ("bias_ih",), ("bias_hh",)
LSTM: dict[str, Any] = {"cell": "lstm", "gates": "ifgo", "state": ("h", "c")}
GRU: dict[str, Any] = {"cell": "gru", "gates": "rzn"}
RNN: dict[str, Any] = {"cell": "elman", "gates": "h"}


def arrays(w: str, u: str, x: str = "", y: str = "", optional: bool = True) -> tuple[Array, ...]:
    """The arrays of W_ih, W_hh, b_ih and b_hh, each of all gates; optional biases may be left out."""
    biases = [Array(name, fields, optional=optional) for name, fields in ((x, X), (y, Y)) if name]
    return (Array(w, W), Array(u, U), *biases)


OF_TORCH = arrays("weight_ih", "weight_hh", "bias_ih", "bias_hh")
STACK = Naming("{name}_l{layer}", ("{name}_l{layer}", "{name}_l{layer}_reverse"))
TORCH: dict[str, Any] = {"version": "torch 2.13.0", "arrays": OF_TORCH, "namings": (STACK,), "padding": "zero"}
PROJECTION = Array("weight_hr", ("weight_hr",), "", optional=True)
# A state dict of Paddle has every array under two names. With projections, torch's names are those of other arrays.
PATHS = Naming("{layer}.cell.{name}", ("{layer}.cell_fw.{name}", "{layer}.cell_bw.{name}"))
PADDLE = TORCH | {"version": "paddlepaddle 3.3.1", "namings": (PATHS, STACK), "empty": "initial"}

OF_KERAS = arrays("kernel", "recurrent_kernel", "bias")
DIRECTED = Naming("cell.{name}", ("forward_layer.cell.{name}", "backward_layer.cell.{name}"))
KERAS: dict[str, Any] = {"version": "keras 3.15.1", "arrays": OF_KERAS, "namings": (DIRECTED,), "transposed": True}
KERAS |= {"padding": "repeat", "empty": "initial"}
BOTH_BIASES = Array("bias", X + Y, optional=True, stacked=True)

FLAX: dict[str, Any] = {"version": "flax 0.12.8", "transposed": True, "padding": "read", "empty": "read"}
LINEN = FLAX | {"namings": (Naming("{name}", ("forward_rnn/cell/{name}", "backward_rnn/cell/{name}")),)}
NNX = FLAX | {"namings": (Naming("{name}", ("forward_rnn.cell.{name}", "backward_rnn.cell.{name}")),)}
CARRY = LSTM | {"state": ("c", "h")}
OF_DENSE = arrays("dense_i.kernel", "dense_h.kernel", "dense_i.bias", optional=False)

HAIKU: dict[str, Any] = {"version": "dm-haiku 0.0.17", "transposed": True}
EQUINOX: dict[str, Any] = {"version": "equinox 0.13.8"}
MLX: dict[str, Any] = {"version": "mlx 0.32.4"}

# The first axis of every array has the directions.
ONNX: dict[str, Any] = {"version": "onnxruntime 1.32.0", "padding": "zero", "empty": "zero"}
ONNX |= {"arrays": (Array("W", W), Array("R", U), Array("B", X + Y, optional=True))}
ONNX |= {"namings": (Naming("{name}[0]", ("{name}[0]", "{name}[1]")),)}
PEEPHOLES = Array("P", ("weight_peephole",), "iof", optional=True)

TENSORFLOW: dict[str, Any] = {"version": "tensorflow 2.21.0", "transposed": True}
OF_BLOCK = (
    Array("w", W + U),
    Array("b", X),
    *(Array(f"wc{gate}", ("weight_peephole",), gate, optional=True) for gate in "ifo"),  # where use_peephole
)

CHAINER: dict[str, Any] = {"version": "chainer 7.8.1"}

ROWS = (
    Convention("torch.RNN", **RNN, **TORCH),
    Convention("torch.GRU", **GRU, **TORCH),
    Convention("torch.LSTM", **LSTM, **TORCH | {"arrays": (*OF_TORCH, PROJECTION)}),
    Convention("keras.SimpleRNN", **RNN, **KERAS),
    Convention("keras.GRU", **GRU | {"gates": "zrn"}, **KERAS | {"arrays": (*OF_KERAS[:2], BOTH_BIASES)}),
    Convention("keras.GRU_reset_before", **GRU | {"gates": "zrn"}, **KERAS, reset_after=False),
    Convention("keras.LSTM", **LSTM, **KERAS),
    Convention(
        "flax.linen.SimpleCell", **RNN, **LINEN, arrays=arrays("i/kernel", "h/kernel", "i/bias", optional=False)
    ),
    Convention(
        "flax.linen.GRUCell",
        **GRU,
        **LINEN,
        arrays=(
            *(Array(f"i{gate}/kernel", W, gate) for gate in "rzn"),
            *(Array(f"i{gate}/bias", X, gate) for gate in "rzn"),
            *(Array(f"h{gate}/kernel", U, gate) for gate in "rzn"),
            Array("hn/bias", Y, "n"),
        ),
    ),
    Convention(  # of OptimizedLSTMCell too
        "flax.linen.LSTMCell",
        **CARRY,
        **LINEN,
        arrays=(
            *(Array(f"i{gate}/kernel", W, gate) for gate in "ifgo"),
            *(Array(f"h{gate}/kernel", U, gate) for gate in "ifgo"),
            *(Array(f"h{gate}/bias", Y, gate) for gate in "ifgo"),
        ),
    ),
    Convention("flax.nnx.SimpleCell", **RNN, **NNX, arrays=OF_DENSE),
    Convention("flax.nnx.GRUCell", **GRU, **NNX, arrays=OF_DENSE),
    Convention(
        "flax.nnx.LSTMCell",
        **CARRY,
        **NNX,
        arrays=(
            *(Array(f"{name}.kernel", W, gate) for gate, name in zip("ifgo", ("ii", "if_", "ig", "io"), strict=True)),
            *(Array(f"h{gate}.kernel", U, gate) for gate in "ifgo"),
            *(Array(f"h{gate}.bias", Y, gate) for gate in "ifgo"),
        ),
    ),
    Convention(
        "flax.nnx.OptimizedLSTMCell",
        **CARRY,
        **NNX,
        arrays=arrays("dense_i.kernel", "dense_h.kernel", "", "dense_h.bias", optional=False),
    ),
    Convention(
        "haiku.VanillaRNN",
        **RNN,
        **HAIKU,
        activations=("relu",),
        arrays=tuple(
            array._replace(name=f"vanilla_rnn/{array.name}", optional=array.name == "linear_1/b")
            for array in arrays("linear/w", "linear_1/w", "linear/b", "linear_1/b")
        ),
    ),
    Convention(
        "haiku.GRU",
        **GRU | {"gates": "zrn"},
        **HAIKU,
        reset_after=False,
        update_writes=True,
        arrays=arrays("gru/w_i", "gru/w_h", "gru/b", optional=False),
    ),
    Convention(
        "haiku.LSTM",
        **LSTM | {"gates": "igfo"},
        **HAIKU,
        forget_offset=1.0,
        arrays=(Array("lstm/linear/w", W + U), Array("lstm/linear/b", X)),
    ),
    Convention(
        "equinox.GRUCell",
        **GRU,
        **EQUINOX,
        arrays=(*arrays("weight_ih", "weight_hh", "bias"), Array("bias_n", Y, "n", optional=True)),
    ),
    Convention("equinox.LSTMCell", **LSTM, **EQUINOX, arrays=arrays("weight_ih", "weight_hh", "bias")),
    Convention("mlx.RNN", **RNN, **MLX, arrays=arrays("Wxh", "Whh", "bias")),
    Convention("mlx.GRU", **GRU, **MLX, arrays=(*arrays("Wx", "Wh", "b"), Array("bhn", Y, "n", optional=True))),
    Convention("mlx.LSTM", **LSTM, **MLX, arrays=arrays("Wx", "Wh", "bias")),
    Convention("paddle.SimpleRNN", **RNN, **PADDLE),
    Convention("paddle.GRU", **GRU, **PADDLE),
    Convention(
        "paddle.LSTM",
        **LSTM,
        **PADDLE | {"arrays": (*OF_TORCH, PROJECTION._replace(name="weight_ho", transposed=True))},
    ),
    Convention("onnx.RNN", **RNN, **ONNX),
    Convention("onnx.GRU", **GRU | {"gates": "zrn"}, **ONNX, reset_after=False),  # linear_before_reset=0, the default
    Convention("onnx.GRU_linear_before_reset", **GRU | {"gates": "zrn"}, **ONNX),
    Convention("onnx.LSTM", **LSTM | {"gates": "iofg"}, **ONNX | {"arrays": (*ONNX["arrays"], PEEPHOLES)}),
    Convention(
        "tensorflow.BlockLSTM",  # and LSTMBlockCell
        **CARRY | {"gates": "igfo"},
        **TENSORFLOW,
        arrays=OF_BLOCK,
        forget_offset=1.0,
        cell_clip=3.0,
    ),
    Convention("tensorflow.BlockLSTMV2", **CARRY, **TENSORFLOW, arrays=OF_BLOCK),
    Convention(
        "tensorflow.GRUBlockCell",
        **GRU,
        **TENSORFLOW,
        reset_after=False,
        arrays=(
            *(Array(name, W + U, gates) for name, gates in (("w_ru", "rz"), ("w_c", "n"))),
            *(Array(name, X, gates) for name, gates in (("b_ru", "rz"), ("b_c", "n"))),
        ),
    ),
    Convention(  # links.StatefulGRU; where it has no state yet, its first step reads no bias of U
        "chainer.StatefulGRU",
        **GRU,
        **CHAINER,
        reset_after=False,
        update_writes=True,
        arrays=tuple(
            Array(f"{letter}{gate}/{part}", fields, row)
            for letter, part, fields in (("W", "W", W), ("U", "W", U), ("W", "b", X), ("U", "b", Y))
            for gate, row in (("_r", "r"), ("_z", "z"), ("", "n"))
        ),
    ),
    Convention(  # links.LSTM
        "chainer.LSTM",
        **CARRY | {"gates": "gifo"},
        **CHAINER,
        interleaved=True,
        arrays=arrays("upward/W", "lateral/W", "upward/b", optional=False),
    ),
)
CONVENTIONS: dict[str, Convention] = {row.name: row for row in ROWS}
"""Every convention by its name: the rows of `elman interop`.

>>> len(CONVENTIONS), CONVENTIONS["keras.LSTM"].gates, CONVENTIONS["torch.LSTM"].gates
(34, 'ifgo', 'ifgo')
"""


def convention_named(name: str, **changes: Any) -> Convention:
    """The convention of a name, with changed fields where a call was made with other arguments.

    Raises:
        UserError: there is no such convention.

    >>> convention_named("tensorflow.BlockLSTM", cell_clip=None).why_not() is None
    True
    """
    if name not in CONVENTIONS:
        expected = "the name of a row of `elman interop`"
        remedy = nearest(name, CONVENTIONS)
        raise UserError("convention", expected=expected, got=repr(name), remedy=remedy, exit_code=2)
    return replace(CONVENTIONS[name], **changes)

"""Runs the recurrent layers of other frameworks and stores their numbers, which tests compare with elman's.

    python tests/interop/record.py keras flax ...        (all, without names)    [-o FOLDER]

A case is named after a row of `elman interop`, with a variation behind the name, as "keras.LSTM bidirectional". It has
the input `x` (B, T, D), the initial and final states `h` and `c`, `h_n` and `c_n` (layers and directions, B, H), the
outputs `y` (B, T, ·); of a call with `lengths` `y_lengths`, `h_n_lengths` and `c_n_lengths`; and under "weights|name"
the arrays that the framework itself names and shapes. A file NAME.npz has all numbers in one array, `values`, and the
names and shapes of its parts in order as JSON, `index`. This script needs NumPy and the frameworks alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
B, T, D, H, P = 4, 5, 2, 3, 2
LENGTHS = np.array([T, 0, 1, 3], dtype=np.int32)
HERE = Path(__file__).parent / "recorded"


class Case:
    """The drawn numbers of a case; the same for a name on every machine."""

    def __init__(self, name: str, levels: int = 1, scale: float = 0.7, size: int = H) -> None:
        self.name = name
        self._random = np.random.default_rng(zlib.crc32(name.encode()))
        self._scale = scale
        self.x, self.h, self.c = self.draw(B, T, D) * 1.5, self.draw(levels, B, size), self.draw(levels, B, H)
        self.weights: dict[str, np.ndarray] = {}

    def draw(self, *shape: int) -> np.ndarray:
        return (self._random.standard_normal(shape) * self._scale).astype(np.float32)

    def weight(self, name: str, shape) -> np.ndarray:
        """A drawn weight, remembered under a name."""
        self.weights[name] = self.draw(*shape)
        return self.weights[name]


class Recorder:
    """The cases of a framework."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.cases: dict = {}

    def put(self, case: Case, y, h_n, c_n=None, **others) -> None:
        found = {"x": case.x, "h": case.h, "y": y, "h_n": h_n, **({} if c_n is None else {"c": case.c, "c_n": c_n})}
        found = {**found, **{f"weights|{name}": value for name, value in case.weights.items()}, **others}
        self.cases[case.name] = {name: np.asarray(value, np.float32) for name, value in found.items()}

    def store(self, path: Path) -> None:
        index = {case: {name: part.shape for name, part in parts.items()} for case, parts in self.cases.items()}
        values = [part.ravel() for parts in self.cases.values() for part in parts.values()]
        about = json.dumps({"version": self.version, "cases": index})
        np.savez_compressed(path, index=np.array(about), values=np.concatenate(values))


def keras() -> Recorder:
    import keras

    record, make = Recorder(keras.__version__), keras.layers
    kinds = {
        "SimpleRNN": (make.SimpleRNN, {}), "GRU": (make.GRU, {}), "LSTM": (make.LSTM, {}),
        "GRU_reset_before": (make.GRU, {"reset_after": False}),
    }  # fmt: skip
    for name, (kind, options) in kinds.items():
        for variation in ("", " bidirectional", " without biases"):
            both = variation == " bidirectional"
            if variation == " without biases":
                options = options | {"use_bias": False}
            case = Case(f"keras.{name}{variation}", 1 + both)
            layer = kind(H, return_sequences=True, return_state=True, **options)
            layer = make.Bidirectional(layer) if both else layer
            layer.build((B, T, D))
            cells = {"cell.": layer.cell} if not both else {
                "forward_layer.cell.": layer.forward_layer.cell, "backward_layer.cell.": layer.backward_layer.cell
            }  # fmt: skip
            for path, cell in cells.items():
                for weight in cell.weights:
                    weight.assign(case.weight(path + weight.name, weight.shape))
            states = [s for d in range(1 + both) for s in ((case.h[d], case.c[d]) if name == "LSTM" else (case.h[d],))]

            def read(mask, layer=layer, states=states, case=case, both=both):
                n = len(states) // (1 + both)
                y, *final = layer(case.x, initial_state=[keras.ops.array(s) for s in states], mask=mask)
                return y, [np.stack(final[part::n]) for part in range(n)]

            y, final = read(None)
            y_lengths, final_lengths = read(np.arange(T) < LENGTHS[:, None])
            others = {f"{s}_n_lengths": part for s, part in zip("hc", final_lengths, strict=False)}
            record.put(case, y, *final, y_lengths=y_lengths, lengths=LENGTHS, **others)
    return record


def flax() -> Recorder:
    import flax
    import jax
    from flax import linen, nnx

    record = Recorder(flax.__version__)

    def put(case, read, carries) -> None:
        """`carries` arranges a state for the framework; the carry of an LSTM is (c, h)."""
        pairs = [(c, h) if carries else h for h, c in zip(case.h, case.c, strict=True)]
        found = {}
        for lengths in (None, LENGTHS):
            final, y = read(tuple(pairs) if len(pairs) > 1 else pairs[0], lengths)
            final = final if len(pairs) > 1 else (final,)
            end = "" if lengths is None else "_lengths"
            h_n, c_n = (np.stack([f[k] if carries else f for f in final]) for k in (1, 0))
            found |= {f"y{end}": y, f"h_n{end}": h_n} | ({f"c_n{end}": c_n} if carries else {})
        record.put(case, **found, lengths=LENGTHS)

    cells = (linen.SimpleCell, linen.GRUCell, linen.LSTMCell, linen.OptimizedLSTMCell)
    for kind in cells:
        for variation in ("", " bidirectional") if kind is not linen.OptimizedLSTMCell else (" optimized",):
            both = variation == " bidirectional"
            name = kind.__name__.replace("Optimized", "")
            case = Case(f"flax.linen.{name}{variation}", 1 + both)
            if both:
                layer = linen.Bidirectional(linen.RNN(kind(H)), linen.RNN(kind(H)), return_carry=True)
            else:
                layer = linen.RNN(kind(H), return_carry=True)
            flat = flax.traverse_util.flatten_dict(layer.init(jax.random.key(0), case.x)["params"], sep="/")
            flat = {path: case.weight(path, value.shape) for path, value in sorted(flat.items())}
            params = {"params": flax.traverse_util.unflatten_dict(flat, sep="/")}

            def read(carry, lengths, layer=layer, params=params, case=case):
                return layer.apply(params, case.x, initial_carry=carry, seq_lengths=lengths)

            put(case, read, "LSTM" in name)

    for kind in (nnx.SimpleCell, nnx.GRUCell, nnx.LSTMCell, nnx.OptimizedLSTMCell):
        for variation in ("", " bidirectional"):
            both = variation == " bidirectional"
            case = Case(f"flax.nnx.{kind.__name__}{variation}", 1 + both)
            layers = [nnx.RNN(kind(D, H, rngs=nnx.Rngs(0)), return_carry=True) for _ in range(1 + both)]
            layer = nnx.Bidirectional(*layers, return_carry=True) if both else layers[0]
            state = nnx.to_flat_state(nnx.state(layer, nnx.Param))
            new = [(path, value.replace(case.weight(".".join(path), value.get_value().shape))) for path, value in state]
            nnx.update(layer, nnx.from_flat_state(new))

            def read(carry, lengths, layer=layer, case=case):
                return layer(case.x, initial_carry=carry, seq_lengths=lengths)

            put(case, read, "LSTM" in kind.__name__)
    return record


def haiku() -> Recorder:
    import haiku as hk
    import jax

    record = Recorder(hk.__version__)
    kinds = {
        "VanillaRNN": hk.VanillaRNN, "VanillaRNN one bias": lambda size: hk.VanillaRNN(size, double_bias=False),
        "GRU": hk.GRU, "LSTM": hk.LSTM,
    }  # fmt: skip
    for name, kind in kinds.items():
        case = Case(f"haiku.{name}")
        run = hk.transform(lambda x, state, kind=kind: hk.dynamic_unroll(kind(H), x, state, time_major=False))
        state = hk.LSTMState(case.h[0], case.c[0]) if name == "LSTM" else case.h[0]
        params = run.init(jax.random.key(0), case.x, state)
        params = {
            path: {part: case.weight(f"{path}/{part}", value.shape) for part, value in sorted(own.items())}
            for path, own in sorted(params.items())
        }
        y, final = run.apply(params, None, case.x, state)
        record.put(case, y, *([part[None] for part in final] if name == "LSTM" else [final[None]]))
    return record


def equinox() -> Recorder:
    import equinox as eqx
    import jax

    record = Recorder(eqx.__version__)
    for kind in (eqx.nn.GRUCell, eqx.nn.LSTMCell):
        for bias in (True, False):
            case = Case(f"equinox.{kind.__name__}{'' if bias else ' without biases'}")
            cell = kind(D, H, use_bias=bias, key=jax.random.key(0))
            names = [name for name in vars(cell) if hasattr(getattr(cell, name), "shape")]
            new = [case.weight(name, getattr(cell, name).shape) for name in names]
            cell = eqx.tree_at(lambda cell, names=names: [getattr(cell, name) for name in names], cell, new)
            state, y = ((case.h[0], case.c[0]) if kind is eqx.nn.LSTMCell else case.h[0]), []
            for t in range(T):
                state = jax.vmap(cell)(case.x[:, t], state)
                y.append(state[0] if kind is eqx.nn.LSTMCell else state)
            final = state if kind is eqx.nn.LSTMCell else (state,)
            record.put(case, np.stack(y, 1), *(part[None] for part in final))
    return record


def mlx() -> Recorder:
    from importlib.metadata import version

    import mlx.core as mx
    from mlx import nn

    record = Recorder(version("mlx"))
    for name in ("RNN", "GRU", "LSTM"):
        for bias in (True, False):
            case = Case(f"mlx.{name}{'' if bias else ' without biases'}")
            layer = getattr(nn, name)(D, H, bias=bias)
            layer.update(
                {
                    key: mx.array(case.weight(key, value.shape))
                    for key, value in sorted(layer.parameters().items())
                    if value is not None
                }
            )
            h, c, x = (mx.array(part) for part in (case.h[0], case.c[0], case.x))
            found = [np.array(part) for part in (layer(x, h, c) if name == "LSTM" else [layer(x, h)])]
            record.put(case, found[0], *(part[None, :, -1] for part in found))
    return record


def paddle() -> Recorder:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddle

    record = Recorder(paddle.__version__)
    kinds = {
        "SimpleRNN": (paddle.nn.SimpleRNN, {}), "GRU": (paddle.nn.GRU, {}), "LSTM": (paddle.nn.LSTM, {}),
        "LSTM projected": (paddle.nn.LSTM, {"proj_size": P}),
    }  # fmt: skip
    for name, (kind, options) in kinds.items():
        for variation in ("", " stacked", " bidirectional"):
            layers, directions = (1 if variation == "" else 2), (2 if variation == " bidirectional" else 1)
            case = Case(f"paddle.{name}{variation}", layers * directions, size=options.get("proj_size", H))
            direction = "bidirect" if directions == 2 else "forward"
            layer = kind(D, H, num_layers=layers, direction=direction, **options)
            layer.eval()
            # A state dict names every tensor twice: all are set under the paths, and remembered under both names.
            tensors = layer.state_dict()
            new = {key: case.weight(key, value.shape) for key, value in tensors.items() if ".cell" in key}
            layer.set_state_dict(new)
            case.weights = {key: value.numpy() for key, value in layer.state_dict().items()}
            state = tuple(paddle.to_tensor(part) for part in (case.h, case.c))
            found = {}
            for lengths in (None, LENGTHS):
                given = None if lengths is None else paddle.to_tensor(lengths)
                y, final = layer(paddle.to_tensor(case.x), state if "LSTM" in name else state[0], given)
                end = "" if lengths is None else "_lengths"
                found[f"y{end}"] = y.numpy()
                final = final if "LSTM" in name else (final,)
                found |= {f"{s}_n{end}": part.numpy() for s, part in zip("hc", final, strict=False)}
            record.put(case, **found, lengths=LENGTHS)
    return record


def onnx() -> Recorder:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    record, gates = Recorder(onnxruntime.__version__), {"RNN": 1, "GRU": 3, "LSTM": 4}
    for name, kind, options in (
        ("RNN", "RNN", {}), ("GRU", "GRU", {}), ("GRU_linear_before_reset", "GRU", {"linear_before_reset": 1}),
        ("LSTM", "LSTM", {}), ("LSTM peepholes", "LSTM", {}),
    ):  # fmt: skip
        for variation in ("", " bidirectional"):
            n, G = 1 + (variation != ""), gates[kind]
            case = Case(f"onnx.{name}{variation}", n)
            case.weight("W", (n, G * H, D))
            case.weight("R", (n, G * H, H))
            case.weight("B", (n, 2 * G * H))
            inputs = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
            if kind == "LSTM":
                inputs.append("initial_c")
            if "peepholes" in name:
                case.weight("P", (n, 3 * H))
                inputs.append("P")
            outputs = ["Y", "Y_h", "Y_c"][: 2 + (kind == "LSTM")]
            direction = "bidirectional" if n == 2 else "forward"
            node = helper.make_node(kind, inputs, outputs, hidden_size=H, direction=direction, **options)
            state = {"initial_h": case.h, "initial_c": case.c}
            info = helper.make_tensor_value_info
            graph = helper.make_graph(
                [node], name,
                [info("X", TensorProto.FLOAT, (T, B, D)), info("sequence_lens", TensorProto.INT32, (B,))]
                + [info(s, TensorProto.FLOAT, (n, B, H)) for s in state if s in inputs],
                [info(output, TensorProto.FLOAT, None) for output in outputs],
                [numpy_helper.from_array(value, key) for key, value in case.weights.items()],
            )  # fmt: skip
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            found = {}
            for end, lengths in (("", np.full(B, T, np.int32)), ("_lengths", LENGTHS)):
                feeds = {"X": case.x.transpose(1, 0, 2), "sequence_lens": lengths}
                y, *final = session.run(None, feeds | {s: v for s, v in state.items() if s in inputs})
                found[f"y{end}"] = y.transpose(2, 0, 1, 3).reshape(B, T, -1)  # from (T, directions, B, H)
                found |= {f"{s}_n{end}": part for s, part in zip("hc", final, strict=False)}
            record.put(case, **found, lengths=LENGTHS)
    return record


def tensorflow() -> Recorder:
    import tensorflow as tf

    record = Recorder(tf.__version__)
    for name, op, variation, options in (
        ("BlockLSTM", tf.raw_ops.BlockLSTM, " as it is", {}),
        ("BlockLSTM", tf.raw_ops.BlockLSTM, " without the clip", {"cell_clip": -1.0}),
        ("BlockLSTM", tf.raw_ops.BlockLSTM, " with peepholes", {"cell_clip": -1.0, "use_peephole": True}),
        ("BlockLSTMV2", tf.raw_ops.BlockLSTMV2, "", {}),
    ):
        case = Case(f"tensorflow.{name}{variation}", scale=1.5)
        case.c *= 3  # beyond the clip at 3
        case.weight("w", (D + H, 4 * H))
        case.weight("b", (4 * H,))
        peepholes = {f"wc{g}": np.zeros(H, np.float32) for g in "ifo"}
        if "use_peephole" in options:
            peepholes = {key: case.weight(key, value.shape) for key, value in peepholes.items()}
        _, cs, _, _, _, _, h = op(
            seq_len_max=tf.constant(T, tf.int64), x=case.x.transpose(1, 0, 2), cs_prev=case.c[0], h_prev=case.h[0],
            **case.weights | peepholes, **options,
        )  # fmt: skip
        record.put(case, h.numpy().transpose(1, 0, 2), h.numpy()[None, -1], cs.numpy()[None, -1])
        assert np.abs(cs).max() == 3 if variation == " as it is" else np.abs(cs).max() > 3, case.name
    case = Case("tensorflow.GRUBlockCell")
    shapes = {"w_ru": (D + H, 2 * H), "w_c": (D + H, H), "b_ru": (2 * H,), "b_c": (H,)}
    weights, h, y = {key: case.weight(key, shape) for key, shape in shapes.items()}, case.h[0], []
    for t in range(T):
        *_, h = tf.raw_ops.GRUBlockCell(x=case.x[:, t], h_prev=h, **weights)
        y.append(h.numpy())
    record.put(case, np.stack(y, 1), h.numpy()[None])
    return record


def chainer() -> Recorder:
    """Needs Python 3.8 and NumPy 1.23: chainer is no longer developed."""
    import chainer

    record = Recorder(chainer.__version__)
    for name, link in (("LSTM", chainer.links.LSTM(D, H)), ("StatefulGRU", chainer.links.StatefulGRU(D, H))):
        case, y = Case(f"chainer.{name}"), []
        for path, parameter in sorted(link.namedparams()):
            parameter.array[...] = case.weight(path.strip("/"), parameter.shape)
        states = (case.c[0], case.h[0]) if name == "LSTM" else (case.h[0],)
        link.set_state(*map(chainer.Variable, states))
        for t in range(T):
            y.append(link(case.x[:, t]).array)
        record.put(case, np.stack(y, 1), link.h.array[None], *([link.c.array[None]] if name == "LSTM" else []))
    return record


FRAMEWORKS = (keras, flax, haiku, equinox, mlx, paddle, onnx, tensorflow, chainer)

if __name__ == "__main__":
    known = {framework.__name__: framework for framework in FRAMEWORKS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "frameworks", nargs="*", metavar="FRAMEWORK", choices=[*known, []], help=f"of {', '.join(known)}"
    )
    parser.add_argument("-o", "--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if len(arguments.frameworks) == 1:
        name = arguments.frameworks[0]
        found = known[name]()
        found.store(arguments.out / f"{name}.npz")
        print(f"{name} {found.version}: {len(found.cases)} cases")
    else:  # in a process each, for their libraries do not know each other
        for name in arguments.frameworks or [name for name in known if name != "chainer"]:
            subprocess.run([sys.executable, __file__, name, "-o", arguments.out], check=True)

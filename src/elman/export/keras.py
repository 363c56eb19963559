"""A `.keras` file, which Keras 3 loads: the layers as JSON, and their weights as HDF5, in a ZIP archive."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.exported import Exported, check_ending
from elman.export.layers import layers_of
from elman.export.options import ExportOptions
from elman.export.source import numbers
from elman.interop import CONVENTIONS, to_arrays
from elman.interop.choice import convention_for
from elman.models.layered import INPUT, LayeredModel, NodeSettings
from elman.models.layered_values import Node, Shape
from elman.tasks.exchange import Say, Trained

WRITTEN = (1980, 1, 1, 0, 0, 0)  # the date of the archive's members: equal models give equal files


class KerasEntry(NamedTuple):
    """A layer of Keras."""

    kind: str  # the name of its class
    config: dict[str, Any]
    weights: Mapping[str, list[Numbers]] = {}  # by their paths in the layer, such as "cell", in order
    folds: tuple[str, ...] = ()


def places(run: Trained, path: Path) -> list[Path]:
    """NAME.keras. Raises `UserError` where the ending is another."""
    check_ending(path, ".keras")
    return [path]


def write(run: Trained, path: Path, options: ExportOptions, say: Say) -> Exported:
    """Write a run's model. Raises `UserError` where Keras has no layer that computes the same as one of the model's."""
    [path] = places(run, path)
    model, notes = layers_of(run.model)
    content, folds = keras_file(model)
    return Exported("keras", path, {path: content}, (*notes, *folds, PADDING))


PADDING = (
    "every step of a row counts: Keras gets no mask, unless an embedding or a masking layer of the model makes one"
)


def keras_file(model: LayeredModel) -> tuple[bytes, list[str]]:
    """The bytes of a `.keras` file, and what was folded."""
    import h5py

    given = KerasEntry("InputLayer", {"batch_shape": _batch(model.shapes[INPUT]), "dtype": _dtype(model.shapes[INPUT])})
    entries, folds = [_entry(given, INPUT, {})], list[str]()
    buffer, counts = io.BytesIO(), Counter[str]()
    with h5py.File(buffer, "w") as file:
        file.create_group("vars").attrs["name"] = "elman"
        _store(file, given, INPUT, counts)
        for settings, node in zip(model.settings.nodes, model.named_nodes.values(), strict=True):
            layer = keras_layer(settings, node)
            folds += [f"{settings.name}: {fold}" for fold in layer.folds]
            entries.append(_entry(layer, settings.name, {name: model.shapes[name] for name in settings.inputs}))
            _store(file, layer, settings.name, counts)
    config = {"name": "elman", "trainable": True, "layers": entries}
    config |= {"input_layers": [INPUT, 0, 0], "output_layers": [model.settings.output, 0, 0]}
    functional = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": config,
    }
    version = CONVENTIONS["keras.LSTM"].version.removeprefix("keras ")
    members = {
        "metadata.json": json.dumps({"keras_version": version}).encode(),
        "config.json": json.dumps(functional).encode(),
        "model.weights.h5": buffer.getvalue(),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for name, content in members.items():
            zipped.writestr(zipfile.ZipInfo(name, WRITTEN), content)
    return archive.getvalue(), folds


def keras_layer(settings: NodeSettings, node: Node) -> KerasEntry:
    """The layer of Keras that computes the same as a node. Raises `UserError` where there is none."""
    if settings.op not in LAYERS:
        raise UserError(f"keras has no layer for {settings.name!r}, which is of the kind {settings.op}")
    return LAYERS[settings.op](settings, node)


def _batch(shape: Shape) -> list[int | None]:
    """A shape as Keras writes it: None for the sizes of the batch and of time."""
    return [None] * (1 + shape.per_step) + ([] if shape.size is None else [shape.size])


def _dtype(shape: Shape) -> str:
    return "int32" if shape.size is None else "float32"


def _entry(layer: KerasEntry, name: str, inputs: Mapping[str, Shape]) -> dict[str, Any]:
    """A layer in `config.json`, with the values that it is called on."""
    tensors = []
    for given, shape in inputs.items():
        tensor = {"shape": _batch(shape), "dtype": _dtype(shape), "keras_history": [given, 0, 0]}
        tensors.append({"class_name": "__keras_tensor__", "config": tensor})
    args: list[Any] = [tensors] if len(tensors) > 1 else tensors
    calls = [{"args": args, "kwargs": {}}] if inputs else []
    return {**_serialized(layer.kind, {"name": name} | layer.config), "name": name, "inbound_nodes": calls}


def _serialized(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def _store(file: Any, layer: KerasEntry, name: str, counts: Counter[str]) -> None:
    """Write the weights of a layer; Keras finds these by its class and its number in that class."""
    kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", layer.kind)).lower()
    group = f"layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else "")
    counts[kind] += 1
    file.create_group(f"{group}/vars").attrs["name"] = name
    for path, arrays in layer.weights.items():
        place = file.require_group(f"{group}/{path}/vars" if path else f"{group}/vars")
        for number, array in enumerate(arrays):
            place.create_dataset(str(number), data=array)


# The layers, by the ops of nodes


def _embedding(settings: NodeSettings, node: Any) -> KerasEntry:
    sizes = {"input_dim": node.layer.num_embeddings, "output_dim": node.layer.embedding_dim}
    return KerasEntry("Embedding", {**sizes, "mask_zero": node.mask_zero}, {"": numbers(node.layer, "weight")})


def _linear(settings: NodeSettings, node: Any) -> KerasEntry:
    kernel, *bias = numbers(node.layer, "weight", "bias")
    config = {"units": node.layer.out_features, "use_bias": bool(bias)}
    return KerasEntry("Dense", config, {"": [kernel.T, *bias]})


def _recurrent(settings: NodeSettings, node: Any) -> KerasEntry:
    layer, both = node.layer, node.direction == "both"
    convention = convention_for("keras", layer)
    arrays = to_arrays(layer, convention)
    if node.direction == "backward" and node.reads == "sequence" and node.in_time_order:
        raise UserError(f"keras leaves the outputs of {settings.name!r} in the order of a reading backward")
    kind = convention.name.partition(".")[2].partition("_")[0]
    config: dict[str, Any] = {
        "units": layer.hidden_size, "activation": convention.functions[-1], "use_bias": layer.bias,
        "return_sequences": node.reads == "sequence", "zero_output_for_mask": node.padding == "zero",
    }  # fmt: skip
    if convention.cell != "elman":
        config["recurrent_activation"] = convention.functions[0]
    config |= convention.options if convention.cell == "gru" else {}
    names = [array.name for array in convention.arrays if not array.optional or layer.bias]
    if not both:
        config["go_backwards"] = node.direction == "backward"
        weights = {"cell": [arrays[f"cell.{name}"] for name in names]}
        return KerasEntry(kind, config, weights, arrays.folds)
    halves = {"layer": ("forward_layer", False), "backward_layer": ("backward_layer", True)}
    inner = {
        key: _serialized(kind, config | {"name": f"{name}_{settings.name}", "go_backwards": backward})
        for key, (name, backward) in halves.items()
    }
    weights = {f"{name}/cell": [arrays[f"{name}.cell.{part}"] for part in names] for name, _ in halves.values()}
    return KerasEntry("Bidirectional", {"merge_mode": node.merge, **inner}, weights, arrays.folds)


def _activation(settings: NodeSettings, node: Any) -> KerasEntry:
    options = cast(dict[str, Any], settings.model_extra)
    function, alpha = options["function"], options.get("alpha")
    if function in WITH_ALPHA:
        kind, name = WITH_ALPHA[function]
        return KerasEntry(kind, {name: alpha})
    if function not in ACTIVATIONS:
        raise UserError(f"keras has no function for {settings.name!r}: {function}")
    return KerasEntry("Activation", {"activation": function})


ACTIVATIONS = {
    *("linear", "tanh", "sigmoid", "hard_sigmoid", "log_sigmoid", "hard_tanh", "relu", "relu6", "selu", "gelu", "silu"),
    *("hard_silu", "mish", "softplus", "softsign", "exponential", "softmax", "log_softmax"),
}
WITH_ALPHA = {"leaky_relu": ("LeakyReLU", "negative_slope"), "elu": ("ELU", "alpha")}


def _layer_norm(settings: NodeSettings, node: Any) -> KerasEntry:
    own = node.layer
    config = {"axis": -1, "epsilon": own.epsilon, "scale": own.weight is not None, "center": own.bias is not None}
    return KerasEntry("LayerNormalization", config, {"": numbers(own, "weight", "bias")})


def _batch_norm(settings: NodeSettings, node: Any) -> KerasEntry:
    weights = numbers(node.layer, "weight", "bias", "mean", "variance")
    return KerasEntry("BatchNormalization", {"axis": -1, "epsilon": node.layer.epsilon}, {"": weights})


def _masking(settings: NodeSettings, node: Any) -> KerasEntry:
    return KerasEntry("Masking", {"mask_value": node.mask_value})


def _dropout(settings: NodeSettings, node: Any) -> KerasEntry:
    return KerasEntry("SpatialDropout1D" if node.locked else "Dropout", {"rate": node.layer.p})


def _plain(kind: str, **config: Any) -> Callable[[NodeSettings, Node], KerasEntry]:
    """A layer without weights, which all nodes of an op are."""
    return lambda settings, node: KerasEntry(kind, dict(config))


LAYERS: dict[str, Callable[[NodeSettings, Any], KerasEntry]] = {
    "embedding": _embedding,
    "masking": _masking,
    "recurrent": _recurrent,
    "linear": _linear,
    "activation": _activation,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "dropout": _dropout,
    "mean": _plain("GlobalAveragePooling1D"),
    "max": _plain("GlobalMaxPooling1D"),
    "concat": _plain("Concatenate", axis=-1),
    **{kind.lower(): _plain(kind) for kind in ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")},
}

"""Whole models of Keras from `.keras` and legacy `.h5` files, without Keras: Sequential and simple Functional models.

The masks of embeddings and masking layers flow as in Keras. A Functional model's file names them as operations of their
own; they must be those that flow by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elman.errors import UserError
from elman.interop.imported import Imported, ImportOptions
from elman.interop.keras_archives import KerasArchive, open_archive
from elman.interop.keras_layer import KerasLayer
from elman.interop.keras_layers import LAYERS, differs, unknown
from elman.interop.layered_graph import LayeredGraph, Symbol

DEEPEST = 8  # models in models
CONTAINERS = ("Sequential", "Functional", "Model")
# Operations of masks in a Functional model's file: those that join the masks before them, and others.
JOINED = ("Any", "ExpandDims", "LogicalOr", "Concatenate", "Cast")
OPERATIONS = ("NotEqual", "ZerosLike", "OnesLike")
EVERY = "every step"  # the mask that masks nothing

Key = tuple[str, int, int]


class ComputedMask(NamedTuple):
    """A mask that is computed in a file: the steps that differ from a value, of any of these."""

    sources: frozenset[str]


def read_keras(path: Path, options: ImportOptions | None = None) -> Imported:
    """The model in a file of Keras 3.

    Raises:
        UserError: no such file, or a damaged one; a layer, or an option of one, that elman does not know.
    """
    with open_archive(path) as archive:
        if archive.version.partition(".")[0] != "3":
            remedy = "load and save the model with Keras 3"
            raise UserError(f"{path}", expected="a file of Keras 3", got=f"one of {archive.version}", remedy=remedy)
        return KerasReader(archive, options or ImportOptions()).read(f"keras {archive.version}")


class KerasReader:
    """Makes the nodes of a `LayeredModel` of a configuration of Keras."""

    def __init__(self, archive: KerasArchive, options: ImportOptions) -> None:
        self.archive, self.options = archive, options
        _, self.steps, *channels = _input_shape(archive.model)
        self.graph = LayeredGraph(channels[0] if channels else None)

    def read(self, framework: str) -> Imported:
        """The whole model."""
        model = self.archive.model
        output = self._model(model, self.graph.source, ())
        self._note_policies(model)
        made = self.graph.imported(framework, output, _kind(model.get("compile_config"), self.graph.source, output))
        return made._replace(steps=self.steps)

    def _model(self, model: Mapping[str, Any], source: Symbol, path: tuple[str, ...]) -> Symbol:
        kind, own = model.get("class_name"), model["config"]
        if len(path) > DEEPEST:
            raise UserError("models in models", expected=f"at most {DEEPEST}", got="more")
        if kind == "Sequential":
            for layer in own["layers"]:
                source = self._layer(layer, [source], path)
            return source
        if kind in CONTAINERS and "input_layers" in own:
            return self._functional(own, source, path)
        raise UserError(f"the model {own.get('name')!r}", expected="Sequential or Functional", got=repr(kind))

    def _layer(self, layer: Mapping[str, Any], given: Sequence[Symbol], path: tuple[str, ...]) -> Symbol:
        kind, own = layer["class_name"], layer["config"]
        if kind == "InputLayer":
            return given[0]
        if kind in CONTAINERS:
            if len(given) != 1:
                raise UserError(f"the model {own['name']!r}", expected="one input", got=len(given))
            return self._model(layer, given[0], (*path, own["name"]))
        if kind not in LAYERS or (layer.get("registered_name") or kind) != kind:
            raise unknown(layer)
        if own.get("stateful"):
            self.graph.note(f"{own['name']} is stateful: its state is in no file, and a run begins with a fresh one")
        try:
            return LAYERS[kind](KerasLayer(self.graph, self.archive, self.options, path, kind, own), given)
        except UserError as error:
            raise UserError(f"the layer {own['name']!r} ({kind}): {error}") from None

    def _functional(self, own: Mapping[str, Any], source: Symbol, path: tuple[str, ...]) -> Symbol:
        (first,), (last,) = _keys(own["input_layers"]), _keys(own["output_layers"])
        values: dict[Key, Symbol | ComputedMask | None] = {first: source}
        for layer in own["layers"]:
            name, calls = layer["config"]["name"], layer.get("inbound_nodes", [])
            if (name, 0, 0) == first:
                continue
            if len(calls) != 1:
                what = f"the layer {name!r} ({layer['class_name']})"
                raise UserError(what, expected="one call", got=f"{len(calls)}, which share their weights")
            arguments, named = calls[0]["args"], calls[0].get("kwargs", {})
            if _is_of_masks(layer, arguments, values):
                values[name, 0, 0] = _mask(layer["class_name"], arguments, values)
                continue
            given = []
            for key in _tensors(arguments):
                value = values.get(key)
                if not isinstance(value, Symbol):
                    raise UserError(
                        f"the layer {name!r} reads {key[0]!r}", expected="a layer's only output", got="another"
                    )
                given.append(value)
            self._check_named(layer, named, given, values)
            values[name, 0, 0] = self._layer(layer, given, path)
        found = values.get(last)
        if not isinstance(found, Symbol):
            raise UserError(f"the output {last[0]!r}", expected="a layer's only output", got="another")
        return found

    def _check_named(
        self, layer: Mapping[str, Any], named: Mapping[str, Any], given: Sequence[Symbol], values: Mapping[Key, Any]
    ) -> None:
        """Refuse arguments that change what a layer computes: a mask other than that which flows, an initial state."""
        what = f"the layer {layer['config']['name']!r} ({layer['class_name']})"
        for argument, value in named.items():
            tensors = _tensors(value)
            if argument == "mask" and len(tensors) == 1:
                mask, flows = values.get(tensors[0]), given[0].mask
                computed = mask.sources if isinstance(mask, ComputedMask) else frozenset(["another"])
                if (frozenset() if EVERY in computed else computed) != flows:
                    raise UserError(what, expected="the mask of embeddings and masking layers before", got="another")
            elif tensors:
                raise UserError(what, expected="no argument beside its input and its mask", got=argument)

    def _note_policies(self, model: Mapping[str, Any]) -> None:
        policies = {_policy(layer["config"]) for layer in _layers(model) if layer["class_name"] in LAYERS}
        for policy in sorted(policies - {"float32"}):
            if "mixed" not in policy and policy not in ("float64", "float16", "bfloat16"):
                raise UserError("weights", expected="numbers with a point", got=f"the policy {policy}")
            self.graph.note(f"Keras computes with the policy {policy}, and elman in float32")


def _input_shape(model: Mapping[str, Any]) -> list[int | None]:
    """The shape of a model's input, by that of its first layer: (batch, time) of tokens, or (batch, time, channels)."""
    own = model["config"]
    first = own["layers"][0]
    if "input_layers" in own:
        ((name, _, _),) = _keys(own["input_layers"])
        first = next(layer for layer in own["layers"] if layer["config"]["name"] == name)
    shape = first["config"].get("batch_shape") or own.get("build_input_shape")
    if shape is None and first["class_name"] in CONTAINERS:
        return _input_shape(first)
    sizes = shape[1:] if isinstance(shape, list) and len(shape) in (2, 3) else [0]
    if any(size is not None and (type(size) is not int or size < 1) for size in sizes) or sizes[1:] == [None]:
        raise UserError("input", expected="(batch, time) of tokens, or (batch, time, channels)", got=shape)
    return shape


def _keys(places: Any) -> list[Key]:
    """Places in a graph, of which Keras writes a single one without a list around it."""
    places = [places] if places and isinstance(places[0], str) else places
    found = [(str(name), int(call), int(tensor)) for name, call, tensor in places]
    if len(found) != 1:
        raise UserError("the model", expected="one input and one output", got=f"{len(found)}")
    return found


def _tensors(arguments: Any) -> list[Key]:
    """The places of all tensors in the arguments of a call."""
    if isinstance(arguments, list):
        return [key for each in arguments for key in _tensors(each)]
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            return _keys(arguments["config"]["keras_history"])
        return [key for each in arguments.values() for key in _tensors(each)]
    return []


def _is_of_masks(layer: Mapping[str, Any], arguments: Any, values: Mapping[Key, Any]) -> bool:
    """Whether a layer is an operation on masks; a legacy file does not tell it from a layer of that name."""
    if layer.get("module", "").startswith("keras.src.ops") or layer["class_name"] in OPERATIONS:
        return True
    given = [values.get(key) for key in _tensors(arguments)]
    return layer["class_name"] in JOINED and all(isinstance(value, ComputedMask) for value in given)


def _mask(kind: str, arguments: Any, values: Mapping[Key, Any]) -> ComputedMask | None:
    """The mask that an operation computes, or None for an operation of another kind."""
    given = [values.get(key) for key in _tensors(arguments)]
    if kind == "NotEqual" and len(given) == 1 and isinstance(given[0], Symbol) and len(arguments) == 2:
        return ComputedMask(frozenset([differs(given[0], arguments[1])]))
    if kind in JOINED and all(isinstance(mask, ComputedMask) for mask in given):
        return ComputedMask(frozenset().union(*(mask.sources for mask in given if isinstance(mask, ComputedMask))))
    constant = {"ZerosLike": frozenset[str](), "OnesLike": frozenset([EVERY])}
    return ComputedMask(constant[kind]) if kind in constant else None


def _layers(model: Mapping[str, Any], depth: int = 0) -> list[Mapping[str, Any]]:
    """All layers, those of models in the model too."""
    found = list[Mapping[str, Any]]()
    for layer in model["config"].get("layers", []):
        found += _layers(layer, depth + 1) if layer["class_name"] in CONTAINERS and depth < DEEPEST else [layer]
    return found


def _policy(own: Mapping[str, Any]) -> str:
    policy = own.get("dtype", "float32")
    policy = policy.get("config", {}).get("name", "?") if isinstance(policy, dict) else policy
    return "float32" if policy in ("int32", "int64") or policy is None else str(policy)  # of inputs


def _kind(compiled: Any, source: Symbol, output: Symbol) -> str:
    """What an output is that no softmax or sigmoid makes: by the loss of the training, else by the input."""
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    own = loss.get("config") if isinstance(loss, dict) else None
    if isinstance(own, dict) and own.get("from_logits"):
        return "logits"
    return "logits" if loss is None and source.shape.size is None and output.size > 1 else "numbers"

"""A run's model as a `LayeredModel`: named layers that other frameworks have too, of which their files are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from elman.errors import UserError
from elman.models.classifier import Classifier
from elman.models.encoder import RecurrentEncoder
from elman.models.forecaster import SeriesForecaster
from elman.models.layered import INPUT, LayeredModel
from elman.models.layered_ops import POOLS
from elman.models.recurrent import RecurrentLM
from elman.models.sequence_encoder import SequenceEncoder
from elman.models.tagger import Tagger
from elman.nn.recurrent import Recurrent

ELSEWHERE = "--to onnx writes every model of elman, --to safetensors the arrays of every model"
TRANSFORMER, TWO = "a Transformer of elman's own kind", "an encoder-decoder of elman's own kind"
WORDS = {"TransformerLM": TRANSFORMER, "RecurrentEncoderDecoder": TWO, "TransformerEncoderDecoder": TWO}


class Layers(NamedTuple):
    """A model, and what a person must know of its inputs and outputs."""

    model: LayeredModel
    notes: tuple[str, ...]


def layers_of(model: nn.Module) -> Layers:
    """The layers of a model, which have its parameters and compute the same in evaluation, up to rounding.

    Raises:
        UserError: something in the model is no layer of other frameworks.
    """
    if isinstance(own := getattr(model, "network", model), LayeredModel):
        return Layers(own, ())
    for kind in type(model).__mro__:
        if kind in LAYERS:
            builder = LayersBuilder()
            LAYERS[kind](cast(Any, model), builder)
            return builder.build()
    raise no_layer(f"the model is {WORDS.get(type(model).__name__, 'a module of your own')}")


def no_layer(reason: str) -> UserError:
    """The error for a model that other frameworks have no layers for."""
    return UserError(f"no layers of another framework compute the same: {reason}", remedy=ELSEWHERE)


class LayersBuilder:
    """The configuration of a `LayeredModel` and the modules behind its nodes, in the making."""

    def __init__(self) -> None:
        self.input: dict[str, Any] = {}
        self.nodes: list[dict[str, Any]] = []
        self.modules: dict[str, nn.Module] = {}
        self.notes: list[str] = []

    def add(self, op: str, name: str, *inputs: str, module: nn.Module | None = None, **options: Any) -> str:
        """Append a node, and return its name."""
        self.nodes.append({"op": op, "name": name, "inputs": [*inputs], **options})
        if module is not None:
            self.modules[name] = module
        return name

    def embedding(self, module: nn.Module, *, vocab_size: int | None = None, channels: int | None = None) -> str:
        """The first layer, and with it the inputs."""
        if vocab_size is None:
            self.input = {"kind": "values", "channels": channels}
            return self.linear("embedding", module, INPUT)
        self.input = {"kind": "tokens", "vocab_size": vocab_size}
        own = cast(nn.Embedding, module)
        return self.add("embedding", "embedding", INPUT, module=own, rows=own.num_embeddings, size=own.embedding_dim)

    def linear(self, name: str, module: nn.Module, x: str) -> str:
        """W x + b."""
        own = cast(nn.Linear, module)
        sizes = {"input_size": own.in_features, "output_size": own.out_features, "bias": own.bias is not None}
        return self.add("linear", name, x, module=own, **sizes)

    def encoder(self, encoder: SequenceEncoder, x: str, *, last: bool = False) -> str:
        """The layers of an encoder; with `last`, the final outputs alone."""
        if not isinstance(encoder, RecurrentEncoder):
            raise no_layer(f"the model is {TRANSFORMER}")
        return self.recurrent(encoder.layers, x, encoder.settings.residual, last=last)

    def recurrent(self, layers: nn.ModuleList, x: str, residual: bool, *, last: bool = False) -> str:
        """Layers of one cell."""
        for number, layer in enumerate(layers, 1):
            assert isinstance(layer, Recurrent)
            size, ends = layer.output_size * layer.num_directions, last and number == len(layers)
            added = residual and layer.input_size == size
            if added and ends and layer.bidirectional:
                raise no_layer("the last layer adds its inputs to the final outputs of two directions")
            reads = "last" if ends and not added else "sequence"
            y = self.add("recurrent", f"{layer.specification.name}_{number}", x, module=layer, **_options(layer, reads))
            x = self.add("add", f"add_{number}", x, y) if added else y
            if added and ends:
                x = self.add("last", "last", x, size=size)
        return x

    def build(self) -> Layers:
        """The model, whose parameters are those of the modules."""
        output = self.nodes[-1]
        per_step = not any(node["op"] in POOLS or node.get("reads") == "last" for node in self.nodes)
        config = {"input": self.input, "nodes": self.nodes, "output": output["name"], "output_kind": "logits"}
        with torch.device("meta"):
            model = LayeredModel(
                {**config, "logits": output["name"], "outputs": output["output_size"], "per_step": per_step}
            )
        nodes = model.named_nodes
        for name, module in self.modules.items():
            cast(nn.Module, nodes[name].layer).load_state_dict(module.state_dict(), assign=True)
        return Layers(model.eval(), tuple(self.notes))


def _options(layer: Recurrent, reads: str) -> dict[str, Any]:
    """The options of a recurrent node."""
    if layer.zoneout or layer.zoneout_cell:
        raise no_layer("zoneout mixes old and new states at every step")
    if layer.layer_norm:
        raise no_layer("the recurrent layers normalise their sums")
    found = {"cell": layer.specification.name, "input_size": layer.input_size, "hidden_size": layer.hidden_size}
    found |= {"direction": "both" if layer.bidirectional else "forward", "reads": reads, "bias": layer.bias}
    names = ("reset_after", "nonlinearity", "peepholes", "proj_size")
    return found | {name: getattr(layer, name) for name in names if name in layer.defaults}


def _language_model(model: RecurrentLM, to: LayersBuilder) -> None:
    x = to.embedding(model.embedding, vocab_size=model.vocab_size)
    to.linear("decoder", model.decoder, to.recurrent(model.layers, x, model.residual))
    to.notes.append("outputs are logits of the next token")
    if model.tied:
        to.notes.append("the embedding and the output layer, which share their weights, have an array each")


def _tagger(model: Tagger, to: LayersBuilder) -> None:
    if model.crf_layer is not None:
        raise no_layer("the search of a CRF is none")
    if model.character_size:
        raise no_layer("the model reads the characters of words, a row of them for each word")
    x = to.embedding(model.reader.words, vocab_size=model.word_vocab_size)
    to.linear("output", model.output_layer, to.encoder(model.encoder, x))
    to.notes.append(f"outputs are logits of {len(model.tags)} tags: {_listed(model.tags)}")


def _classifier(model: Classifier, to: LayersBuilder) -> None:
    if model.ngrams:
        raise no_layer("a step reads a set of n-grams")
    kind = model.pool.kind
    if kind not in POOLS:
        raise no_layer(f"they have no pooling by {kind}")
    if model.vocab_size is None:
        x = to.embedding(model.embedding, channels=cast(nn.Linear, model.embedding).in_features)
        flags = ", and behind them, for each, 1 where it is missing and 0 where it is not" * model.missing
        to.notes.append(f"inputs are standardised values, 0 where one is missing{flags}")
    else:
        x = to.embedding(model.embedding, vocab_size=model.vocab_size)
    x = to.encoder(model.encoder, x, last=kind == "last")
    if kind != "last":
        x = to.add(kind, "pool", x, size=model.encoder.output_size)
    to.linear("output", model.output, x)
    outputs = {"class": "logits of the classes", "several": "a logit for each label", "number": "a standardised number"}
    temperature = float(model.temperature)
    divided = temperature != 1 and model.kind_of_labels != "number"
    to.notes.append(
        f"outputs are {outputs[model.kind_of_labels]}"
        + f", to be divided by {temperature:.6g} before they become probabilities" * divided
    )


def _forecaster(model: SeriesForecaster, to: LayersBuilder) -> None:
    _, known, static = model.channels
    if model.form != "direct":
        raise no_layer(f"a forecaster of the form {model.form} goes on from its state for every step to come")
    if known or static:
        raise no_layer("the model reads numbers of the steps to come, or of the series, beside the window")
    to.input = {"kind": "values", "channels": model.encoder.input_size}
    to.linear("head", model.head, to.encoder(model.encoder, INPUT, last=True))
    to.notes.append(
        f"inputs are windows as SeriesForecaster.inputs makes them: in their own units, each value with a flag that it "
        f"is missing, {model.segment} in a step; outputs are {model.horizon} x {model.output.size} numbers for "
        "SeriesForecaster.output"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + ", …" * (len(names) > 12)


LAYERS: dict[type, Callable[[Any, LayersBuilder], None]] = {
    RecurrentLM: _language_model,
    Tagger: _tagger,
    Classifier: _classifier,
    SeriesForecaster: _forecaster,
}

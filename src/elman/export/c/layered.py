"""A model of another framework as C, where its layers are a chain that reads forward: a step in, the scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from elman.errors import UserError
from elman.export.c.cells import every_unit
from elman.export.c.classifier import answer_in_words
from elman.export.c.interface import Interface
from elman.export.c.layers import step_function
from elman.export.c.source import CSource, identifier
from elman.models.layered import INPUT, LayeredModel, TokenInput
from elman.models.layered_classifier import LayeredClassifier
from elman.models.layered_tagger import LayeredTagger

ELSEWHERE = "export --to onnx"


class Chain:
    """The statements of a step, one node after the other; `x` names the vector that the next node reads."""

    def __init__(self, source: CSource) -> None:
        self.source, self.lines, self.x = source, list[str](), "given"

    def embedding(self, name: str, node: Any) -> None:
        """A row of a table."""
        if node.mask_zero:
            raise UserError(f"{name!r} masks the token 0, and C reads every step", remedy=ELSEWHERE)
        table = self.source.table(f"{name}_weight", node.layer.weight)
        self.lines += [f"float {name}[{table.D}] = {{0}};", self.source.add_row(name, table, "token")]
        self.x = name

    def linear(self, name: str, node: Any) -> None:
        """W x + b."""
        self.lines.append(f"float {name}[{node.layer.out_features}];")
        self.lines += self.source.linear(name, node.layer, self.x, name)
        self.x = name

    def recurrent(self, name: str, node: Any) -> None:
        """A step of a layer; its last output is that of the last step."""
        layer = step_function(self.source, name, node.layer)
        self.source.fields += [f"float {name}_{state}[{size}]" for state, size in layer.states]
        states = [f"state->{name}_{state}" for state, _ in layer.states]
        self.lines.append(layer.call(self.x, states))
        self.x = states[0]

    def same(self, name: str, node: Any) -> None:
        """Nothing: outside of training, and after each step, the node hands on what it reads."""


NODES: dict[str, Callable[[Chain, str, Any], None]] = {
    "embedding": Chain.embedding,
    "linear": Chain.linear,
    "recurrent": Chain.recurrent,
    "dropout": Chain.same,
    "last": Chain.same,
}


def write(source: CSource, model: Any, codecs: Mapping[str, Any]) -> Interface:
    """Add the functions of the model to a program. Raises `UserError` where its layers are no such chain."""
    network: LayeredModel = model.network
    _check(network)
    own, nodes = network.settings, network.named_nodes
    chain = Chain(source)
    if isinstance(own.input, TokenInput):
        argument, get = "int token", "int token; GET(token);"
        meaning = f"Read a token, from 0 to {own.input.vocab_size - 1}"
    else:
        C, read = own.input.channels, "given[u] = isnan(values[u]) ? 0 : (float)values[u];"
        argument, get = f"const double values[{C}]", f"double values[{C}]; GET(values);"
        meaning = f"Read a step of {C} channels, scaled as in the model's training; NaN is read as 0"
        chain.lines += [f"float given[{C}];", *every_unit(read, size=C)]
    for number, (settings, node) in enumerate(zip(own.nodes, nodes.values(), strict=True)):
        if settings.op not in NODES:
            what = f"an imported model whose layer {settings.name!r} is of the kind {settings.op}"
            raise UserError(what, expected=f"for C, a chain of {', '.join(NODES)}", remedy=ELSEWHERE)
        NODES[settings.op](chain, identifier(PurePath(f"{settings.name}_{number}")), node)
        if settings.name == (own.logits or own.output):
            break
    if not source.fields:
        raise UserError("this model has no recurrent layer, and so no memory from step to step", remedy=ELSEWHERE)
    K, head = _outputs(model), f"void PREFIX_step(PREFIX_state *state, {argument}, float logits[PREFIX_OUTPUTS])"
    shift = K - own.outputs  # 1 where the model has one logit for two classes: that of the first is 0
    source.function(head, [*chain.lines, *["logits[0] = 0;"] * shift, *_copied(chain.x, shift, own.outputs)])
    labels = codecs.get("labels")
    names = model.tags if isinstance(model, LayeredTagger) else labels.names if labels else ()
    call = f"PREFIX_step(&state, {argument.partition('[')[0].split()[-1]}, logits);"
    return Interface(
        summary=f"A model of {own.framework or 'another framework'} with {K} output{'s' * (K > 1)}.",
        functions={head: f"{meaning}. Logits are those {_answer(model, labels)}."},
        usage=f"float logits[PREFIX_OUTPUTS];\n{call}    for each step",
        constants={"OUTPUTS": K},
        names=names,
        main=(f"float logits[PREFIX_OUTPUTS]; {get} {call} PUT(logits);",),
    )


def _check(network: LayeredModel) -> None:
    """Raises `UserError` for layers that take no steps, that branch, or whose logits nobody knows."""
    own = network.settings
    if not network.causal:
        raise UserError("this model needs the whole sequence, and takes no steps in C", remedy=ELSEWHERE)
    if own.output_kind == "probabilities" and own.logits is None:
        raise UserError("this model gives probabilities, whose logits C does not know", remedy=ELSEWHERE)
    before = INPUT
    for node in own.nodes:
        if node.inputs != [before]:
            raise UserError(f"C is for a chain of layers, and {node.name!r} reads another value", remedy=ELSEWHERE)
        before = node.name


def _outputs(model: Any) -> int:
    """How many scores a loss reads of the model; see `models.layered_scores`."""
    if isinstance(model, LayeredTagger):
        return len(model.tags)
    outputs: int = model.outputs if isinstance(model, LayeredClassifier) else model.vocab_size
    return outputs


def _copied(x: str, shift: int, size: int) -> list[str]:
    return every_unit(f"logits[u + {shift}] = {x}[u];" if shift else f"logits[u] = {x}[u];", size=size)


def _answer(model: Any, labels: Any) -> str:
    if isinstance(model, LayeredClassifier):
        return f"of all that was read so far: {answer_in_words(model, labels)}"
    return "of the token's tag" if isinstance(model, LayeredTagger) else "of the next token"

"""A model of another framework as named nodes in order, each a function of earlier values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from elman.errors import UserError, nearest
from elman.models.layered_ops import OPS
from elman.models.layered_pointwise import Rows
from elman.models.layered_recurrent import RecurrentNode
from elman.models.layered_values import Node, NodeValue, Shape, StepsOfCall
from elman.nn.sequences import Flags, Lengths, Resets, as_lengths, as_resets, as_tensor, as_tokens
from elman.reading import check_type
from elman.settings import Section, Units, complaint
from elman.state import State

INPUT = "input"  # the name of the value that the model reads


class TokenInput(Section):
    """Tokens (B, T), integers below `vocab_size`."""

    kind: Literal["tokens"]
    vocab_size: Rows


class ValueInput(Section):
    """Numbers (B, T, channels)."""

    kind: Literal["values"]
    channels: Units


class NodeSettings(BaseModel):
    """What every node has; what else it has are its options."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    op: str
    name: str
    inputs: list[str] = Field(min_length=1)


class LayeredSettings(Section):
    """The configuration of a `LayeredModel`; the options of a node are checked by the node."""

    model: Literal["imported"] = "imported"
    framework: str = ""  # which the model comes from, with its version
    input: Annotated[TokenInput | ValueInput, Field(discriminator="kind")]
    nodes: list[NodeSettings] = Field(min_length=1, max_length=4096)
    output: str  # the value that a call returns: the framework's own output
    output_kind: Literal["probabilities", "logits", "numbers"]
    logits: str | None = None  # the value before a last softmax or sigmoid
    outputs: int = Field(ge=1)
    per_step: bool


class LayeredModel(nn.Module):
    """A model of another framework: named nodes in order, each a function of earlier values.

        output, state = model(inputs, state, lengths=lengths, resets=resets, mask=mask)

    Inputs are tokens (B, T) or numbers (B, T, D), and the output is the framework's own, (B, T, K) or (B, K), its
    softmax included. If every node is `causal`, the state contract holds: reading in pieces equals reading whole, and
    the state is a tuple with that of each stateful node. An output (B, K) is then that of all that was read. Other
    models take no state, and the state after them is ().

    - `lengths` (B,): the steps of a row from its length on are not there. They change nothing; outputs there are finite
      and mean nothing.
    - `resets` (B, T) boolean: the row's memory is made fresh before such a step.
    - `mask` (B, T) boolean: as the framework's layers take it. Masked steps (False) are skipped by recurrent layers and
      have outputs: see `RecurrentNode`. An embedding with `mask_zero` and a masking node make masks of their own.

    Args:
        config: plain values as `LayeredSettings` has them. A node has an "op" of `OPS`, a "name", "inputs" and the
            options that are the parameters of the op.

    Raises:
        UserError: a configuration that is none, with its reason in one line.

    >>> nodes = [
    ...     {"op": "recurrent", "name": "gru", "inputs": ["input"], "cell": "gru", "input_size": 3, "hidden_size": 4},
    ...     {"op": "linear", "name": "dense", "inputs": ["gru"], "input_size": 4, "output_size": 2},
    ... ]
    >>> values = {"kind": "values", "channels": 3}
    >>> config = {"input": values, "nodes": nodes, "output": "dense", "output_kind": "numbers"}
    >>> model = LayeredModel({**config, "outputs": 2, "per_step": True})
    >>> output, (h,) = model(torch.zeros(5, 7, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 7, 2]), torch.Size([5, 4]))
    """

    kind = "imported"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            self.settings = LayeredSettings.model_validate(dict(config), strict=True)
        except ValidationError as error:
            raise complaint(error) from None
        own, made = self.settings, list[tuple[str, Node]]()
        shapes = {INPUT: Shape(None if isinstance(own.input, TokenInput) else own.input.channels, True)}
        for index, node in enumerate(own.nodes):
            try:
                key = f"{index}_{re.sub('[^A-Za-z0-9]+', '_', node.name)}"
                made.append((key, make_node(node.model_dump())))
                if missing := [name for name in node.inputs if name not in shapes]:
                    raise UserError("inputs", expected="values before it", got=repr(missing[0]))
                if node.name in shapes:
                    raise UserError("name", expected="one that no value before it has", got=repr(node.name))
                shapes[node.name] = made[-1][1].shape([shapes[name] for name in node.inputs])
            except UserError as error:
                raise UserError(f"node {node.name!r}: {error}") from None
        for name in (own.output, own.logits or own.output):
            if shapes.get(name) != (expected := Shape(own.outputs, own.per_step)):
                raise UserError(f"output {name!r}", expected=f"a value of shape {expected}", got=shapes.get(name))
        self.reads_tokens, self.shapes = isinstance(own.input, TokenInput), shapes  # of the values, by name
        self.nodes = nn.ModuleDict(dict(made))
        self.causal = all(node.causal for _, node in made)
        self._inputs = {node.name: node.inputs for node in own.nodes}
        self._needed = {name: self._needed_for(name) for name in (own.output, own.logits or own.output)}

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which such a model is made again."""
        return self.settings.model_dump()

    @property
    def named_nodes(self) -> dict[str, Node]:
        """The nodes by their names in the configuration, in order."""
        return dict(zip(self._inputs, cast("list[Node]", [*self.nodes.values()]), strict=True))

    def initial_state(self, batch_size: int) -> tuple[State, ...]:
        """A fresh memory of every stateful node, zeros; () of a model that is not causal."""
        if not self.causal:
            return ()
        like = next(iter(self.parameters()), torch.zeros(()))
        return tuple(node.initial_state(batch_size, like) for node in self.named_nodes.values() if node.stateful)

    def forward(
        self, inputs: Any, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None,
        mask: Flags | None = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """The framework's own output (B, T, K) or (B, K), and the state after it."""
        return self._read(self.settings.output, inputs, state, lengths, resets, mask)

    def logits(
        self, inputs: Any, state: State | None = None, *, lengths: Lengths = None, resets: Resets = None,
        mask: Flags | None = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """As a call, without a last softmax or sigmoid, where there is one: what a loss is computed from."""
        return self._read(self.settings.logits or self.settings.output, inputs, state, lengths, resets, mask)

    def _read(
        self, wanted: str, inputs: Any, state: State | None, lengths: Lengths, resets: Resets, mask: Flags | None
    ) -> tuple[Tensor, State]:
        x, call, mask = self._checked(inputs, lengths, resets, mask)
        if state is not None and not self.causal and state != ():
            what = "this model reads backwards, too: it needs the whole sequence, and cannot go on from a state"
            raise UserError(what, remedy="leave out the state")
        before = iter(cast("tuple[State, ...]", self.initial_state(call.B) if state is None else state))
        values, after = {INPUT: NodeValue(x, mask)}, list[State]()
        for name, node in self.named_nodes.items():
            keeps = self.causal and node.stateful
            if name in self._needed[wanted] or keeps:
                given = [values[source] for source in self._inputs[name]]
                values[name], new = node(given, call, next(before) if keeps else None)
                if keeps:
                    after.append(cast(State, new))
        return values[wanted].data, tuple(after)

    def _checked(
        self, inputs: Any, lengths: Lengths, resets: Resets, mask: Flags | None
    ) -> tuple[Tensor, StepsOfCall, Tensor | None]:
        """Inputs, what is said of their steps, and a mask, as tensors that fit each other."""
        like = next(iter(self.parameters()), torch.zeros(()))
        if isinstance(self.settings.input, TokenInput):
            x = as_tokens(inputs, self)
        else:
            channels = self.settings.input.channels
            x = as_tensor("inputs", inputs, like.dtype, like.device)
            if x.dim() != 3 or x.shape[2] != channels:
                raise UserError("inputs", expected=f"shape (B, T, {channels})", got=f"shape {tuple(x.shape)}")
            x = x if x.is_floating_point() and isinstance(inputs, Tensor) else x.to(like.dtype)
        B, T = x.shape[:2]
        ends = None if lengths is None else as_lengths(lengths, B, T, x.device)
        call = StepsOfCall(B, T, ends, None)
        if resets is not None:
            starts, there = as_resets(resets, B, T, x.device), call.real(None)
            call = call._replace(resets=starts if there is None else starts & there)
        return x, call, None if mask is None else as_resets(mask, B, T, x.device, name="mask")

    def _needed_for(self, wanted: str) -> set[str]:
        """The names of the values that one is made of, its own among them."""
        needed, new = set[str](), [wanted]
        while new:
            if (name := new.pop()) not in needed:
                needed.add(name)
                new += self._inputs.get(name, [])
        return needed

    def stacked_maps(self) -> dict[Tensor, int]:
        """The matrices of recurrent layers, with a map for each of the cell's gates, and of linear layers between.

        A linear layer that makes the output is none of them.
        """
        found: dict[Tensor, int] = {}
        for name, node in self.named_nodes.items():
            if isinstance(node, RecurrentNode):
                rows = len(node.layer.specification.rows)
                found |= {p: rows for p in node.parameters() if p.dim() == 2}
            elif isinstance(layer := getattr(node, "layer", None), nn.Linear) and name not in self._needed:
                found[layer.weight] = 1
        return found


def make_node(settings: Mapping[str, Any]) -> Node:
    """The node of an op and its options. Raises `UserError` for an op or option that there is not, and wrong values."""
    op, options = settings["op"], {key: value for key, value in settings.items() if key not in ("op", "name", "inputs")}
    if op not in OPS:
        raise UserError("op", expected="an operation", got=repr(op), remedy=nearest(op, OPS))
    make = OPS[op]
    constructor: Any = getattr(make, "func", make)
    hints = get_type_hints(constructor.__init__ if inspect.isclass(constructor) else constructor, include_extras=True)
    parameters = inspect.signature(make).parameters
    for name, value in options.items():
        if name not in parameters or parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY:
            raise UserError(name, expected=f"an option of {op}", remedy=nearest(name, parameters))
        check_type(value, hints[name], name)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise UserError(f"{name}: {op} needs it")
    return make(**options)

"""ONNX graphs as models of elman: batch first, whatever the order of axes in the graph.

Every value of the graph is followed with its axes (`elman.interop.onnx.axes`): which dimension is the batch, which is
time, which are features. A graph whose values stand time first becomes one whose values stand batch first, and a node
that mixes the axes is refused, for what it computes depends on how many rows are read at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman.errors import UserError
from elman.interop.imported import Imported, ImportOptions
from elman.interop.onnx import computing, constants, recurrent, structure
from elman.interop.onnx.axes import BATCH, REVERSED, TIME, Atom, Dims, features, joined
from elman.interop.onnx.layers import INPUT, Layer
from elman.interop.onnx.messages import Graph, Node, Port, read_graph
from elman.interop.onnx.values import Call, Lengths, Lifted, Operator, Reading, Refusal, Value

OPERATORS: dict[str, Operator] = {
    **constants.OPERATORS, **structure.OPERATORS, **computing.OPERATORS, **recurrent.OPERATORS
}  # fmt: skip
STATE_INPUTS = (5, 6)  # initial_h and initial_c
KINDS = {"softmax": "probabilities", "sigmoid": "probabilities", "log_softmax": "logits"}


def read_onnx(path: Path, options: ImportOptions = ImportOptions()) -> Imported:
    """The model of an ONNX file, without the package `onnx`.

    Understood are RNN, GRU and LSTM with what layers of elman compute, embeddings (Gather), linear layers, activations,
    normalisations, pools over time, and what moves axes. A graph that is given the states of its layers and returns
    them becomes a model whose state is passed from call to call.

    Raises:
        UserError: a damaged file, a node that is not known or mixes axes: one line, which names it.
    """
    graph = read_graph(path)
    nodes = _needed(graph)
    failed: list[Refusal] = []
    for batch_first in (True, False):
        try:
            return Lifting(graph, nodes, batch_first).imported()
        except Refusal as error:
            failed.append(error)
    # The other order of axes fails at the first node that needs an order.
    raise UserError(f"{path}: {max(failed, key=lambda error: error.place)}") from None


def _needed(graph: Graph) -> list[tuple[int, Node]]:
    """The nodes that the outputs depend on, by their numbers; each reads what is there before it."""
    made = {name: number for number, node in enumerate(graph.nodes) for name in node.outputs if name}
    needed, new = set[int](), [name for name in graph.outputs]
    while new:
        number = made.get(new.pop())
        if number is not None and number not in needed:
            needed.add(number)
            new += graph.nodes[number].inputs
    return [(number, node) for number, node in enumerate(graph.nodes) if number in needed]


class Lifting:
    """A graph while it is read, with its input batch first or time first."""

    def __init__(self, graph: Graph, nodes: Sequence[tuple[int, Node]], batch_first: bool) -> None:
        self.graph, self.nodes, self.batch_first = graph, nodes, batch_first
        known: dict[str, int] = {}
        self.reading = Reading(graph.opset, known, sum(array.size for array in graph.constants.values()))
        self.values: dict[str, Lifted] = {**graph.constants}
        self.states: list[str] = []  # inputs that are states
        self.lengths: list[str] = []
        self.data = self._place_inputs(known)

    def imported(self) -> Imported:
        """The model."""
        for number, node in self.nodes:
            try:
                self._read(node)
            except Refusal as error:
                error.place = number
                raise
        try:
            return self._finished()
        except Refusal as error:
            error.place = len(self.graph.nodes)
            raise

    # --- inputs

    def _place_inputs(self, known: dict[str, int]) -> Port:
        """Give every input its axes; returns the one that the model reads."""
        states, lengths = self._sources(STATE_INPUTS), self._sources((4,))
        reads = self._sources((0,))
        data: list[Port] = []
        for port in self.graph.inputs:
            if port.name in lengths and port.name not in reads:
                self.values[port.name] = Lengths(port.name)
                self.lengths.append(port.name)
            elif port.name in states and port.name not in reads:
                self._place_state(port)
            elif any(port.name in node.inputs for _, node in self.nodes):
                data.append(port)
        if len(data) != 1:
            got = ", ".join(port.name for port in data) or "none"
            raise Refusal("inputs", expected="one that the model reads, beside states and lengths", got=got)
        (port,) = data
        rank = 2 if port.dims is not None and len(port.dims) == 2 else 3
        if port.dims is None or len(port.dims) != rank or port.dtype == "":
            got = "an unknown shape" if port.dims is None else f"{len(port.dims)} dimensions"
            raise Refusal(f"input {port.name!r}", expected="tokens (B, T) or numbers (B, T, D) in either order", got=got)
        axes = (BATCH, TIME) if self.batch_first else (TIME, BATCH)
        size = None
        for atom, number in zip(axes, port.dims, strict=False):
            if isinstance(number, int) and number > 0:
                known[atom.axis] = number
        dims: Dims = tuple((atom,) for atom in axes)
        if rank == 3:
            size = port.dims[2]
            if not isinstance(size, int) or size < 1:
                raise Refusal(f"input {port.name!r}", expected="a number of features", got=f"{size or 'an open one'}")
            dims = (*dims, features(size))
        if fixed := [f"{number} {'rows' if axis == 'batch' else 'steps'}" for axis, number in known.items()]:
            self.reading.notes.append(f"the graph takes {' of '.join(fixed)} alone; the imported model takes any number")
        self.values[port.name] = Value(INPUT, size, dims)
        return port

    def _sources(self, places: Sequence[int]) -> set[str]:
        """The inputs of the graph from which recurrent layers are given their inputs at `places`."""
        made = {name: node for _, node in self.nodes for name in node.outputs if name}
        found = set[str]()
        new = [
            node.inputs[place]
            for _, node in self.nodes
            if node.op in recurrent.OPERATORS
            for place in places
            if place < len(node.inputs)
        ]
        while new:
            if (name := new.pop()) in found:
                continue
            found.add(name)
            node = made.get(name)
            if node is not None and node.op not in recurrent.OPERATORS:
                new += node.inputs
        return found

    def _place_state(self, port: Port) -> None:
        dims = port.dims or ()
        sizes = [size for size in dims if isinstance(size, int)]
        if len(dims) not in (2, 3) or not isinstance(dims[-1], int) or any(size < 1 for size in sizes):
            raise Refusal(f"input {port.name!r}", expected="a state (B, H) or (layers, B, H)", got=dims)
        layers = dims[0] if len(dims) == 3 else 1
        if not isinstance(layers, int):
            raise Refusal(f"input {port.name!r}", expected="a state (layers, B, H) of a number of layers", got=dims)
        H = dims[-1]
        stack = joined([Atom("features", layers, H)])
        axes: Dims = ((BATCH,), features(H)) if len(dims) == 2 else (stack, (BATCH,), features(H))
        layer = Layer("state", (), layers * H, {}, source=f"input {port.name!r}")
        self.values[port.name] = Value(self.reading.layers.add(port.name, layer), layers * H, axes)
        self.states.append(port.name)

    # --- nodes

    def _read(self, node: Node) -> None:
        inputs = []
        for name in node.inputs:
            if name and name not in self.values:
                raise Refusal(f"{node}: its input {name!r} is made by no node before it")
            inputs.append(self.values[name] if name else None)
        call = Call(self.reading, node, inputs)
        found = self._computed(call)
        for name, value in zip(node.outputs, found if type(found) is tuple else (found,), strict=False):
            self.values[name] = value

    def _computed(self, call: Call) -> Any:
        given = [value for value in call.inputs if value is not None]
        if given and all(isinstance(value, np.ndarray) for value in given):
            if (found := constants.folded(call, given)) is not None:
                return found
        elif (found := constants.of_counts(call)) is not None:
            return found
        if call.node.op not in OPERATORS:
            call.refuse("this operator is not known here")
        return OPERATORS[call.node.op](call)

    # --- outputs

    def _finished(self) -> Imported:
        layers, notes = self.reading.layers, self.reading.notes
        outputs = {name: value for name in self.graph.outputs if isinstance(value := self.values.get(name), Value)}
        if not outputs:
            raise Refusal("the graph has no output that is computed from its input")
        states = [name for name, value in outputs.items() if self._is_state(value)]
        (main, *others) = [name for name in outputs if name not in states] or states
        states = [name for name in states if name != main]
        if others := [name for name in others if name not in states]:
            notes.append(f"the output {main} is taken, and {', '.join(others)} are left out")
        output = outputs[main]
        recurrent_layers = [name for name in self.reading.recurrent if self.reading.begins[name]]
        found = layers.finished([output.layer], recurrent_layers)
        name = layers.final.get(output.layer, output.layer)
        per_step = self._check_output(main, output)
        self._say_states(states)
        return Imported(self._config(found, name, output.size or 0, per_step), _tensors(found), tuple(dict.fromkeys(notes)))

    def _is_state(self, value: Value) -> bool:
        return all(
            part.layer in self.reading.layers.found and self.reading.layers[part.layer].op == "final"
            for part in self.reading.layers.parts(value.layer)
        )

    def _check_output(self, name: str, value: Value) -> bool:
        atoms = [atom for dim in value.dims for atom in dim]
        own = [atom for atom in atoms if atom.axis == "features"]
        if value.size is None or value.layer == INPUT or REVERSED in atoms or joined(own) != features(value.size):
            raise Refusal(f"output {name!r}: its steps or its features are in another order than the model's")
        if atoms[: 2 if TIME in atoms else 1] != ([BATCH, TIME] if TIME in atoms else [BATCH]):
            self.reading.notes.append(f"the graph's {name} has other axes first; the imported model's is batch first")
        return TIME in atoms

    def _say_states(self, outputs: Sequence[str]) -> None:
        notes, begins = self.reading.notes, self.reading.begins
        used = [(name, part, layer) for name, parts in begins.items() for part, layer in parts.items()]
        taken: dict[str, str] = {}
        for name, part, layer in used:
            for piece in self.reading.layers.parts(layer):
                if (before := taken.setdefault(f"{piece}", name)) != name:
                    raise Refusal(f"{name} and {before} begin with the same state, and each has its own here")
        if self.states:
            returned = f", which it returns as {', '.join(outputs)}," if outputs else ""
            notes.append(f"the graph's {', '.join(self.states)}{returned} are the model's state, zeros at first")
        if self.lengths:
            notes.append(f"the graph's {', '.join(self.lengths)} are `lengths`; a row of length 0 keeps its state")

    def _config(self, found: dict[str, Layer], output: str, size: int, per_step: bool) -> dict[str, Any]:
        kind, logits, last = "numbers", None, found[output]
        if last.op == "activation" and last.options["function"] in KINDS:
            kind = KINDS[last.options["function"]]
            logits = last.inputs[0] if kind == "probabilities" and last.inputs[0] in found else None
        value = self.values[self.data.name]
        assert isinstance(value, Value)
        rows = min(self.reading.rows, default=0)
        given = {"kind": "values", "channels": value.size} if value.size else {"kind": "tokens", "vocab_size": rows}
        return {
            "model": "imported",
            "framework": f"onnx {self.graph.producer}".strip(),
            "input": given,
            "nodes": [
                {"op": layer.op, "name": name, "inputs": list(layer.inputs), **layer.options}
                for name, layer in found.items()
            ],
            "output": output,
            "output_kind": kind,
            "logits": logits,
            "outputs": size,
            "per_step": per_step,
        }


def _tensors(found: dict[str, Layer]) -> dict[str, torch.Tensor]:
    """The state dict of the `LayeredModel`."""
    return {
        f"nodes.{index}_{re.sub('[^A-Za-z0-9]+', '_', name)}.{key}": torch.from_numpy(np.array(value))
        for index, (name, layer) in enumerate(found.items())
        for key, value in layer.tensors.items()
    }

"""Runtimes that are known to compute some graphs wrongly or not at all, by name and version, as measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from elman.export.onnx.graph import Graph

Nodes = list[Any]


def _has(*ops: str) -> Callable[[Nodes], bool]:
    return lambda nodes: any(node.op_type in ops for node in nodes)


def _resets_before(nodes: Nodes) -> bool:
    grus = [node for node in nodes if node.op_type == "GRU"]
    return any("linear_before_reset" not in {each.name for each in node.attribute} for node in grus)


def _has_attention(nodes: Nodes) -> bool:
    """Whether the shares of a Softmax weigh something: a product reads them, at once or through other operators."""
    shares = set[str]()
    for node in nodes:
        read = not shares.isdisjoint(node.input)
        if read and node.op_type == "MatMul":
            return True
        if read or node.op_type == "Softmax":
            shares.update(node.output)
    return False


WARNINGS: tuple[tuple[Callable[[Nodes], bool], str], ...] = (
    (_has("Scan"), "OpenCV 5.0.0 cannot run this model: it has no Scan"),
    (_has("RNN"), "OpenCV 5.0.0 cannot run this model: it has no RNN"),
    (_has("GRU", "LSTM", "RNN"), "MNN 3.6.1 needs fixed sizes: with open ones and a state its outputs are empty"),
    (_resets_before, "MNN 3.6.1 computes another formula for a GRU whose reset gate acts before the product"),
    (_has_attention, "tract 0.23.9 cannot run attention whose memory has an open size"),
    (bool, "OpenVINO 2026.4.1 computes in bfloat16 on some processors: set INFERENCE_PRECISION_HINT to f32"),
)


def warnings_of(graphs: Iterable[Graph]) -> tuple[str, ...]:
    """What a person should know before running the graphs elsewhere than in onnxruntime."""
    nodes = [node for graph in graphs for node in graph.nodes]
    return tuple(words for holds, words in WARNINGS if holds(nodes))

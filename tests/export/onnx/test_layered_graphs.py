"""Imported models as graphs in onnxruntime: every node, with masks of every kind and in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from elman.export.onnx import states
from elman.export.onnx.check import OPENERS
from elman.export.onnx.graph import Graph
from elman.export.onnx.layered import read_scores
from elman.models.layered import LayeredModel
from elman.models.layered_pointwise import FUNCTIONS, WITH_ALPHA
from elman.models.layered_scores import read_scores as expected_scores
from elman.state import leaves

pytest.importorskip("onnxruntime")
V, D, H = 6, 4, 4
EMBEDDING = {"op": "embedding", "rows": V, "size": D}
ACTIVATIONS = [{"function": name} for name in FUNCTIONS] + [{"function": name, "alpha": 0.3} for name in WITH_ALPHA]


def recurrent(cell: str = "gru", **options: Any) -> dict[str, Any]:
    return {"op": "recurrent", "cell": cell, "input_size": D, "hidden_size": H, **options}


def network(*nodes: dict[str, Any], outputs: int = H, per_step: bool = True, **more: Any) -> LayeredModel:
    """Nodes that each read the one before, of tokens."""
    named = [{"name": f"n{k}", "inputs": [f"n{k - 1}" if k else "input"], **node} for k, node in enumerate(nodes)]
    config = {"input": {"kind": "tokens", "vocab_size": V}, "nodes": named, "output": f"n{len(nodes) - 1}"}
    torch.manual_seed(2)
    model = LayeredModel({**config, "output_kind": "numbers", "outputs": outputs, "per_step": per_step, **more}).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return model


def compare(model: LayeredModel, lengths: bool, as_classes: bool = False) -> None:
    graph = Graph("model", model)
    x = graph.input("tokens", "int64", ["batch", "time"])
    ends = graph.input("lengths", "int64", ["batch"]) if lengths else None
    fresh = model.initial_state(1)
    scores, after = read_scores(graph, model, x, states.read(graph, fresh), ends, as_classes=as_classes)
    graph.output("logits", scores, ["batch", "time", "K"][-len(model.shapes[model.settings.output]) :] or ["K"])
    states.write(graph, fresh, after)
    call = OPENERS["onnxruntime"]({"model": graph.model({}).SerializeToString()})
    for B, T in ((3, 7), (2, 1), (1, 12)):
        state = model.initial_state(B)
        feeds = {f"state_{n}": leaf.numpy() for n, leaf in enumerate(leaves(state))}
        for _ in range(3 if model.causal else 1):
            tokens = torch.randint(V, (B, T)) * (torch.rand(B, T) < 0.6)  # many are 0, which masks hide
            given = torch.randint(1, T + 1, (B,)) if lengths else None
            with torch.no_grad():
                ours, state = expected_scores(model, tokens, state, lengths=given, as_classes=as_classes)
            extra = {} if given is None else {"lengths": given.numpy()}
            found = call("model", {"tokens": tokens.numpy(), **extra, **feeds})
            theirs = found["logits"]
            if ours.dim() == 3 and given is not None:
                real = (torch.arange(T) < given[:, None]).numpy()
                ours, theirs = ours[real], theirs[real]
            np.testing.assert_allclose(theirs, np.asarray(ours), rtol=1e-5, atol=2e-6)
            feeds = {f"state_{n}": found[f"next_state_{n}"] for n in range(len(feeds))}
            for new, old in zip(feeds.values(), leaves(state), strict=True):
                np.testing.assert_allclose(new, old.numpy(), atol=2e-6)


MASKED = {**EMBEDDING, "mask_zero": True}
LINEAR = {"op": "linear", "input_size": H, "output_size": H}
NETWORKS: dict[str, tuple[tuple[dict[str, Any], ...], dict[str, Any]]] = {
    **{f"{cell} forward": ((EMBEDDING, recurrent(cell), LINEAR), {}) for cell in ("elman", "gru", "lstm", "slstm")},
    **{f"{cell} masked": ((MASKED, recurrent(cell), LINEAR), {}) for cell in ("elman", "gru", "lstm")},
    "zero at masks": ((MASKED, recurrent(padding="zero")), {}),
    "zero before the first": ((MASKED, recurrent(leading="zero")), {}),
    "backward": ((EMBEDDING, recurrent(direction="backward")), {}),
    "backward, masked": ((MASKED, recurrent("lstm", direction="backward")), {}),
    "backward, as read": ((EMBEDDING, recurrent(direction="backward", in_time_order=False)), {}),
    "backward, reset before": ((EMBEDDING, recurrent(direction="backward", reset_after=False)), {}),
    "peepholes": ((EMBEDDING, recurrent("lstm", peepholes=True, direction="both")), {"outputs": 2 * H}),
    **{
        f"both, {merge}": ((MASKED, recurrent("lstm", direction="both", merge=merge)), {"outputs": size})
        for merge, size in (("concat", 2 * H), ("sum", H), ("mul", H), ("ave", H))
    },
    **{
        f"last {direction}, {padding}": (
            (MASKED, recurrent(direction=direction, reads="last", padding=padding)),
            {"per_step": False, "outputs": H * (1 + (direction == "both"))},
        )
        for direction in ("forward", "backward", "both")
        for padding in ("repeat", "zero")
    },
    "last, unmasked": (
        (EMBEDDING, recurrent("lstm", direction="both", reads="last")),
        {"per_step": False, "outputs": 2 * H},
    ),
    **{f"{kind}": ((EMBEDDING, {"op": kind, "size": D}), {"per_step": False}) for kind in ("last", "mean", "max")},
    **{f"{kind}, masked": ((MASKED, {"op": kind, "size": D}), {"per_step": False}) for kind in ("last", "mean", "max")},
    "mask not used": ((MASKED, {"op": "mean", "size": D, "use_mask": False}), {"per_step": False}),
    "masking": ((EMBEDDING, {"op": "activation", "function": "relu"}, {"op": "masking"}, recurrent()), {}),
    "norms": (
        (
            EMBEDDING,
            {"op": "layer_norm", "size": D, "epsilon": 1e-3, "bias": False},
            {"op": "affine", "size": D, "scale": False},
            {"op": "batch_norm", "size": D, "epsilon": 1e-3},
            {"op": "dropout", "p": 0.5},
            {"op": "slice", "start": 1, "stop": 3},
        ),
        {"outputs": 2},
    ),
    **{
        f"{kind} of two": ((MASKED, recurrent(), {"op": kind, "inputs": ["n0", "n1"]}), {"outputs": size})
        for kind, size in (("concat", D + H), ("add", H), ("subtract", H), ("maximum", H), ("average", H))
    },
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
def test_nodes(name: str, lengths: bool) -> None:
    nodes, options = NETWORKS[name]
    compare(network(*nodes, **options), lengths)


@pytest.mark.parametrize("options", ACTIVATIONS, ids=lambda options: options["function"])
def test_activations(options: dict[str, Any]) -> None:
    compare(network(EMBEDDING, {"op": "activation", **options}), lengths=False)


@pytest.mark.parametrize("named", [False, True], ids=["of probabilities", "before the last function"])
@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
def test_scores(function: str, named: bool) -> None:
    size = 1 if function == "sigmoid" else 3
    linear = {"op": "linear", "input_size": D, "output_size": size}
    options = {"outputs": size, "output_kind": "probabilities", "logits": "n1" if named else None}
    compare(network(EMBEDDING, linear, {"op": "activation", "function": function}, **options), False, as_classes=True)

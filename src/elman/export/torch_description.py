"""The layers of a state dict in the words that `elman import` takes."""

from __future__ import annotations

from typing import Any

from elman.export.source import identifiers
from elman.models.layered import INPUT, LayeredModel, NodeSettings


def described(model: LayeredModel) -> list[Any] | None:
    """The layers as `elman import` takes them, each reading the one before; None where they are no chain."""
    names, before, found = identifiers([INPUT, *model.named_nodes]), INPUT, list[Any]()
    for settings, node in zip(model.settings.nodes, model.named_nodes.values(), strict=True):
        entry = _entry(settings, node, names[settings.name])
        if settings.inputs != [before] or entry is None:
            return None
        before = settings.name
        found.append(entry)
    return found if model.settings.output == before else None


def _entry(settings: NodeSettings, node: Any, name: str) -> Any:
    """A layer of a description, or None."""
    options = settings.model_extra or {}
    if settings.op in ("last", "mean", "max"):
        return settings.op
    if settings.op == "activation":
        return options["function"] if "alpha" not in options else None
    if settings.op in ("embedding", "linear"):
        return {settings.op: name}
    if settings.op in ("layer_norm", "batch_norm"):
        return {settings.op: name, "epsilon": node.layer.epsilon}
    if settings.op != "recurrent" or node.direction == "backward" or node.merge != "concat":
        return None
    kind = {"elman": "rnn"}.get(node.layer.specification.name, node.layer.specification.name)
    chosen = {"nonlinearity": node.layer.nonlinearity} if kind == "rnn" else {}
    return {kind: name, "reads": node.reads, **chosen}

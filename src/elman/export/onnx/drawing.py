"""Which module draws the graphs of which model, and what it hands over."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.onnx.graph import Graph
from elman.export.options import ExportOptions
from elman.tasks.exchange import Trained

# By the class of a run's model: "MODULE:FUNCTION", of `draw(run, options) -> Drawing`.
DRAWERS = {
    "RecurrentLM": "elman.export.onnx.language_model:draw_recurrent",
    "LayeredLanguageModel": "elman.export.onnx.language_model:draw_layered",
    "LayeredTagger": "elman.export.onnx.tagger:draw_layered",
    "LayeredClassifier": "elman.export.onnx.classifier:draw_layered",
    "LayeredForecaster": "elman.export.onnx.forecaster:draw_layered",
    "Classifier": "elman.export.onnx.classifier:draw",
    "Tagger": "elman.export.onnx.tagger:draw",
    "SeriesForecaster": "elman.export.onnx.forecaster:draw",
    "RecurrentEncoderDecoder": "elman.export.onnx.encoder_decoder:draw",
    "TransformerEncoderDecoder": "elman.export.onnx.encoder_decoder:draw",
    "TransformerLM": "elman.export.onnx.language_model:draw_transformer",
}
TWO_GRAPHS = "encoder", "decoder"

Call = Callable[[str, Mapping[str, Numbers]], dict[str, Numbers]]
"""Runs a graph of a name on inputs: its outputs by name."""


class Compared(NamedTuple):
    """Numbers of the run's model and of a graph that was given the same."""

    ours: Sequence[Numbers]
    theirs: Sequence[Numbers]
    loss: tuple[float, float, int] | None = None  # sums of both over so many targets


@dataclass(frozen=True)
class Drawing:
    """The graphs of a model, and what a program that runs them must know."""

    graphs: Mapping[str, Graph]  # by the names of `graphs_of`
    causal: bool  # whether the state after some steps is the state before the next ones
    answer: Mapping[str, Any] = field(default_factory=dict)  # what makes an answer of the outputs; see the runner
    notes: tuple[str, ...] = ()
    trial: Callable[[Any, Call], Iterable[Compared]] | None = None
    """Runs model and graphs on what `Task.observe` gives, or, without that, on random inputs."""


def graphs_of(run: Trained) -> tuple[str, ...]:
    """The names of the graphs of a run's model. Raises `UserError` where there are none for it."""
    return TWO_GRAPHS if _drawer(run) == "elman.export.onnx.encoder_decoder:draw" else ("model",)


def draw(run: Trained, options: ExportOptions) -> Drawing:
    """The graphs of a run's model, in eval mode. Raises `UserError` where there are none for it."""
    module, _, function = _drawer(run).partition(":")
    make: Callable[..., Drawing] = getattr(importlib.import_module(module), function)
    return make(run, options)


def _drawer(run: Trained) -> str:
    name = type(run.model).__name__
    if name not in DRAWERS:
        raise UserError(f"{run.path}: no graph of ONNX for a {name}", remedy="--to safetensors writes its arrays")
    return DRAWERS[name]

"""Models with random weights as graphs in onnxruntime, beside the models themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.export.onnx.drawing import draw
from elman.export.options import ExportOptions
from elman.state import State, leaves

TOKENIZER = SimpleNamespace(eod=0, unk=1)
LABELS = SimpleNamespace(kind="class", names=("a", "b"), mean=0.0, deviation=1.0)


def run_of(model: nn.Module, **own: Any) -> Any:
    """What an export reads of a run with this model, whose weights are drawn anew."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    known = {"source_tokenizer": TOKENIZER, "target_tokenizer": TOKENIZER, "labels": LABELS, "settings": None}
    return SimpleNamespace(**{"path": "run", "model": model.eval(), "codecs": {}, **known, **own})


class Opened:
    """The graphs of a run in onnxruntime."""

    def __init__(self, run: Any, **options: Any) -> None:
        import onnxruntime

        self.drawing = draw(run, ExportOptions(**options))
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 3
        self.sessions = {
            name: onnxruntime.InferenceSession(graph.model({}).SerializeToString(), quiet)
            for name, graph in self.drawing.graphs.items()
        }

    def inputs(self, graph: str = "model") -> dict[str, list[Any]]:
        """The inputs of a graph and their shapes."""
        return {value.name: value.shape for value in self.sessions[graph].get_inputs()}

    def __call__(self, graph: str, feeds: Mapping[str, Any]) -> dict[str, Any]:
        names = [value.name for value in self.sessions[graph].get_outputs()]
        return dict(zip(names, self.sessions[graph].run(names, dict(feeds)), strict=True))

    def step(
        self, feeds: Mapping[str, np.ndarray], state: Iterable[np.ndarray] = (), graph: str = "model"
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The outputs of those inputs that the graph takes and of a state, and the state after."""
        wanted = self.inputs(graph)
        given = {name: array for name, array in feeds.items() if name in wanted}
        found = self(graph, given | {f"state_{n}": array for n, array in enumerate(state)})
        return found, [found[name] for name in found if name.startswith("next_state_")]


def arrays(state: State) -> list[np.ndarray]:
    """The leaves of a state."""
    return [leaf.detach().numpy() for leaf in leaves(state)]


def assert_close(found: Any, wanted: Tensor | np.ndarray, tolerance: float = 1e-5) -> None:
    """Equal shapes, types, and numbers: to the tolerance, or so much of a number above 1."""
    wanted = wanted.detach().numpy() if isinstance(wanted, Tensor) else wanted
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def assert_equal_states(found: Iterable[np.ndarray], wanted: State) -> None:
    """Leaf by leaf."""
    for one, other in zip(found, arrays(wanted), strict=True):
        assert_close(one, other)


def assert_trial(opened: Opened) -> None:
    """The trial that an export makes without data finds all alike."""
    assert opened.drawing.trial is not None
    compared = list(opened.drawing.trial(None, opened))
    assert compared
    for one in compared:
        for ours, theirs in zip(one.ours, one.theirs, strict=True):
            assert_close(theirs, ours, 5e-5)

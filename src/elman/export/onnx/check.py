"""The comparison of graphs with the run's model in other runtimes, before the graphs are written."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from elman.arrays import Numbers
from elman.errors import UserError
from elman.export.exported import Check, Quantised
from elman.export.onnx.drawing import Call, Drawing
from elman.tasks.exchange import Say, Trained

FIRST = "onnxruntime"  # a graph on which this runtime differs is not written
TOLERANCE = 1e-4
TURNS = 3  # of graphs whose times are compared: the least time of each counts


def find_runtimes(names: Sequence[str], say: Say) -> Sequence[str]:
    """Those of some runtimes that are installed: none where only onnxruntime was asked for and is not here.

    Raises:
        UserError: there is no such runtime, or another that was asked for is not installed.
    """
    for name in names:
        if name not in OPENERS:
            raise UserError("check", expected=" or ".join(OPENERS), got=repr(name), exit_code=2)
    missing = [name for name in names if importlib.util.find_spec(PACKAGES.get(name, name)) is None]
    if missing == list(names) == [FIRST]:
        say("nothing was checked: onnxruntime is not installed (pip install 'elman[onnx]')")
        return ()
    for name in missing:
        raise UserError(f"check: {name} is not installed", remedy=f"pip install {PACKAGES.get(name, name)}")
    return names


def observe(run: Trained, say: Say) -> Any:
    """The run's own validation data as its task gives them to looks; None where they are gone."""
    try:
        return run.task.observe(run, ())
    except UserError as error:
        say(f"no loss is compared, and the inputs of the check are random: {str(error).partition(';')[0]}")
        return None


def compare(models: Mapping[str, bytes], drawing: Drawing, observed: Any, runtimes: Sequence[str]) -> list[Check]:
    """Run the graphs on what was observed, in pieces and of several sizes, in each of some runtimes.

    A runtime other than onnxruntime that cannot run the graphs, or computes something else, is in the result.

    Raises:
        UserError: onnxruntime computes something else.
    """
    found = [_check(name, models, drawing, observed) for name in runtimes]
    for check in found:
        if check.runtime == FIRST and not check.is_right:
            raise UserError(f"nothing was written: {check}", remedy="report this model: the export is wrong")
    return found


def measure_int8(
    models: Mapping[str, bytes], smaller: Mapping[str, bytes], drawing: Drawing, observed: Any
) -> Quantised:
    """Sizes, losses and times of graphs whose weights are bytes, beside those of the graphs that they were made of.

    The graphs take turns on what was observed. Losses and times are None without onnxruntime.
    """
    small, large = (sum(map(len, each.values())) for each in (smaller, models))
    if importlib.util.find_spec(FIRST) is None or drawing.trial is None:
        return Quantised(small, large, None, None, None, None)
    losses, times = list[float | None](), [math.inf, math.inf]
    calls = [OPENERS[FIRST](each) for each in (smaller, models)]
    for turn in range(TURNS):
        for at, call in enumerate(calls):
            clock = TimedCall(call)
            sums = [found.loss or (0.0, 0.0, 0) for found in drawing.trial(observed, clock)]
            times[at] = min(times[at], clock.seconds)
            if turn == 0:
                targets = sum(count for _, _, count in sums)
                losses.append(sum(theirs for _, theirs, _ in sums) / targets if targets else None)
    return Quantised(small, large, losses[0], losses[1], times[0], times[1])


class TimedCall:
    """Calls of a runtime, and how long they took."""

    def __init__(self, call: Call) -> None:
        self.call, self.seconds = call, 0.0

    def __call__(self, graph: str, feeds: Mapping[str, Numbers]) -> dict[str, Numbers]:
        """The outputs of a graph by name."""
        begun = time.perf_counter()
        found = self.call(graph, feeds)
        self.seconds += time.perf_counter() - begun
        return found


def _check(name: str, models: Mapping[str, bytes], drawing: Drawing, observed: Any) -> Check:
    package = importlib.import_module(PACKAGES.get(name, name))
    version = str(getattr(package, "__version__", "")).partition("-")[0]
    worst, numbers, sums = 0.0, 0, np.zeros(3)
    assert drawing.trial is not None
    try:
        with _failing():
            call = OPENERS[name](models)
        for found in drawing.trial(observed, _failing()(call)):
            for ours, theirs in zip(found.ours, found.theirs, strict=True):
                worst = max(worst, difference(ours, theirs))
                numbers += ours.size
            sums += found.loss or (0, 0, 0)
    except Failed as failed:
        return Check(name, version, math.nan, numbers, failure=str(failed))
    loss, runtime_loss = sums[:2] / sums[2] if sums[2] else (None, None)
    return Check(name, version, worst, numbers, loss, runtime_loss, failure="" if worst <= TOLERANCE else "is wrong")


class Failed(Exception):
    """The first line of what a runtime raised, whatever its type."""


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Failed(lines[0][:200]) from error


def difference(ours: Numbers, theirs: Numbers) -> float:
    """The greatest difference of two arrays, divided by the number where that is above 1; infinite for other shapes.

    >>> difference(np.array([0.5, 100.0]), np.array([0.5, 101.0]))
    0.01
    """
    if ours.shape != theirs.shape:
        return math.inf
    if not ours.size:
        return 0.0
    apart = np.abs(ours.astype(np.float64) - theirs) / np.maximum(1, np.abs(ours))
    apart[np.isnan(apart) & (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))] = np.inf
    return float(np.nan_to_num(apart, nan=0.0, posinf=np.inf).max())


def _onnxruntime(models: Mapping[str, bytes]) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sessions = {
        name: onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for name, model in models.items()
    }

    def call(graph: str, feeds: Mapping[str, Numbers]) -> dict[str, Numbers]:
        names = [output.name for output in sessions[graph].get_outputs()]
        return dict(zip(names, sessions[graph].run(names, dict(feeds)), strict=True))

    return call


def _openvino(models: Mapping[str, bytes]) -> Call:
    import openvino

    core, exact = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16, where the processor has it
    compiled = {name: core.compile_model(core.read_model(model), "CPU", exact) for name, model in models.items()}

    def call(graph: str, feeds: Mapping[str, Numbers]) -> dict[str, Numbers]:
        results = compiled[graph](dict(feeds))
        return {name: np.array(value) for output, value in results.items() for name in output.names}

    return call


def _reference(models: Mapping[str, bytes]) -> Call:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluators = {name: ReferenceEvaluator(onnx.load_model_from_string(model)) for name, model in models.items()}

    def call(graph: str, feeds: Mapping[str, Numbers]) -> dict[str, Numbers]:
        return dict(zip(evaluators[graph].output_names, evaluators[graph].run(None, dict(feeds)), strict=True))

    return call


def _tract(models: Mapping[str, bytes]) -> Call:
    import tempfile
    from pathlib import Path

    import onnx
    import tract

    runnable, names = {}, {}
    with tempfile.TemporaryDirectory(prefix="elman-") as folder:
        for name, model in models.items():
            graph = onnx.load_model_from_string(model).graph
            names[name] = [value.name for value in graph.input], [value.name for value in graph.output]
            (Path(folder) / "model.onnx").write_bytes(model)
            runnable[name] = tract.onnx().load(f"{folder}/model.onnx").into_model().into_runnable()

    def call(graph: str, feeds: Mapping[str, Numbers]) -> dict[str, Numbers]:
        inputs, outputs = names[graph]
        values = runnable[graph].run([feeds[name] for name in inputs])
        return {name: value.to_numpy() for name, value in zip(outputs, values, strict=True)}

    return call


PACKAGES = {"reference": "onnx"}  # where the package has another name
OPENERS: dict[str, Callable[[Mapping[str, bytes]], Call]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tract": _tract,
    "reference": _reference,
}

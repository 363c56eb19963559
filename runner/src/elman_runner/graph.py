"""An ONNX graph that onnxruntime runs, and the memory that goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from elman_runner.errors import RunnerError

Array = npt.NDArray[Any]
Memory = tuple[Array, ...]  # the tensors of a state, the batch first in each

DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_, "tensor(int32)": np.int32}
MOST = 1 << 28  # numbers of a state's tensor
FATAL = 4  # of onnxruntime's messages: errors are raised


class Graph:
    """A graph in a file. Raises `RunnerError` where onnxruntime cannot run it."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = path
        if not path.is_file():
            raise RunnerError(f"{path} is missing")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common class
            raise RunnerError(f"{path}: onnxruntime cannot run it ({_first_line(error)})") from None
        self.inputs = {each.name: each for each in self._session.get_inputs()}
        self.outputs = {each.name: each for each in self._session.get_outputs()}

    def __call__(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """The outputs of these names. Raises `RunnerError` where the inputs do not fit."""
        try:
            return self._session.run(list(outputs), dict(feeds))
        except Exception as error:
            raise RunnerError(f"{self.path}: onnxruntime failed ({_first_line(error)})") from None

    def shape(self, name: str) -> list[int | None]:
        """The sizes of an input, None where one is open. Raises `RunnerError` where there is no such input."""
        if name not in self.inputs:
            raise RunnerError(f"{self.path} is damaged (no input {name!r})")
        return [size if isinstance(size, int) else None for size in self.inputs[name].shape]

    def check(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Raise `RunnerError` where the graph needs other inputs than these and a state, or lacks an output."""
        wanted = {*inputs, *self.states}
        if wanted != set(self.inputs) or not set(outputs) <= set(self.outputs):
            got = f"{', '.join(self.inputs)} -> {', '.join(self.outputs)}"
            raise RunnerError(f"{self.path}: expected {', '.join(inputs)} -> {', '.join(outputs)}, got {got:.200}")

    # The state: inputs `state_i`, outputs `next_state_i`

    @property
    def states(self) -> list[str]:
        """The names of the state's inputs, in order."""
        return [name for n in range(len(self.inputs)) if (name := f"state_{n}") in self.inputs]

    def fresh(self, batch: int) -> Memory:
        """The memory (zeros, of no step) before anything was read."""
        return tuple(self.zeros(name, batch) for name in self.states)

    def zeros(self, name: str, batch: int) -> Array:
        """One of its tensors: an open size other than the first is 0."""
        sizes = [batch, *(size or 0 for size in self.shape(name)[1:])]
        if any(size < 0 for size in sizes) or np.prod([float(size) for size in sizes]) > MOST:
            raise RunnerError(f"{self.path}: expected a state of at most {MOST:,} numbers, got shape {sizes}")
        return np.zeros(sizes, DTYPES.get(self.inputs[name].type, np.float32))

    def step(self, feeds: Mapping[str, Any], memory: Memory, outputs: Sequence[str]) -> tuple[list[Array], Memory]:
        """The outputs of these names, and the memory after; what the graph does not change stays."""
        names = self.states
        if len(memory) != len(names):
            raise RunnerError(f"state: expected the {len(names)} tensors of this model, got {len(memory)}")
        changed = [f"next_{name}" for name in names if f"next_{name}" in self.outputs]
        found = self({**feeds, **dict(zip(names, memory, strict=True))}, [*outputs, *changed])
        after = dict(zip(changed, found[len(outputs) :], strict=True))
        both = zip(names, memory, strict=True)
        return found[: len(outputs)], tuple(after.get(f"next_{name}", before) for name, before in both)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

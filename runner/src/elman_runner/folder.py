"""An exported folder: `config.json`, graphs and codecs. No name of a file is taken from a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elman_runner.errors import RunnerError
from elman_runner.graph import Graph
from elman_runner.reading import read_json, take

FORMAT = 1


class Folder:
    """A folder that `elman export RUN --to onnx -o FOLDER` wrote. Raises `RunnerError` for any other."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path, self.threads, self.place = path, threads, f"{path / 'config.json'}"
        if not path.is_dir():
            raise RunnerError(f"{path}: expected a folder that `elman export` wrote")
        self.config = read_json(path / "config.json")
        if (found := self.take("format", int)) != FORMAT:
            raise RunnerError(f"{self.place}: expected format {FORMAT}, got {found}; take another elman-runner")
        self.answer: dict[str, Any] = self.take("answer", dict)
        self.causal: bool = self.take("causal", bool)

    def take(self, name: str, kind: Any) -> Any:
        """A value of the configuration."""
        return take(self.config, name, kind, self.place)

    def told(self, name: str, kind: Any) -> Any:
        """A value of the configuration's "answer": what makes an answer of a graph's outputs."""
        return take(self.answer, name, kind, f"{self.place}, answer,")

    def one_of(self, name: str, known: Iterable[str]) -> str:
        """A word of the configuration. Raises `RunnerError` where it is none that is known."""
        found: str = self.take(name, str)
        if found not in known:
            raise RunnerError(f"{self.place}: {name}: expected {' or '.join(known)}, got {found!r:.60}")
        return found

    def graph(self, name: str = "model") -> Graph:
        """The graph of a name."""
        return Graph(self.path / f"{name}.onnx", self.threads)

    def codec(self, name: str) -> dict[str, Any]:
        """The JSON of a codec."""
        return read_json(self.path / f"{name}.json")

    def has(self, name: str) -> bool:
        """Whether there is such a codec."""
        return name in self.take("codecs", dict)

"""A classifier: the label, or labels, or number, of a text or of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from elman_runner.errors import RunnerError
from elman_runner.folder import Folder
from elman_runner.graph import Array, Memory
from elman_runner.ngrams import WordNgrams
from elman_runner.reading import take
from elman_runner.sampling import softmax
from elman_runner.tokenizers import make_tokenizer


class Labelled(NamedTuple):
    """A label: the name of a class, a number, or names of all that hold; and the probability of each name."""

    label: str | float | tuple[str, ...]
    probabilities: dict[str, float]  # of a number, none
    deviation: float | None = None  # of a number, its standard deviation


class Classifier:
    """Labels of whole inputs; of a model that is causal, the label so far too."""

    def __init__(self, folder: Folder) -> None:
        self.graph = folder.graph()
        self.kind: str = folder.told("kind", str)
        self.labels: list[str] = folder.told("labels", list[str])
        self.temperature: float = folder.told("temperature", float)
        self.thresholds = np.array(folder.told("thresholds", list[float] | None) or [], np.float64)
        self.mean: float = folder.told("mean", float)
        self.deviation: float = folder.told("deviation", float)
        self.start: int | None = folder.told("start", int | None)
        self.max_length: int | None = folder.told("max_length", int | None)
        self.causal = folder.causal
        if self.kind not in ("class", "several", "number") or not self.temperature > 0:
            raise RunnerError(f"{folder.place} is damaged (no kind of labels)")
        self.texts = folder.has("tokenizer")
        self.graph.check(["tokens" if self.texts else "values"], ["logits"])
        self.codec: Any = None
        if self.texts:
            data, where = folder.codec("tokenizer"), f"{folder.path / 'tokenizer.json'}"
            is_ngrams = take(data, "kind", str, where) == "ngrams"
            self.codec = WordNgrams(data, where) if is_ngrams else make_tokenizer(data, where)

    def classify(self, given: str | Sequence[Any]) -> Labelled:
        """The label of a text, or of a series: numbers, or rows of numbers, None where one is missing."""
        return self.step(given)[0]

    def step(self, given: str | Sequence[Any], memory: Memory | None = None) -> tuple[Labelled, Memory]:
        """The label of all that was read so far, this piece of it too, and the memory after it; None begins anew."""
        if memory is not None and not self.causal:
            raise RunnerError("this model needs the whole input: it cannot read on")
        memory = self.graph.fresh(1) if memory is None else memory
        name = "tokens" if self.texts else "values"
        [logits], memory = self.graph.step({name: self._encode(given)[None]}, memory, ["logits"])
        if logits.shape[-1] != (1 if self.kind == "number" else len(self.labels)):
            raise RunnerError(f"{self.graph.path} and its labels differ in number")
        return self._said(logits[0].astype(np.float64)), memory

    def _encode(self, given: str | Sequence[Any]) -> Array:
        if self.texts:
            if not isinstance(given, str):
                raise RunnerError(f"expected a text, got {given!r:.40}")
            ids = self.codec.encode(given)
            return (ids if len(ids) else np.array([self.start or 0], np.int64))[: self.max_length]
        try:
            rows = [each if isinstance(each, list | tuple) else [each] for each in given]
            values = np.array([[np.nan if cell is None else cell for cell in row] for row in rows], np.float64)
        except (TypeError, ValueError):
            raise RunnerError(f"expected a series of numbers, got {given!r:.40}") from None
        channels = self.graph.shape("values")[-1]
        if values.ndim != 2 or not len(values) or values.shape[1] != channels:
            raise RunnerError(f"expected a series of {channels} channels, got shape {values.shape}")
        return values.astype(np.float32)[: self.max_length]

    def _said(self, logits: Array) -> Labelled:
        if self.kind == "number":
            return Labelled(self.mean + self.deviation * float(logits[0]), {}, self.deviation * self.temperature**0.5)
        z = logits / self.temperature
        p = softmax(z) if self.kind == "class" else 1 / (1 + np.exp(-z))
        probabilities = dict(zip(self.labels, p.tolist(), strict=True))
        if self.kind == "class":
            return Labelled(self.labels[int(logits.argmax())], probabilities)
        return Labelled(tuple(self.labels[k] for k in np.flatnonzero(p >= self.thresholds)), probabilities)

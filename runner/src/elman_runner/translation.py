"""An encoder-decoder: translations of lines, by search or by drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from elman_runner.beam import Hypothesis, Limits, beam_search
from elman_runner.errors import RunnerError
from elman_runner.folder import Folder
from elman_runner.graph import Array, Memory
from elman_runner.sampling import Drawing, draw, log_softmax, uniforms
from elman_runner.tokenizers import make_tokenizer

USUAL = Drawing()


class Translation(NamedTuple):
    """One of the translations of a line."""

    text: str
    score: float  # by which translations are ranked: the log-probability with the length penalty
    log_probability: float  # in nats


class Translator:
    """Reads a source with one graph, and writes a target with another."""

    def __init__(self, folder: Folder) -> None:
        self.encoder, self.decoder = folder.graph("encoder"), folder.graph("decoder")
        self.encoder.check(["source"], [])
        self.decoder.check(["tokens"], ["logits"])
        self.source = make_tokenizer(folder.codec("source_tokenizer"), f"{folder.path / 'source_tokenizer.json'}")
        self.target = make_tokenizer(folder.codec("target_tokenizer"), f"{folder.path / 'target_tokenizer.json'}")
        self.longest: int | None = folder.told("longest", int | None)
        if self.source.eod is None or self.target.eod is None:
            raise RunnerError(f"{folder.path}: expected tokenizers with an end of documents")
        self.source_end, self.end = self.source.eod, self.target.eod

    def predict(
        self,
        line: str,
        *,
        beam: int = 5,
        nbest: int = 1,
        length_penalty: float = 0.6,
        prefix: str = "",
        min_length: int = 0,
        max_length: int | None = None,
    ) -> list[Translation]:
        """The `nbest` best translations that a beam finds, the best first; a beam of 1 is greedy search.

        Every one begins with `prefix`. A blank line has an empty one. Raises `RunnerError` for a line that is too
        long for the model.
        """
        if not 1 <= nbest <= beam:
            raise RunnerError(f"nbest: expected from 1 to the beam's {beam}, got {nbest}")
        if not (source := self._encode(line)):
            return [Translation("", 0.0, 0.0)]
        limits = self._limits(len(source), prefix, min_length, max_length)
        found = beam_search(self._step, self._read(source), limits, beam, nbest, length_penalty)
        return [self._translation(y) for y in found]

    def sample(
        self,
        line: str,
        *,
        seed: int,
        number: int = 1,
        samples: int = 1,
        drawing: Drawing = USUAL,
        prefix: str = "",
        min_length: int = 0,
        max_length: int | None = None,
    ) -> list[Translation]:
        """Translations drawn at random: those of `elman predict --sample` for line `number`, from 1, of its input."""
        if not (source := self._encode(line)):
            return [Translation("", 0.0, 0.0)]
        limits, memory = self._limits(len(source), prefix, min_length, max_length), self._read(source)
        return [
            self._translation(self._draw(memory, limits, drawing, uniforms(seed, number, sample)))
            for sample in range(samples)
        ]

    def _draw(self, memory: Memory, limits: Limits, drawing: Drawing, numbers: object) -> Hypothesis:
        written: list[int] = []
        total, last = 0.0, self.end
        while True:
            log_p, memory = self._step([last], memory)
            allowed = limits.constrain(log_p, len(written))[0]
            last = draw(allowed, next(numbers), drawing)  # type: ignore[call-overload]
            total += float(allowed[last])
            if last == self.end:
                return Hypothesis(tuple(written), total, total)
            written.append(last)

    def _encode(self, line: str) -> list[int]:
        ids = self.source.encode(line).tolist() if line.strip() else []
        if ids and self.longest is not None and len(ids) >= self.longest:
            raise RunnerError(
                f"expected at most the model's {self.longest:,} positions, got {len(ids) + 1:,}; split it"
            )
        return [*ids, self.source_end] if ids else []

    def _limits(self, source: int, prefix: str, min_length: int, most: int | None) -> Limits:
        begun = self.target.encode(prefix).tolist()
        least = max(min_length, len(begun))
        wanted = max(3 * source + 30, least) if most is None else most
        if self.longest is not None:
            wanted = min(wanted, self.longest - 1)
        if wanted < least:
            what = f"at least {least}, for the shortest length and the prefix"
            raise RunnerError(f"max_length: expected {what}, got {wanted}")
        banned = [x for x in (self.target.unk, self.target.eos) if x is not None]
        return Limits(self.end, min_length, wanted, banned, begun)

    def _read(self, source: Sequence[int]) -> Memory:
        """The memory (one row) with which a target of this source begins."""
        given = [name for name in self.decoder.states if f"next_{name}" in self.encoder.outputs]
        found = self.encoder({"source": np.array([source], np.int64)}, [f"next_{name}" for name in given])
        made = dict(zip(given, found, strict=True))
        return tuple(made[name] if name in made else self.decoder.zeros(name, 1) for name in self.decoder.states)

    def _step(self, last: list[int], memory: Memory) -> tuple[Array, Memory]:
        tokens = np.array(last, np.int64)[:, None]
        [logits], memory = self.decoder.step({"tokens": tokens}, memory, ["logits"])
        if logits.shape[-1] != self.target.vocab_size:
            raise RunnerError(f"{self.decoder.path} and its tokenizer differ in the number of tokens")
        return log_softmax(logits[:, -1]), memory

    def _translation(self, y: Hypothesis) -> Translation:
        return Translation(self.target.decode(y.tokens), y.score, y.log_probability)

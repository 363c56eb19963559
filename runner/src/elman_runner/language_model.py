"""A language model: it writes text, a piece at a time, and its memory is a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from elman_runner.errors import RunnerError
from elman_runner.folder import Folder
from elman_runner.graph import Array, Memory
from elman_runner.sampling import Drawing, any_seed, draw, log_softmax, uniforms
from elman_runner.tokenizers import StreamDecoder, make_tokenizer

WINDOW = 512  # tokens of a prompt that are read at a time
USUAL = Drawing(0.8)


class Written(NamedTuple):
    """The state of a text in writing: the memory after all tokens but the last, which is read next."""

    memory: Memory | None  # None: a fresh one
    last: int
    unfinished: bytes = b""  # the first bytes of a character
    drawn: int = 0  # tokens that were written so far, and numbers of the seed that were used


class Piece(NamedTuple):
    """A token that was written, the text that it completes, and the state after it."""

    text: str
    token: int | None  # None: the rest of an unfinished character, at the end
    log_probability: float  # in nats, before any filter
    state: Written


class LanguageModel:
    """Distributions of the next token, and text that is drawn from them."""

    def __init__(self, folder: Folder) -> None:
        self.graph = folder.graph()
        self.graph.check(["tokens"], ["logits"])
        self.tokenizer = make_tokenizer(folder.codec("tokenizer"), f"{folder.path / 'tokenizer.json'}")

    def read(self, tokens: Array | Sequence[Sequence[int]], memory: Memory | None = None) -> tuple[Array, Memory]:
        """Logits (B, T, V) after each of tokens (B, T), and the memory after them."""
        tokens = np.asarray(tokens, np.int64)
        if tokens.ndim != 2 or not tokens.size:
            raise RunnerError(f"tokens: expected shape (B, T), got {tokens.shape}")
        if tokens.min() < 0 or tokens.max() >= self.tokenizer.vocab_size:
            raise RunnerError(f"tokens: expected from 0 to {self.tokenizer.vocab_size - 1}, got {tokens.max()}")
        before = self.graph.fresh(len(tokens)) if memory is None else memory
        [logits], after = self.graph.step({"tokens": tokens}, before, ["logits"])
        if logits.shape[-1] != self.tokenizer.vocab_size:
            raise RunnerError(f"{self.graph.path} and its tokenizer differ in the number of tokens")
        return logits, after

    def generate(
        self,
        prompt: str = "",
        state: Written | None = None,
        *,
        tokens: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
    ) -> tuple[str, Written]:
        """The text after a prompt, and the state with which the next call goes on; see `write`.

        The bytes of an unfinished character are in the state, for the next call.
        """
        drawing = Drawing(temperature, top_k, top_p, min_p)
        pieces = list(self.write(prompt, state, tokens=tokens, drawing=drawing, seed=seed))
        return "".join(piece.text for piece in pieces[:-1]), pieces[-1].state

    def write(
        self,
        prompt: str = "",
        state: Written | None = None,
        *,
        tokens: int = 500,
        drawing: Drawing = USUAL,
        seed: int | None = None,
    ) -> Iterator[Piece]:
        """Yield pieces of a text, as `elman generate` writes it for the same seed, until a document or `tokens` end.

        A text in two calls, the second with the last piece's state and the same seed, is the text of one call.
        """
        ids = self.tokenizer.encode(prompt).tolist()
        begin, memory, decoder, drawn = self._begin(ids, state)
        for token in ids:
            decoder.push(token)
        *before, last = begin
        for start in range(0, len(before), WINDOW):
            _, memory = self.read([before[start : start + WINDOW]], memory)
        at = Written(memory, last, decoder.unfinished, drawn)
        numbers = uniforms(any_seed() if seed is None else seed, step=drawn)
        for _ in range(tokens):
            logits, memory = self.read([[at.last]], at.memory)
            log_p = log_softmax(logits[0, -1])
            token = draw(self._allowed(logits[0, -1]), next(numbers), drawing)
            ended = token == self.tokenizer.eod
            text = "" if ended else decoder.push(token)
            at = Written(memory, token, b"" if ended else decoder.unfinished, at.drawn + 1)
            yield Piece(text, token, float(log_p[token]), at)
            if ended:
                break
        yield Piece(decoder.finish(), None, 0.0, at)

    def _begin(self, ids: list[int], state: Written | None) -> tuple[list[int], Memory | None, StreamDecoder, int]:
        """The tokens to read, the memory before them, the decoder, and how many tokens were drawn."""
        tokenizer = self.tokenizer
        if state is None:
            begin = ids if ids and tokenizer.eod is None else [tokenizer.start, *ids]
            return begin, None, StreamDecoder(tokenizer), 0
        if state.last == tokenizer.eod:  # a new document
            return [state.last, *ids], None, StreamDecoder(tokenizer), state.drawn
        decoder = StreamDecoder(tokenizer, state.last, state.unfinished)
        return [state.last, *ids], state.memory, decoder, state.drawn

    def _allowed(self, logits: Array) -> Array:
        if self.tokenizer.unk is not None:
            logits = logits.copy()
            logits[self.tokenizer.unk] = -np.inf
        return logits

"""A text that a language model writes, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch

from elman.data.tokenizers import StreamDecoder
from elman.decode.generation import generate
from elman.decode.sampling import sample
from elman.decode.steps import prefill
from elman.errors import UserError
from elman.state import State
from elman.tasks.language_modelling.settings import WritingOptions
from elman.tasks.task import Piece, Trained


class Written(NamedTuple):
    """A text in writing: the memory after all of its tokens but the last, and the last, which is to be read next."""

    memory: State | None
    last: int
    unfinished: bytes = b""  # of a character, whose other bytes are in the tokens that follow


def write(run: Trained, prompt: str, options: WritingOptions, state: State | None = None) -> Continuation:
    """Go on with a prompt, after all that `state` has read (None: nothing), until the options or the document end it.

    A document begins with `<eod>`; where there are no documents, an empty prompt begins with a new line.

    Raises:
        UserError: neither a prompt nor a state that a text ended with, so that there is nothing to go on from.
    """
    tokenizer = run.tokenizer
    ids = tokenizer.encode(prompt).tolist()
    decoder = StreamDecoder(tokenizer)
    if isinstance(state, Written):
        begin = [state.last, *ids]
        if state.last == tokenizer.eod:  # a new document, which knows nothing of the one before
            state = None
        else:
            decoder, state = StreamDecoder(tokenizer, state.last, state.unfinished), state.memory
    elif state is not None:
        begin = ids
        if not begin:
            raise UserError("prompt", expected="a text, or the state that `generate` returned", got="neither")
    else:
        begin = ids if ids and tokenizer.eod is None else [tokenizer.start, *ids]
    for token in ids:
        decoder.push(token)
    return Continuation(run, ids, begin, decoder, options, state)


class Continuation:
    """The pieces of a text after a prompt; `state` is the memory after those that were taken, None before the first."""

    def __init__(
        self,
        run: Trained,
        prompt: list[int],
        begin: list[int],
        decoder: StreamDecoder,
        options: WritingOptions,
        memory: State | None,
    ) -> None:
        self.run, self.begin, self.decoder, self.options, self.memory = run, begin, decoder, options, memory
        self.prompt_tokens, self.unknown = len(prompt), run.tokenizer.count_unknown(prompt)
        self.random = torch.Generator()
        self.seed = self.random.seed() % 2**31 if options.seed is None else options.seed
        self.random.manual_seed(self.seed)
        self.state: Written | None = None

    def __iter__(self) -> Iterator[Piece]:
        """The pieces, the last of which belongs to no token: the rest of a character that was left unfinished."""
        tokenizer, o = self.run.tokenizer, self.options
        choose = partial(
            sample, temperature=o.temperature, top_k=o.top_k, top_p=o.top_p, min_p=o.min_p, generator=self.random
        )
        banned = [] if tokenizer.unk is None else [tokenizer.unk]
        stream = generate(self.run.model, self.begin, choose, state=self.memory, banned=banned)
        for _, (token, log_probability, memory) in zip(range(o.tokens), stream, strict=False):
            ended = token == tokenizer.eod
            text = "" if ended else self.decoder.push(token)
            self.state = Written(memory, token, b"" if ended else self.decoder.unfinished)
            yield Piece(text, tokenizer.symbol(token), log_probability)
            if ended:
                break
        if self.state is None:
            self.state = self._read()
        yield Piece(self.decoder.finish(), None, 0.0)

    @torch.inference_mode()
    def _read(self) -> Written:
        """The memory of the prompt, where nothing was written after it."""
        *before, last = self.begin
        memory = prefill(self.run.model, [before], self.memory)[1] if before else self.memory
        return Written(memory, last, self.decoder.unfinished)

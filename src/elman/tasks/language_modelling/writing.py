"""A text that a language model writes, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from elman.data.tokenizers import StreamDecoder
from elman.decode.stream import WrittenToken, read, stream
from elman.decode.uniforms import uniforms
from elman.errors import UserError
from elman.models import LanguageModel
from elman.state import State, batch_size, concatenate
from elman.tasks.exchange import Piece, Trained
from elman.tasks.language_modelling.settings import WritingOptions


class Written(NamedTuple):
    """The state of a text in writing: the memory after all tokens but the last, and the last, which is read next."""

    memory: State | None
    last: int
    unfinished: bytes = b""  # the first bytes of a character; the following tokens have the others
    drawn: int = 0  # tokens that were written so far: the seed's numbers from there on draw the next


def write(run: Trained, prompt: str, options: WritingOptions, state: State | None = None) -> Continuation:
    """Go on with a prompt, after all that `state` has read (None: nothing), until the options or the document end it.

    A document begins with `<eod>`; where there are no documents, an empty prompt begins with a new line.

    Raises:
        UserError: `state` is no state of the model, or the prompt is empty and `state` comes from the model itself.
    """
    tokenizer = run.tokenizer
    ids = tokenizer.encode(prompt).tolist()
    decoder, drawn = StreamDecoder(tokenizer), 0
    if isinstance(state, Written):
        begin, drawn = [state.last, *ids], state.drawn
        if state.last == tokenizer.eod:  # a new document, which knows nothing of the one before
            state = None
        else:
            decoder, state = StreamDecoder(tokenizer, state.last, state.unfinished), state.memory
    elif state is not None:
        _check_state(run.model, state)
        begin = ids
        if not begin:
            raise UserError("prompt", expected="a text, or the state that `generate` returned", got="neither")
    else:
        begin = ids if ids and tokenizer.eod is None else [tokenizer.start, *ids]
    for token in ids:
        decoder.push(token)
    seed = torch.Generator().seed() % 2**31 if options.seed is None else options.seed
    return Continuation(run, begin, decoder, options, state, len(ids), tokenizer.count_unknown(ids), seed, drawn)


def _check_state(model: LanguageModel, state: State) -> None:
    """Raise `UserError` where that is no state of one row of the model."""
    try:
        fits = batch_size(concatenate([model.initial_state(1), state])) == 2
    except (RuntimeError, TypeError, ValueError):
        fits = False
    if not fits:
        expected = "the state that `generate` or the model returned, of one row"
        raise UserError("state", expected=expected, got="another")


@dataclass
class Continuation:
    """The pieces of a text after a prompt."""

    run: Trained
    begin: list[int]  # the tokens that are read first
    decoder: StreamDecoder
    options: WritingOptions
    memory: State | None  # before `begin`
    prompt_tokens: int
    unknown: int
    seed: int
    drawn: int  # tokens that were written before, and then also those of the pieces that were taken
    last: WrittenToken | None = None  # of the pieces that were taken

    def __post_init__(self) -> None:
        self.unfinished = self.decoder.unfinished

    def __iter__(self) -> Iterator[Piece]:
        """The pieces; the last belongs to no token, and is the rest of an unfinished character."""
        tokenizer, o = self.run.tokenizer, self.options
        written = stream(
            self.run.model,
            self.begin,
            uniforms(self.seed, step=self.drawn),
            o.tokens,
            state=self.memory,
            banned=[] if tokenizer.unk is None else [tokenizer.unk],
            end=tokenizer.eod,
            **o.model_dump(exclude={"tokens", "seed"}),
        )
        for self.last in written:
            text = self.decoder.push(self.last.token)
            self.drawn, self.unfinished = self.drawn + 1, self.decoder.unfinished
            yield Piece(text, tokenizer.symbol(self.last.token), self.last.log_probability)
        yield Piece(self.decoder.finish(), None, 0.0)

    @property
    def state(self) -> Written:
        """The state after the pieces that were taken."""
        if self.last is not None:
            return Written(self.last.memory(), self.last.token, self.unfinished, self.drawn)
        *before, last = self.begin
        return Written(read(self.run.model, before, self.memory), last, self.unfinished, self.drawn)

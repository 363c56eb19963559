"""A work of a language model's session, in a slot of an arena: its memory there, and the text of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from elman.data.tokenizers import StreamDecoder, Tokenizer
from elman.decode.arena import Arena, RowMemory
from elman.state import State
from elman.tasks.listening import Memory, Work

SPACING = 64  # units, after which a memory is taken out of the arena: that costs as much as some tokens


@dataclass(eq=False)
class Turn:
    """What a work has in an arena. The arena is ahead of the work's memory by fewer units than a few rounds have."""

    work: Work
    arena: Arena
    slot: int
    decoder: StreamDecoder

    def __post_init__(self) -> None:
        self.begun = self.work.memory.position - len(self.work.units)  # the position before the first unit

    @property
    def position(self) -> int:
        """Of the session, after all units of the work."""
        return self.begun + len(self.work.units)

    def keep(self, least: int = 0) -> None:
        """Take the memory out of the arena, if the work's is so many units behind."""
        position = self.position
        if position - self.work.memory.position >= least:
            row = self.arena.row(self.slot)
            notes = {"last": self.decoder.previous, "unfinished": self.decoder.unfinished.hex()}
            state: State = () if row.hidden is None else (row.state, row.hidden)
            self.work.memory = Memory(state, notes, position)

    def return_to(self, memory: Memory) -> None:
        """Fill the slot anew: with a memory of the work, and the units after it."""
        self.work.memory = memory
        self.arena.release(self.slot)
        self.slot = self.arena.admit(row_in(memory))
        tokenizer, tokens = self.decoder.tokenizer, self.work.units[memory.position - self.begun :]
        for document in documents(tokens, tokenizer.eod):
            if document[0] == tokenizer.eod:
                self.arena.reset(self.slot)
            self.arena.read([self.slot], [document])
        self.decoder = decoder_of(tokenizer, memory)
        self.decoder.extend(tokens)


def documents(tokens: Sequence[int], eod: int | None) -> list[Sequence[int]]:
    """Tokens apart before each `<eod>`.

    >>> documents([1, 2, 9, 3, 9], 9), documents([1, 2], None)
    ([[1, 2], [9, 3], [9]], [[1, 2]])
    """
    borders = [0, *(at for at, token in enumerate(tokens) if at and token == eod), len(tokens)]
    return [tokens[first:last] for first, last in pairwise(borders) if first < last]


def decoder_of(tokenizer: Tokenizer, memory: Memory) -> StreamDecoder:
    """A decoder that goes on after a memory."""
    return StreamDecoder(tokenizer, memory.notes.get("last"), bytes.fromhex(memory.notes.get("unfinished", "")))


def row_in(memory: Memory) -> RowMemory | None:
    """The arena's row that a memory holds; None: nothing was read."""
    return RowMemory(*memory.state) if memory.state else None

"""Memories of many rows in slots: what a server reads and writes with, any of the rows at once.

    arena = arena_of(model)                          a language model in eval mode, which keeps its parameters
    slot = arena.admit(None)                         a fresh memory
    arena.read([slot], [[3, 1, 4]])                  read tokens
    arena.write([slot], [Draw(uniforms=u)], 5)       draw a token and read it, five times
    arena.release(slot)

A row's memory is its state after all that it read, and the last hidden state, of which the next token's logits are
made: so nothing is read twice, wherever the memory goes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.decode.sampling import sample
from elman.errors import UserError
from elman.models import LanguageModel
from elman.state import State, concatenate, entries, row_of

WINDOW = 512  # tokens of a row that are read together


class RowMemory(NamedTuple):
    """A row's memory."""

    state: State  # of one row
    hidden: Tensor | None  # (1, H) after the last token; None: nothing was read


@dataclass(frozen=True, eq=False)
class Draw:
    """How a row's tokens are drawn: the options of `sampling.sample`, and a number for each step."""

    uniforms: Floats  # (steps,) or more
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    @property
    def filters(self) -> tuple[float, int | None, float | None, float | None]:
        """What rows must have in common to be drawn together."""
        return self.temperature, self.top_k, self.top_p, self.min_p


class WrittenRows(NamedTuple):
    """What `Arena.write` wrote: of row r, the first `counts[r]` entries."""

    tokens: Numbers  # (R, steps) int64, -1 after a row's last
    log_probabilities: (
        Floats  # (R, steps) float64, in nats, under the model itself, before any filter; 0 after the last
    )
    counts: Numbers  # (R,)


class Arena(ABC):
    """The memories of a language model's rows. One thread at a time uses an arena."""

    @abstractmethod
    def admit(self, row: RowMemory | None) -> int:
        """A slot with this memory, or a fresh one. The row itself stays as it is."""

    @abstractmethod
    def row(self, slot: int) -> RowMemory:
        """A copy of the memory in a slot."""

    @abstractmethod
    def release(self, slot: int) -> None:
        """Give a slot back."""

    @abstractmethod
    def reset(self, slot: int) -> None:
        """A fresh memory in a slot."""

    @abstractmethod
    def read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:
        """Read tokens, any number for each slot. A slot is named once."""

    @abstractmethod
    def score(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[Floats]:
        """As `read`; of each slot, the log-probability (T,) float64 of each token before it was read, in nats.

        It is NaN for a token that is read in a fresh memory, of which there are no logits.
        """

    @abstractmethod
    def logits(self, slots: Sequence[int]) -> Tensor:
        """The logits (R, V) of the next token. Each slot has read something."""

    @abstractmethod
    def write(
        self,
        slots: Sequence[int],
        draws: Sequence[Draw],
        steps: int,
        *,
        banned: Sequence[int] = (),
        end: int | None = None,
    ) -> WrittenRows:
        """Draw a token of each row and read it, `steps` times; `banned` tokens are not drawn.

        Each slot has read something. A row that draws `end` reads that token in a fresh memory, for a new document
        knows nothing of the one before, and writes no more. A row whose logits give no token a probability (NaN)
        writes no more, too.
        """


def arena_of(model: LanguageModel, *, int8: bool = False) -> Arena:
    """The fastest arena of a language model, which is in eval mode and keeps its parameters.

    With `int8`, the weights of its products have one byte each, with a scale for each row, and the states stay float32.

    Raises:
        UserError: the compiled core cannot do so with `int8`.
    """
    arena = arena_in_core(model, int8=int8)
    return StateRows(model) if arena is None else arena


def arena_in_core(model: LanguageModel, *, int8: bool = False) -> Arena | None:
    """The compiled core's arena of a model, whose rows do not change each other's numbers; None where it has none."""
    from elman.decode.native_arena import NativeRows, why_not_native
    from elman.decode.transformer_arena import TransformerRows, why_not_rows

    why_not = why_not_native(model, int8=int8)
    if why_not is None:
        return NativeRows(model, int8=int8)
    if int8:
        raise UserError("int8", expected="a model whose steps the compiled core takes", got=why_not)
    return TransformerRows(model) if why_not_rows(model) is None else None


class StateRows(Arena):
    """The readable reference, for every model: states are put together, read, and taken apart."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._rows: dict[int, RowMemory] = {}
        self._numbers = count()

    @torch.inference_mode()
    def admit(self, row: RowMemory | None) -> int:  # noqa: D102
        slot = next(self._numbers)
        self._rows[slot] = RowMemory(self.model.initial_state(1), None) if row is None else row
        return slot

    def row(self, slot: int) -> RowMemory:  # noqa: D102
        return self._rows[slot]  # rows are replaced and never changed, so that this one is as good as a copy

    def release(self, slot: int) -> None:  # noqa: D102
        del self._rows[slot]

    @torch.inference_mode()
    def reset(self, slot: int) -> None:  # noqa: D102
        self._rows[slot] = RowMemory(self.model.initial_state(1), None)

    @torch.inference_mode()
    def read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:  # noqa: D102
        for start in range(0, max(map(len, tokens), default=0), WINDOW):
            self._read(slots, [row[start : start + WINDOW] for row in tokens])

    @torch.inference_mode()
    def score(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[Floats]:  # noqa: D102
        scores: list[list[Floats]] = [[] for _ in slots]
        for start in range(0, max(map(len, tokens), default=0), WINDOW):
            pieces = [row[start : start + WINDOW] for row in tokens]
            before = [self._rows[slot].hidden for slot in slots]
            for found, first, hidden, piece in zip(scores, before, self._read(slots, pieces), pieces, strict=True):
                if first is None and piece:
                    found.append(np.array([np.nan]))
                    piece = piece[1:]
                else:
                    hidden = torch.cat((hidden[:0] if first is None else first, hidden))
                if piece:
                    log_p = self.model.output(hidden[: len(piece)]).log_softmax(-1)
                    found.append(
                        log_p.gather(1, torch.tensor(piece, device=log_p.device)[:, None])[:, 0].double().cpu().numpy()
                    )
        return [np.concatenate(found) if found else np.zeros(0) for found in scores]

    def _read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """Read, and return the hidden states (T, H) of each row."""
        due = [i for i, row in enumerate(tokens) if row]
        hidden = [torch.empty(0)] * len(slots)
        if not due:
            return hidden
        lengths = [len(tokens[i]) for i in due]
        longest = max(lengths)
        padded = [[*tokens[i], *[0] * (longest - length)] for i, length in zip(due, lengths, strict=True)]
        states = [self._rows[slots[i]].state for i in due]
        ends = None if min(lengths) == longest else lengths
        steps, after = self.model.read(padded, concatenate(states), lengths=ends)
        for place, (i, length, state) in enumerate(zip(due, lengths, states, strict=True)):
            hidden[i] = steps[place, :length]
            self._rows[slots[i]] = RowMemory(row_of(after, place, entries(state) + length), hidden[i][-1:].clone())
        return hidden

    @torch.inference_mode()
    def logits(self, slots: Sequence[int]) -> Tensor:  # noqa: D102
        return self.model.output(torch.cat([self._hidden(slot) for slot in slots]))

    def _hidden(self, slot: int) -> Tensor:
        hidden = self._rows[slot].hidden
        assert hidden is not None, "a row that has read nothing has no logits"
        return hidden

    @torch.inference_mode()
    def write(  # noqa: D102
        self,
        slots: Sequence[int],
        draws: Sequence[Draw],
        steps: int,
        *,
        banned: Sequence[int] = (),
        end: int | None = None,
    ) -> WrittenRows:
        tokens, log_p = np.full((len(slots), steps), -1), np.zeros((len(slots), steps))
        counts = np.zeros(len(slots), dtype=np.int64)
        writing = list(range(len(slots)))
        for step in range(steps):
            if not writing:
                break
            logits = self.logits([slots[i] for i in writing])
            log_probabilities = logits.log_softmax(-1)
            logits[:, list(banned)] = -torch.inf
            able = logits.max(-1).values.isfinite().tolist()
            drawn = _draw(logits, [draws[i] for i in writing], step, able)
            for place, i in enumerate(writing):
                if able[place]:
                    tokens[i, step], counts[i] = drawn[place], step + 1
                    log_p[i, step] = log_probabilities[place, drawn[place]]
                    if drawn[place] == end:
                        self.reset(slots[i])
            writing = [i for place, i in enumerate(writing) if able[place]]
            self._read([slots[i] for i in writing], [[int(tokens[i, step])] for i in writing])
            writing = [i for i in writing if tokens[i, step] != end]
        return WrittenRows(tokens, log_p, counts)


def _draw(logits: Tensor, draws: Sequence[Draw], step: int, able: Sequence[bool]) -> list[int]:
    """A token of each row that is able; rows with the same filters are drawn together."""
    drawn, together = [-1] * len(draws), dict[Any, list[int]]()
    for place, draw in enumerate(draws):
        if able[place]:
            together.setdefault(draw.filters, []).append(place)
    for (temperature, top_k, top_p, min_p), places in together.items():
        numbers = torch.tensor([draws[place].uniforms[step] for place in places], dtype=torch.double)
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        found = sample(logits[places], uniform=numbers.to(logits.device), **options).tolist()
        for place, token in zip(places, found, strict=True):
            drawn[place] = token
    return drawn

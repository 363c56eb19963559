"""The arena of Transformer language models in the compiled core: every row's memory stays where it is, and grows alone.

A row has a ring of keys and values for each layer, which the core reads and writes in place: no memory is put together
with another's, none is padded, and one is copied when it grows, to twice the slots. The rows of a call do not change
each other's numbers by a single bit. Nor does it matter in how many calls a row writes; in which pieces it reads does,
by rounding.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.decode.arena import WINDOW, Arena, Draw, RowMemory, WrittenRows
from elman.decode.core_calls import DrawnSteps, check_tokens, fill
from elman.kernels.native.library import parallel_for, run
from elman.kernels.native.transformer import TransformerCall, TransformerRow
from elman.models.language_model import LanguageModel
from elman.models.transformer import TransformerLM, TransformerState
from elman.models.transformer_rows import RowForm, arranged, why_not_rows

MOST_STEPS = 256  # tokens of a row that one call writes
MOST_LINES = 1 << 20  # numbers of the positions of a call that writes

__all__ = ["TransformerRows", "why_not_rows"]


@dataclass
class _ArenaRow:
    memory: Tensor  # (layers, 2, N, C, D)
    hidden: Tensor  # (H,)
    position: int = 0  # steps since the last reset
    has_read: bool = False


class TransformerRows(Arena):
    """Rows whose memories the core reads and writes in place.

    Args:
        model: a model for which `why_not_rows` has no reason. Later changes of its parameters change nothing here.
    """

    def __init__(self, model: LanguageModel) -> None:
        assert isinstance(model, TransformerLM)
        self._arranged, self._form = arranged(model), RowForm(model)
        self.vocab_size, self._size = model.vocab_size, model.hidden_size
        self._rows: dict[int, _ArenaRow] = {}
        self._numbers = count()

    def admit(self, row: RowMemory | None) -> int:  # noqa: D102
        slot = next(self._numbers)
        state = None if row is None else cast(TransformerState, row.state)
        position = 0 if state is None else int(state.position)
        memory = self._form.with_room(None, 0, position + 1)
        own = self._rows[slot] = _ArenaRow(memory, torch.zeros(self._size, dtype=self._form.dtype), position)
        if row is not None and state is not None:
            self._form.put(memory, state)
            if row.hidden is not None:
                own.hidden.copy_(row.hidden.detach()[0])
                own.has_read = True
        return slot

    def row(self, slot: int) -> RowMemory:  # noqa: D102
        own = self._rows[slot]
        return RowMemory(self._form.state(own.memory, own.position), own.hidden[None].clone() if own.has_read else None)

    def release(self, slot: int) -> None:  # noqa: D102
        del self._rows[slot]

    def reset(self, slot: int) -> None:  # noqa: D102
        self._rows[slot].position, self._rows[slot].has_read = 0, False

    def read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:  # noqa: D102
        self._read(slots, tokens)

    def score(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[Floats]:  # noqa: D102
        fresh = [not self._rows[slot].has_read for slot in slots]
        scores = self._read(slots, tokens, scored=True)
        for score, is_fresh in zip(scores, fresh, strict=True):
            if is_fresh:
                score[:1] = np.nan
        return scores

    def _read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]], *, scored: bool = False) -> list[Floats]:
        """Read, a piece of each row after the other; with `scored`, the log-probability of each token."""
        given = [np.array(row, np.int64) for row in tokens]
        check_tokens(np.concatenate(given or [np.zeros(0, np.int64)]), self.vocab_size)
        scores = [np.zeros(len(row) if scored else 0) for row in given]
        for start in range(0, max(map(len, given), default=0), WINDOW):
            pieces = [row[start : start + WINDOW] for row in given]
            for rows in _together([*map(len, pieces)]):
                found = self._read_together([slots[i] for i in rows], [pieces[i] for i in rows], scored=scored)
                for i, score in zip(rows, found, strict=scored):
                    scores[i][start : start + len(score)] = score
        return scores

    def _read_together(self, slots: Sequence[int], pieces: Sequence[Numbers], *, scored: bool) -> list[Floats]:
        """Read by one call, at least a token of each row."""
        lengths = np.array([*map(len, pieces)])
        begins = np.append(0, lengths.cumsum())
        before = np.array([self._rows[slot].position for slot in slots])
        for slot, length in zip(slots, lengths.tolist(), strict=True):
            self._make_room(slot, length)
        weighed = {name: np.ones(begins[-1]) for name in ("below", "sums")} if scored else {}
        positions = torch.from_numpy(np.arange(begins[-1]) + np.repeat(before - begins[:-1], lengths))
        lines, tokens = self._form.of_positions(positions), np.concatenate(pieces)
        self._call("transformer_read", slots, **lines, **weighed, tokens=tokens, begins=begins)
        for slot in slots:
            self._rows[slot].has_read = True
        return np.split(weighed["below"] - np.log(weighed["sums"]), begins[1:-1]) if scored else []

    def logits(self, slots: Sequence[int]) -> Tensor:  # noqa: D102
        assert all(self._rows[slot].has_read for slot in slots), "a row that has read nothing has no logits"
        logits = torch.empty(len(slots), self.vocab_size, dtype=self._form.dtype)
        nothing = np.zeros(len(slots) + 1, np.int64)
        self._call("transformer_read", slots, tokens=nothing, begins=nothing, logits=logits)
        return logits

    def write(  # noqa: D102
        self,
        slots: Sequence[int],
        draws: Sequence[Draw],
        steps: int,
        *,
        banned: Sequence[int] = (),
        end: int | None = None,
    ) -> WrittenRows:
        assert all(self._rows[slot].has_read for slot in slots), "a row that has read nothing has no next token"
        R = len(slots)
        found = WrittenRows(np.full((R, steps), -1), np.zeros((R, steps)), np.zeros(R, np.int64))
        left, done = list(range(R)), 0
        while left and done < steps:
            most = min(steps - done, MOST_STEPS, max(1, MOST_LINES // (len(left) * self._size)))
            writing = DrawnSteps([draws[i] for i in left], most, banned=banned, end=end, first=done)
            self._write_once([slots[i] for i in left], most, writing)
            tokens, log_p, counts = writing.rows
            now = slice(done, done + most)
            found.tokens[left, now], found.log_probabilities[left, now] = tokens, log_p
            found.counts[left] += counts
            last = zip(left, tokens[:, -1].tolist(), counts.tolist(), strict=True)
            left, done = [i for i, token, count in last if count == most and token != end], done + most
        return found

    def _write_once(self, slots: Sequence[int], steps: int, writing: DrawnSteps) -> None:
        """Write by one call."""
        before = np.array([self._rows[slot].position for slot in slots])
        for slot in slots:
            self._make_room(slot, steps)
        positions = np.append(np.add.outer(before, np.arange(steps)), 0)
        self._call("transformer_write", slots, **self._form.of_positions(torch.from_numpy(positions)), **writing.fields)

    def _make_room(self, slot: int, steps: int) -> None:
        own = self._rows[slot]
        own.memory = self._form.with_room(own.memory, own.position, own.position + steps)

    def _call(self, name: str, slots: Sequence[int], **fields: Any) -> None:
        """A call of the core, and the positions after it."""
        own = [self._rows[slot] for slot in slots]
        rows = (TransformerRow * len(own))(
            *(
                TransformerRow(row.memory.data_ptr(), row.hidden.data_ptr(), row.memory.shape[3], row.position)
                for row in own
            )
        )
        given = TransformerCall(ctypes.pointer(self._arranged.given), len(own), rows)
        given.threads, given.parallel_for = torch.get_num_threads(), parallel_for()
        fill(given, fields)
        run(name, self._form.dtype, given)
        for row, after in zip(own, rows, strict=True):
            row.position = after.position


def _together(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Which rows are read by one call: neighbours with at most `WINDOW` tokens together.

    >>> [*_together([500, 12, 0, 9, 512])]
    [[0, 1], [3], [4]]
    """
    rows, total = list[int](), 0
    for i, length in enumerate(lengths):
        if rows and total + length > WINDOW:
            yield rows
            rows, total = [], 0
        if length:
            rows, total = [*rows, i], total + length
    if rows:
        yield rows

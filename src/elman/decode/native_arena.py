"""The arena of recurrent language models in the compiled core: a call of it reads or writes any number of tokens.

The rows of a call do not change each other's numbers by a single bit, and it makes no difference in which pieces the
tokens of a row are read or written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats, Numbers
from elman.decode.arena import Arena, Draw, RowMemory, WrittenRows
from elman.decode.core_calls import DrawnSteps, address, check_tokens, fill
from elman.kernels.native.arena import ArenaCall
from elman.kernels.native.library import run
from elman.models.language_model import LanguageModel
from elman.models.recurrent import RecurrentLM
from elman.models.recurrent_steps import SlotForm, arranged, why_not_native
from elman.state import map_state

FIRST_SLOTS = 4


__all__ = ["NativeRows", "why_not_native"]


class NativeRows(Arena):
    """Rows in one tensor, (slots, numbers of a slot), which the core reads and writes in place.

    Args:
        model: a model for which `why_not_native` has no reason. Later changes of its parameters change nothing here.
        int8: whether the weights of the products have one byte each, with a scale for each row.
    """

    def __init__(self, model: LanguageModel, *, int8: bool = False) -> None:
        assert isinstance(model, RecurrentLM)
        self._arranged = arranged(model, int8=int8)
        self.vocab_size = model.vocab_size
        self._form = SlotForm(model)
        self._memory = torch.zeros(FIRST_SLOTS, self._form.size, dtype=self._arranged.dtype)
        self._free = [*range(FIRST_SLOTS)][::-1]
        self._has_read: set[int] = set()

    def admit(self, row: RowMemory | None) -> int:  # noqa: D102
        if not self._free:
            count = len(self._memory)
            self._memory = torch.cat((self._memory, torch.zeros_like(self._memory)))
            self._free = [*range(count, 2 * count)][::-1]
        slot = self._free.pop()
        self.reset(slot)
        if row is not None:
            self._form.put(self._memory[slot : slot + 1], row.state, row.hidden)
            if row.hidden is not None:
                self._has_read.add(slot)
        return slot

    def row(self, slot: int) -> RowMemory:  # noqa: D102
        state, hidden = self._form.parts(self._memory[slot : slot + 1])
        return RowMemory(map_state(torch.clone, state), hidden.clone() if slot in self._has_read else None)

    def release(self, slot: int) -> None:  # noqa: D102
        self._has_read.discard(slot)
        self._free.append(slot)

    def reset(self, slot: int) -> None:  # noqa: D102
        self._memory[slot] = 0
        self._has_read.discard(slot)

    def read(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> None:  # noqa: D102
        self._read(slots, tokens)

    def score(self, slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[Floats]:  # noqa: D102
        fresh = [slot not in self._has_read for slot in slots]
        count = sum(map(len, tokens))
        below, sums = np.zeros(count), np.ones(count)
        order, ends = self._read(slots, tokens, below, sums)
        found = np.split(below - np.log(sums), ends[:-1]) if len(order) else []
        scores = [np.zeros(0)] * len(slots)
        for i, of_row in zip(order, found, strict=True):
            if fresh[i]:
                of_row[0] = np.nan
            scores[i] = of_row
        return scores

    def _read(
        self,
        slots: Sequence[int],
        tokens: Sequence[Sequence[int]],
        below: Floats | None = None,
        sums: Floats | None = None,
    ) -> tuple[list[int], Numbers]:
        """Read; the rows in the order in which they were read, the longest first, and where each one's tokens end."""
        order = sorted((i for i, row in enumerate(tokens) if len(row)), key=lambda i: -len(tokens[i]))
        begins = np.array([0, *(len(tokens[i]) for i in order)]).cumsum()
        given = np.fromiter(chain.from_iterable(tokens[i] for i in order), np.int64, begins[-1])
        if not order:
            return order, begins[1:]
        check_tokens(given, self.vocab_size)
        chosen = [slots[i] for i in order]
        self._call("arena_read", chosen, tokens=given, begins=begins, below=below, sums=sums)
        self._has_read.update(chosen)
        return order, begins[1:]

    def logits(self, slots: Sequence[int]) -> Tensor:  # noqa: D102
        assert self._has_read.issuperset(slots), "a row that has read nothing has no logits"
        logits = torch.empty(len(slots), self.vocab_size, dtype=self._memory.dtype)
        nothing = np.zeros(len(slots) + 1, np.int64)
        self._call("arena_read", slots, tokens=nothing, begins=nothing, logits=logits)
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
        assert self._has_read.issuperset(slots), "a row that has read nothing has no next token"
        writing = DrawnSteps(draws, steps, banned=banned, end=end)
        self._call("arena_write", slots, **writing.fields)
        return writing.rows

    def _call(self, name: str, slots: Sequence[int], **fields: Any) -> None:
        """A call of the core."""
        places = np.array(slots, np.int64)
        given = ArenaCall(ctypes.pointer(self._arranged.given), len(slots), self._memory.data_ptr(), address(places))
        fill(given, fields)
        run(name, self._memory.dtype, given)

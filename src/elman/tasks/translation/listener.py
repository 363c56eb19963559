"""An encoder-decoder that many sessions speak to: a source goes in, and its target is written token by token.

A unit is a source, the list of its tokens' numbers, or the number of a token of the target that follows. A new source
begins a new target. The end of a target is no unit: who asks for more is told again that it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, cast

import torch

from elman.data.textfile import mended
from elman.data.tokenizers import Tokenizer
from elman.decode.constraints import Constraints, default_max_length
from elman.decode.translation import Beam, Translator
from elman.errors import UserError
from elman.lens.intervention import check_interventions
from elman.state import State, fits, leaves
from elman.tasks.exchange import NONE, Trained
from elman.tasks.hearing import (
    FeedRequest,
    check_notes,
    fail,
    in_batches,
    one_form,
    texts_of,
)
from elman.tasks.holding import HeldReaders
from elman.tasks.listening import Listener, Memory, Unit, Work
from elman.tasks.translation.settings import PredictionOptions
from elman.tasks.translation.sources import PairNotes, SourceText, check_unit, last_source, size_of
from elman.tasks.translation.target_rows import TargetRows
from elman.tasks.translation.targets import FIRST, TargetRequest, TargetWriter, check_writing


class TranslationListener(Listener):
    """Targets of many sources, written side by side."""

    writes: ClassVar[bool] = True

    def __init__(self, run: Trained, options: Mapping[str, Any] = NONE) -> None:
        self.model = run.model
        self.source: Tokenizer = run.source_tokenizer
        self.target: Tokenizer = run.target_tokenizer
        self.ends = cast(int, self.source.eod), cast(int, self.target.eod)  # of a source, and of a target
        banned = [token for token in (self.target.unk, self.target.eos) if token is not None]
        self.rows = HeldReaders(run.model, lambda model: TargetRows(model, self.ends[1], banned))
        self.longest = min(self.model.longest or PredictionOptions().max_source, PredictionOptions().max_source)
        self._like = self.rows.plain.encode([self.ends[:1]])[0]
        self._writers: dict[Work, TargetWriter] = {}

    def begin(self) -> Memory:
        """No source was read."""
        return Memory((), {})

    @property
    def like(self) -> Any:
        """The state after a source without a token, before its target."""
        return self._like

    def check(self, kind: str, asked: Mapping[str, Any]) -> FeedRequest | TargetRequest:
        """A source that is a text or its tokens, or what a session has read and written; or how a target is written."""
        if kind == "generate":
            writing = check_writing(asked, self.target)
            check_interventions(self.model, writing.interventions)
            return writing
        form, given = one_form(kind, SourceText, asked, ("text", "tokens"), self.model)
        units: list[Unit]
        if form == "units":
            units = given.units
        elif form == "tokens":
            units = [given.tokens]
        else:
            units = [self.source.encode_array(mended(given.text)).tolist() if given.text.strip() else []]
        for unit in units:
            check_unit(form, unit, self.source, self.target, self.longest)
        return FeedRequest(units, interventions=given.set)

    def size(self, request: FeedRequest | TargetRequest) -> int:
        """The tokens of a source and a target; or those that are to be written, where it is said how many."""
        return sum(map(size_of, request.units)) if isinstance(request, FeedRequest) else request.options.tokens or 0

    def round(self, works: Sequence[Work]) -> None:
        """Read sources, and write some tokens of each target."""
        feeds = [work for work in works if isinstance(work.request, FeedRequest)]
        in_batches(feeds, [sum(map(size_of, work.request.units)) for work in feeds], self._read)
        due = [work for work in works if isinstance(work.request, TargetRequest) and self._begin(work)]
        in_batches(due, [len(work.memory.notes["source"]) for work in due], self._write)
        for work in due:
            if work.done:
                self._writers.pop(work, None)

    # Reading

    def _read(self, works: Sequence[Work]) -> None:
        """A source of each, and the tokens of its target that are given."""
        rows = self.rows(works[0].request)
        told = [last_source(work.request.units, work.memory.notes) for work in works]
        new = [n for n, (source, _, begins) in enumerate(told) if begins]
        states: list[Any] = [work.memory.state for work in works]
        if new:
            encoded = rows.encode([[*told[n][0], self.ends[0]] for n in new])
            for n, state in zip(new, encoded, strict=True):
                states[n] = state
        states = [rows.go_on(state, given) for state, (_, given, _) in zip(states, told, strict=True)]
        for work, state, (source, given, begins) in zip(works, states, told, strict=True):
            target = [*([] if begins else work.memory.notes["target"]), *given]
            work.memory = Memory(
                state, {"source": source, "target": target}, work.memory.position + len(work.request.units)
            )
            work.units.extend(work.request.units)
            work.answer = {
                "position": work.memory.position,
                "source_tokens": list(map(self.source.symbol, [*source, self.ends[0]])),
                "unknown": self.source.count_unknown(source),
                "target": self.target.decode(target),
            }

    # Writing

    def _begin(self, work: Work) -> bool:
        """See that a work has its writer, and something to write; otherwise it ends."""
        if work in self._writers:
            return True
        if work.memory.state == ():
            work.error = UserError("generate", expected="a source that was fed before", got="none")
            return False
        request: TargetRequest = work.request
        request.before, notes = work.memory, work.memory.notes
        written, o = len(notes["target"]), request.options
        most = int(default_max_length(torch.tensor(len(notes["source"]) + 1)))
        limit = most - written if o.tokens is None else o.tokens
        if self.model.longest is not None:
            limit = min(limit, self.model.longest - 1 - written)
        limit, forced = max(limit, 0), request.prefix
        if o.beam is not None:
            try:
                forced = self._search(notes, request, written + limit)
            except UserError as error:
                work.error = error
                return False
        writer = TargetWriter(work, self.target, limit, forced)
        if not limit:
            writer.finished = "length"
            writer.tell()
            return False
        self._writers[work] = writer
        return True

    def _search(self, notes: Mapping[str, Any], request: TargetRequest, most: int) -> list[int]:
        """The tokens, and the end, that a search finds after what was written; a target has at most so many.

        A search reads the source and what was written once more, with what the request holds.
        """
        o, rows = request.options, self.rows(request)
        translator = Translator(
            rows.model,
            self.source,
            self.target,
            Beam(cast(int, o.beam), 1, o.length_penalty, o.coverage_penalty),
            Constraints(max_length=most),
            prefix=[*notes["target"], *request.prefix],
        )
        source = torch.tensor([[*notes["source"], self.ends[0]]], device=rows.device)
        ((best,),) = translator.hypotheses(source, torch.tensor([source.shape[1]], device=rows.device), [FIRST])
        return [*best.tokens[len(notes["target"]) :], self.ends[1]]

    def _write(self, works: Sequence[Work]) -> None:
        """Some tokens of each target, unless it ends before."""
        rows, writers = self.rows(works[0].request), [self._writers[work] for work in works]
        drawn = rows.write(writers, [cast(Any, work.memory.state) for work in works])
        for work, writer, round_ in zip(works, writers, drawn, strict=True):
            if round_.error is not None:
                fail(work, round_.error)
                continue
            kept, before, state = writer.take(round_), cast(Memory, work.request.before), round_.state
            if kept < len(writer.drawn.ids):
                writer.keep(kept)
                state = rows.go_on(cast(Any, before.state), writer.drawn.ids)
            ids = writer.drawn.ids
            notes = {**before.notes, "target": [*before.notes["target"], *ids]}
            work.memory = Memory(cast(State, state), notes, before.position + len(ids))
            work.units[:] = ids
            writer.tell()

    def leave(self, work: Work) -> None:
        """A target that was not finished is told as far as it was written."""
        writer = self._writers.pop(work, None)
        if writer is not None and not work.done:
            writer.cancel()

    # What is said of all this

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """Of a source its text on a line; of each token of a target the text that it completes."""
        texts: list[str] = []
        for is_source, run in groupby(units, lambda unit: isinstance(unit, list)):
            if is_source:
                texts += [self.source.decode(source) + "\n" for source in run]
            else:
                texts += texts_of(self.target, list(run))
        return texts

    def check_memory(self, memory: Memory) -> None:
        """Sizes and positions as they are after this source and target."""
        if memory.state == () and not memory.notes:
            return
        check_notes(memory, PairNotes)
        source, target = memory.notes["source"], memory.notes["target"]
        for unit in (source, *target):
            check_unit("the memory's notes", unit, self.source, self.target, self.longest)
        rows = self.rows.plain
        own: State = rows.go_on(rows.encode([[*source, self.ends[0]]])[0], target)
        pairs = list(zip(leaves(memory.state), leaves(own), strict=True)) if fits(memory.state, own) else []
        same = all(x.shape == y.shape and (x.is_floating_point() or torch.equal(x, y)) for x, y in pairs)
        if not pairs or not same or memory.position <= len(target):
            raise UserError("the memory", expected="that of its source and target", got="another")

    def about(self) -> dict[str, Any]:
        """Vocabularies, and whether targets are aligned with their sources."""
        sizes = {"source": self.source.vocab_size, "target": self.target.vocab_size}
        attention = self._like.alignment.shape[1] > 0
        return {
            "reads": "text",
            "whole": False,
            "tokenizer": self.target.kind,
            "vocabulary": sizes,
            "attention": attention,
            "longest": self.longest,
        }

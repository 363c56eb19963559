"""A language model that many sessions speak to: their rows read and write together, in the slots of an arena.

A unit is a token. A session reads `<eod>` in a fresh memory, for a new document knows nothing of the one before. Where
there are documents, the text of a session that has read nothing begins with `<eod>`, as that of `elman generate` does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch

from elman.data.tokenizers import StreamDecoder
from elman.decode.arena import Arena, arena_of
from elman.decode.native_arena import why_not_native
from elman.decode.uniforms import uniform_stream
from elman.errors import UserError
from elman.lens.intervention import check_interventions
from elman.state import State, entry_counts, leaves
from elman.tasks.exchange import Trained
from elman.tasks.hearing import together_by
from elman.tasks.holding import HeldReaders
from elman.tasks.language_modelling.feeding import Feed, Feeding, check_feed
from elman.tasks.language_modelling.pace import Pace
from elman.tasks.language_modelling.turns import decoder_of, row_in
from elman.tasks.language_modelling.writers import (
    Alternatives,
    Tokens,
    Writer,
    WritingRequest,
    check_writing,
)
from elman.tasks.listening import Listener, Memory, Unit, Work

LEAST = 16  # tokens of a feed that are read in a round, if it is read
CHUNK = 256  # tokens of a prompt that are read in a round, at most


class TextListener(Listener):
    """Sessions of a language model.

    `options` has `chunk`: tokens of a prompt that are read in a round, at most; and `int8`: whether the weights become
    bytes, if the model's can.
    """

    writes: ClassVar[bool] = True
    completes: ClassVar[bool] = True

    def __init__(self, run: Trained, options: Mapping[str, Any]) -> None:
        self.model, self.tokenizer = run.model, run.tokenizer
        self.chunk = options.get("chunk", CHUNK)
        self.int8 = bool(options.get("int8")) and why_not_native(self.model, int8=True) is None
        self.arenas = HeldReaders(self.model, arena_of, arena_of(self.model, int8=self.int8))
        self.symbol = cache(self.tokenizer.symbol)
        self.text = cache(lambda token: self.tokenizer.decode([token]))
        self.banned = [] if self.tokenizer.unk is None else [self.tokenizer.unk]
        self._turns: dict[Work, Feeding | Writer] = {}
        self._reading, self._writing = Pace(LEAST), Pace()

    def begin(self) -> Memory:
        """Nothing was read."""
        return Memory((), {})

    @property
    def like(self) -> State:
        """An arena's row."""
        with torch.inference_mode():
            hidden, state = self.model.read([[0]])
        return state, hidden[:, -1]

    def about(self) -> dict[str, Any]:
        """The tokens."""
        kind = self.tokenizer.kind
        size = self.tokenizer.vocab_size
        return {"reads": "text", "whole": False, "tokenizer": kind, "vocabulary": size, "int8": self.int8}

    def check_memory(self, memory: Memory) -> None:
        """That the entries which a position says to be in use are there, and that a text can go on."""
        last, unfinished = memory.notes.get("last"), memory.notes.get("unfinished", "")
        try:
            begun = bytes.fromhex(unfinished)
            able = last is None or (isinstance(last, int) and 0 <= last < self.tokenizer.vocab_size)
            able = able and StreamDecoder(self.tokenizer, last, begun).unfinished == begun
        except (TypeError, ValueError):
            able = False
        sizes, window = set(entry_counts(memory.state)), getattr(self.model, "window", None)
        slots = max(sizes, default=0)
        for position in (int(x) for x in leaves(memory.state) if not x.is_floating_point()):
            used = position if window is None else min(position, window - 1)
            able = able and 0 <= position <= memory.position and len(sizes) == 1 and used == slots
        if not able:
            raise UserError("state", expected="a memory of this model", got="one that is at odds with itself")

    def check(self, kind: str, asked: Mapping[str, Any]) -> Feed | WritingRequest:
        """A feed of a text or tokens, or the options of a text to write."""
        request = check_feed(self.tokenizer, asked) if kind == "feed" else check_writing(asked)
        check_interventions(self.model, request.interventions)
        return request

    def size(self, request: Feed | WritingRequest) -> int:
        """Tokens that are read, or written."""
        return len(request.ids) if isinstance(request, Feed) else request.options.tokens

    @torch.inference_mode()
    def round(self, works: Sequence[Work]) -> None:
        """Read a piece of each feed, and write some tokens of each text."""
        turns = [self._turns.get(work) or self._begin(work) for work in works]
        feeds = [turn for turn in turns if isinstance(turn, Feeding)]
        writers = [turn for turn in turns if isinstance(turn, Writer)]
        try:
            if feeds:
                self._read(feeds)
            if writers:
                self._write(writers)
        except Exception:  # whatever was done in the slots, each work goes on from where it was
            for turn in turns:
                self._return(turn)
            raise
        for work in works:
            if work.done:
                self.leave(work)

    def _return(self, turn: Feeding | Writer) -> None:
        """After a failure: a work that is done leaves, and one that cannot be where it was has failed, too."""
        try:
            if not turn.work.done:
                turn.return_to(turn.work.memory)
        except Exception as error:
            turn.work.error = UserError(f"the model failed on what it had read ({type(error).__name__})")
        if turn.work.done:
            self.leave(turn.work)

    @torch.inference_mode()
    def leave(self, work: Work) -> None:
        """Free the work's slot; a text that was not finished is told as far as it was written."""
        turn = self._turns.pop(work, None)
        if turn is None:
            return
        if not work.done:
            turn.keep()
            if isinstance(turn, Writer):
                turn.cancel()
                work.answer = turn.answer()
        turn.arena.release(turn.slot)

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """The text that each token completes."""
        return list(map(StreamDecoder(self.tokenizer).push, units))

    def _begin(self, work: Work) -> Feeding | Writer:
        """Give a work a slot."""
        request, memory, eod = work.request, work.memory, self.tokenizer.eod
        arena = self.arenas(request)
        slot, decoder = arena.admit(row_in(memory)), decoder_of(self.tokenizer, memory)
        turn: Feeding | Writer
        if isinstance(request, Feed):
            starts = request.options.text is not None and not memory.state and eod is not None
            turn = Feeding(work, arena, slot, decoder, [eod, *request.ids] if starts else [*request.ids])
        else:
            if not memory.state:
                start = self.tokenizer.start
                arena.read([slot], [[start]])
                decoder.previous = start
                work.units.append(start)
                work.memory = Memory(arena.row(slot), {"last": start, "unfinished": ""}, memory.position + 1)  # type: ignore[arg-type]
            numbers = uniform_stream(request.seed, step=request.told.drawn)
            turn = Writer(work, arena, slot, decoder, self.symbol, numbers)
        self._turns[work] = turn
        return turn

    def _read(self, feeds: Sequence[Feeding]) -> None:
        """A piece of each feed, or of the first ones where there are too many; and the answers of those that end."""
        amount, eod = self._reading.amount(), self.tokenizer.eod
        share = min(self.chunk, max(LEAST, amount // len(feeds)))
        feeds = feeds[: max(1, amount // share)]
        begun, pieces = time.perf_counter(), {feed: feed.next(share, eod) for feed in feeds}
        for (arena, scored), together in together_by(
            feeds, lambda feed: (feed.arena, feed.work.request.options.surprise)
        ):
            scores = self._read_together(arena, together, [pieces[feed] for feed in together], scored=scored)
            for feed, score in zip(together, scores, strict=True):
                feed.take(pieces[feed], score)
        self._reading.took(time.perf_counter() - begun, sum(map(len, pieces.values())))
        self._answer([feed for feed in feeds if feed.done])

    def _read_together(
        self, arena: Arena, feeds: Sequence[Feeding], pieces: Sequence[Sequence[int]], *, scored: bool
    ) -> list[list[float]]:
        """Read; of each feed, the log-probability of each token if they are asked for, NaN where there is none."""
        eod, resets = self.tokenizer.eod, {}
        for place, (feed, piece) in enumerate(zip(feeds, pieces, strict=True)):
            if piece and piece[0] == eod and feed.has_read:  # a new document, foreseen by the one before
                resets[place] = float(arena.logits([feed.slot]).log_softmax(-1)[0, piece[0]])
                arena.reset(feed.slot)
        slots = [feed.slot for feed in feeds]
        if not scored:
            arena.read(slots, pieces)
            return [[] for _ in feeds]
        scores = [score.tolist() for score in arena.score(slots, pieces)]
        for place, value in resets.items():
            scores[place][0] = value
        return scores

    def _answer(self, feeds: Sequence[Feeding]) -> None:
        """What is told of feeds that have ended."""
        answers = {feed: feed.answer(self.tokenizer.count_unknown(feed.ids)) for feed in feeds}
        telling = [feed for feed in feeds if feed.work.request.options.top and feed.work.memory.state]
        for arena, together in together_by(telling, lambda feed: feed.arena):
            most = max(feed.work.request.options.top for feed in together)
            for feed, likely in zip(together, self._likely(arena, [f.slot for f in together], most), strict=True):
                answers[feed]["next"] = likely[: feed.work.request.options.top]
        for feed, answer in answers.items():
            if feed in telling and not answer["next"]:
                feed.work.error = self._no_probabilities()
            else:
                feed.work.answer = answer

    def _likely(self, arena: Arena, slots: Sequence[int], top: int) -> list[Alternatives]:
        """The most probable next tokens of each slot; none where the memory is not of numbers."""
        log_p = arena.logits(slots).double().log_softmax(-1)
        best = log_p.topk(min(top, log_p.shape[-1]))
        values, ids, told = best.values.tolist(), best.indices.tolist(), []
        for row, tokens in zip(values, ids, strict=True):
            able = bool(np.isfinite(row[0]))
            told.append([self._alternative(*pair) for pair in zip(tokens, row, strict=True)] if able else [])
        return told

    def _alternative(self, token: int, log_p: float) -> dict[str, Any]:
        return {"token": self.symbol(token), "text": self.text(token), "id": token, "probability": float(np.exp(log_p))}

    def _write(self, writers: Sequence[Writer]) -> None:
        """Some tokens of each text, as many as the pace allows."""
        drawn: dict[Writer, Tokens] = {}
        for (arena, telling), together in together_by(
            writers, lambda w: (w.arena, bool(w.work.request.told.log_probabilities))
        ):
            begun, most = time.perf_counter(), self._writing.amount(len(together))
            drawn |= self._draw(arena, together, most, telling=telling)
            self._writing.took(time.perf_counter() - begun, max(len(drawn[w].ids) for w in together), len(together))
        for writer in writers:
            if drawn[writer].failed:
                writer.work.error = self._no_probabilities()
            else:
                writer.take(drawn[writer], self.tokenizer.eod)

    def _draw(self, arena: Arena, writers: Sequence[Writer], most: int, *, telling: bool) -> dict[Writer, Tokens]:
        """At most so many tokens of each text; those that end sooner leave."""
        drawn = {writer: Tokens() for writer in writers}
        left = {writer: min(writer.left, most) for writer in writers}
        numbers = {writer: writer.numbers(left[writer]) for writer in writers}
        due, done = [w for w in writers if left[w]], 0
        while due:
            steps = 1 if telling else min(left[w] for w in due) - done
            slots = [w.slot for w in due]
            if telling:
                told = max(w.work.request.told.log_probabilities for w in due)
                for writer, likely in zip(due, self._likely(arena, slots, told), strict=True):
                    drawn[writer].top.append(likely[: writer.work.request.told.log_probabilities])
            draws = [w.draw(numbers[w][done : done + steps]) for w in due]
            tokens, log_p, counts = arena.write(slots, draws, steps, banned=self.banned, end=self.tokenizer.eod)
            done += steps
            for writer, ids, values, count in zip(due, tokens.tolist(), log_p.tolist(), counts.tolist(), strict=True):
                drawn[writer].add(ids, values, count, self.tokenizer.eod)
            due = [w for w in due if left[w] > done and not drawn[w].ended]
        return drawn

    def _no_probabilities(self) -> UserError:
        what = "the session's memory gives no token a probability: it does not hold numbers (NaN)"
        return UserError(what, remedy="roll back, or begin another session")

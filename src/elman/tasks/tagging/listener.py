"""A tagger that many sessions speak to: words go in as they come, and tags come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman.data.spans import spans_of
from elman.data.textfile import mended
from elman.errors import UserError
from elman.settings import Section
from elman.tasks.exchange import NONE, Trained
from elman.tasks.hearing import (
    CHUNK,
    TOGETHER,
    Asked,
    FeedRequest,
    check_notes,
    most_probable,
    one_form,
    read_due,
    went_on,
)
from elman.tasks.holding import HeldReaders
from elman.tasks.listening import Listener, Memory, Unit, Work
from elman.tasks.tagging.answers import DIGITS, words_in
from elman.tasks.tagging.inference import Said, joined, tag_on, tag_sentences

LONGEST = 4096  # words of a sentence that is read again at every feed


class Words(Asked):
    """The next words of a sentence."""

    text: str | None = None  # parted by white space
    tokens: list[str] | None = None


class WholeNotes(Section):
    """What a model remembers that reads the sentence again: all of it."""

    tokens: list[str]


class OpenNotes(Section):
    """What a causal model remembers beside its state: the words and tags of a span that may go on."""

    tokens: list[str]
    tags: list[str]


class TagListener(Listener):
    """A tag for each word: of the new words where the model is causal, else of all words again.

    A causal model remembers its state, and the words and tags of a span that may go on; another one all words.
    """

    def __init__(self, run: Trained, options: Mapping[str, Any] = NONE) -> None:
        self.run, self.chunk = run, int(options.get("chunk", CHUNK))
        self.runs = HeldReaders(run.model, run.with_model)

    @property
    def whole(self) -> bool:
        """Whether all words are read again."""
        return not self.run.model.causal

    def begin(self) -> Memory:
        """A sentence without a word."""
        notes: dict[str, Any] = {"tokens": []} if self.whole else {"tokens": [], "tags": []}
        return Memory(() if self.whole else self.run.model.initial_state(1), notes)

    def check(self, kind: str, asked: Mapping[str, Any]) -> FeedRequest:
        """The words of {"text"}, {"tokens"} or {"units"}, all of which the vocabulary can look up."""
        form, words = one_form(kind, Words, asked, ("text", "tokens"), self.run.model)
        given = words_in(words.text)[0] if form == "text" else getattr(words, form)
        for at, word in enumerate(given, 1):
            if not isinstance(word, str) or not word:
                raise UserError(f"{form}: word {at}", expected="a text that is not empty", got=repr(word)[:40])
        units = [mended(word) for word in given]
        self.run.words.encode(units)  # one of another framework may have no number for a word
        return FeedRequest(units, top=words.top, interventions=words.set)

    def round(self, works: Sequence[Work]) -> None:
        """Read a piece of each work, or of some works all words again."""
        read_due(works, self.chunk, self._read_on, self._read_again if self.whole else None)

    def _read_again(self, works: Sequence[Work]) -> None:
        tokens = [[*work.memory.notes["tokens"], *work.request.units] for work in works]
        if (longest := max(map(len, tokens))) > LONGEST:
            remedy = "begin a new session for the next sentence"
            raise UserError("a sentence", expected=f"at most {LONGEST:,} words", got=f"{longest:,}", remedy=remedy)
        found = tag_sentences(self.runs(works[0].request), tokens, TOGETHER)
        for work, words, said in zip(works, tokens, found, strict=True):
            went_on(work, (), {"tokens": words}, work.request.units)
            work.answer = self._answer(work, words, said, 0, said.tags)

    def _read_on(self, works: Sequence[Work]) -> None:
        pieces = [work.request.units[len(work.units) :][: self.chunk] for work in works]
        due = [(work, piece) for work, piece in zip(works, pieces, strict=True) if piece]
        if due:
            run = self.runs(works[0].request)
            said, states = tag_on(run, [piece for _, piece in due], [work.memory.state for work, _ in due])
            for (work, piece), one, state in zip(due, said, states, strict=True):
                work.request.said.append(one)
                before = work.memory.notes
                notes = self._open_span([*before["tokens"], *piece], [*before["tags"], *one.tags])
                went_on(work, state, notes, piece)
        for work in works:
            if not work.request.left(work):
                self._say_new(work, work.request)

    def _say_new(self, work: Work, request: FeedRequest) -> None:
        assert request.before is not None
        open_, said = request.before.notes, joined(request.said, len(self.run.tags.names))
        words, tags = [*open_["tokens"], *request.units], [*open_["tags"], *said.tags]
        work.answer = self._answer(work, words, said, request.before.position - len(open_["tags"]), tags)

    def _open_span(self, tokens: list[str], tags: list[str]) -> dict[str, Any]:
        """The notes of a causal model: the words and tags since the last span began, if it may go on."""
        scheme = self.run.tags.scheme
        spans = [] if scheme is None else spans_of(tags, scheme)
        start = spans[-1].start if spans and spans[-1].stop == len(tags) else len(tags)
        return {"tokens": tokens[start:], "tags": tags[start:]}

    def _answer(self, work: Work, words: list[str], said: Said, first: int, tags: list[str]) -> dict[str, Any]:
        """What is said of the last words of `words`, the first of which is the sentence's word `first`."""
        new, names = words[len(words) - len(said.tags) :], self.run.tags.names
        rows = [dict(zip(names, row, strict=True)) for row in said.probabilities.round(DIGITS).tolist()]
        answer: dict[str, Any] = {
            "position": work.memory.position,
            "from": work.memory.position - len(new),
            "tokens": new,
            "tags": [
                {
                    "token": token,
                    "tag": tag,
                    "probability": row[tag],
                    "probabilities": most_probable(row, work.request.top),
                }
                for token, tag, row in zip(new, said.tags, rows, strict=True)
            ],
            "unknown": self.run.words.encode(new).count(self.run.words.unknown),
        }
        if (scheme := self.run.tags.scheme) is not None:
            answer["spans"] = [
                {"label": label, "start": first + start, "stop": first + stop, "text": " ".join(words[start:stop])}
                for label, start, stop in spans_of(tags, scheme)
            ]
        return answer

    def text_of(self, units: Sequence[Unit]) -> list[str]:
        """The words, each with the blank that parts it from the next."""
        return [f"{word} " for word in units]

    def check_memory(self, memory: Memory) -> None:
        """Words, and tags of the training."""
        check_notes(memory, WholeNotes if self.whole else OpenNotes)
        notes = memory.notes
        self.run.words.encode(notes["tokens"])
        if self.whole and len(notes["tokens"]) != memory.position:
            raise UserError("the memory's tokens", expected=f"{memory.position:,}", got=f"{len(notes['tokens']):,}")
        if not self.whole and (
            len(notes["tokens"]) != len(notes["tags"]) or not {*notes["tags"]} <= {*self.run.tags.names}
        ):
            raise UserError("the memory's tags", expected="one of the model's for each token", got="others")

    def about(self) -> dict[str, Any]:
        """Tags and vocabularies."""
        run = self.run
        return {
            "reads": "text",
            "whole": self.whole,
            "longest": LONGEST if self.whole else None,
            "bidirectional": not getattr(run.model, "encoder", run.model).causal,
            "crf": run.model.crf_layer is not None,
            "tags": list(run.tags.names),
            "scheme": run.tags.scheme,
            "vocabulary": {"words": len(run.words), "characters": len(run.characters)},
        }

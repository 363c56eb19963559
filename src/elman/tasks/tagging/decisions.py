"""What each word, and each character of a word, did to the tags that a tagger gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.arrays import Floats
from elman.data.word_batches import read_characters
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.look import Part
from elman.lens.erasure import SentenceWords, erase_characters, hide_words
from elman.report import Chapter, Figure, choice, heatmap, text_strip
from elman.report.figure import number
from elman.tasks.tagging.subject import TaggedSubject

LEAST = 0.05  # nats, below which no effect is told
TEXT = (
    "Each word is hidden in turn, and the sentence tagged again: the difference of log p of a tag, in nats, is what "
    "that word did to the tag."
)
OF_CHARACTERS = (
    " Each character is left out of its word likewise: the difference is what the character did to the word's own tag."
)
BY_WORDS = (
    "A row is a tag, a column a word: orange where the word spoke for the tag, blue where it spoke against it. The "
    "diagonal is what a word did to its own tag."
)
BY_CHARACTERS = (
    "Orange characters spoke for the tag of their word, blue ones against it. A word that the tagger knows by itself "
    "needs its characters little."
)


def look_at_decisions(subject: TaggedSubject) -> Part:
    """What words and characters did to the tags of some sentences."""
    by_word: dict[str, Figure] = {}
    by_character: dict[str, Figure] = {}
    numbers: dict[str, Any] = {}
    lines: list[str] = []
    spelt = bool(subject.model.character_size)
    for at, row in enumerate(subject.shown(), 1):
        batch, tokens = subject.batch([row]), subject.references[row].tokens
        sentence = SentenceWords(batch.words[0], batch.spelling[0], batch.characters)
        best = subject.model.tag(batch.words, batch.spelling, batch.characters, batch.lengths)[0].tolist()
        said = [subject.tags.symbol(tag) for tag in best]
        effects = hide_words(subject.model, sentence, subject.unknown or 0)
        text = " ".join(tokens)
        title, button = beginning(text, TITLE), f"{at}: {beginning(text)}"
        by_word[button] = _by_words(title, tokens, said, effects)
        lines.append(f"{title}: {_strongest(tokens, said, effects)}")
        numbers[f"{at}: {text}"] = kept = {"tags": said, "words": effects}
        if spelt:
            found = erase_characters(subject.model, sentence)
            by_character[button] = _by_characters(title, tokens, found)
            kept["characters"] = found
    figures = [choice(by_word, title="What each word did to each tag")]
    if spelt:
        figures.append(choice(by_character, title="What each character did to the tag of its word"))
    return Part(Chapter("Decisions", TEXT + OF_CHARACTERS * spelt, figures, lines), numbers, lines)


def _by_words(title: str, tokens: Sequence[str], said: Sequence[str], effects: Floats) -> Figure:
    rows = [f"{token} {tag}" for token, tag in zip(tokens, said, strict=True)]
    return heatmap(effects, title=title, reading=BY_WORDS, x="word", y="tag", rows=rows, columns=tokens, wide=True)


def _by_characters(title: str, tokens: Sequence[str], effects: Sequence[Floats]) -> Figure:
    pieces, values = [], []
    for token, found in zip(tokens, effects, strict=True):
        pieces += [*read_characters(token), " "]
        values += [*found.tolist(), 0.0]
    return text_strip(pieces, np.array(values), title=title, reading=BY_CHARACTERS)


def _strongest(tokens: Sequence[str], said: Sequence[str], effects: Floats) -> str:
    """The other word that did most to a tag, in words."""
    others = np.abs(effects) * (1 - np.eye(len(tokens)))
    if others.max() < LEAST:
        return f"no word changed log p of the tag of another by {LEAST} nats"
    t, s = divmod(int(others.argmax()), len(tokens))
    did = "raised" if effects[t, s] > 0 else "lowered"
    return f"“{tokens[s]}” {did} {said[t]} of “{tokens[t]}” by {number(float(others[t, s]))} nats"


def hides_nothing(subject: TaggedSubject) -> str | None:
    """Why no word can be hidden from the model, or None."""
    return "the model has no unknown word, which could stand for a hidden one" if subject.unknown is None else None

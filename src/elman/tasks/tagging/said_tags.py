"""A tagger's tags beside the true ones: what it confuses, and where its spans are others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elman.data.spans import TagSpan, mark, spans_of
from elman.data.vocabulary import TagSet
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.confusion import confusion_map, most_confused
from elman.inspection.look import Part
from elman.metrics.classification import confusion
from elman.report import Chapter, Figure, choice, span_text
from elman.tasks.tagging.objective import evaluate, tagged
from elman.tasks.tagging.subject import TaggedSubject

SHOWN, MISTAKEN = 8, 5  # sentences that are drawn, and of them how many are those with the most mistakes
MOST_WORDS = 60  # of a sentence that is drawn


@dataclass(frozen=True)
class SaidSentence:
    """A sentence with the spans that are true and those that the model says; without a scheme, every tag is a span."""

    tokens: Sequence[str]
    tags: Sequence[str]
    said: Sequence[str]
    true_spans: Sequence[TagSpan]
    said_spans: Sequence[TagSpan]
    scheme: str | None

    @property
    def wrong(self) -> int:
        """How many spans are missed, or said where they are not; of single tags, how many are wrong."""
        missed, said = set(self.true_spans) - set(self.said_spans), set(self.said_spans) - set(self.true_spans)
        return len(missed) + (len(said) if self.scheme else 0)  # a wrong tag is both

    @property
    def short_title(self) -> str:
        """How the sentence begins, and whether all of it is right, else how much is wrong."""
        return f"{beginning(' '.join(self.tokens))} {f'✗ {self.wrong}' if self.wrong else '✓'}"


def look_at_tags(subject: TaggedSubject) -> Part:
    """The tags of all sentences beside the true ones."""
    every = _said(subject)
    scores = evaluate(subject.model, subject.part, subject.references, subject.tags)
    truth, said = (
        [_label(tag, subject.tags) for tags in sentences for tag in tags]
        for sentences in ([one.tags for one in every], [one.said for one in every])
    )
    names, matrix = confusion(truth, said, list(dict.fromkeys(_label(tag, subject.tags) for tag in subject.tags.names)))
    spans = "spans" if subject.tags.scheme else "tags"
    shown = [every[row] for row in chosen([one.wrong for one in every], [len(one.tokens) for one in every])]
    figures = [
        confusion_map(names, matrix, f"Confusion of the {'labels' if subject.tags.scheme else 'tags'} of words"),
        choice(
            {f"{at}: {one.short_title}": _drawn(one, names) for at, one in enumerate(shown, 1)},
            title=f"The true and the said {spans}",
            reading=f"The {spans} that are both true and said are filled. A dashed border in the upper row is missed, "
            "in the lower row it is said and not true. The sentences with the most mistakes come first.",
        ),
    ]
    words = f"{scores['accuracy']:.2f} % of {len(truth):,} tags are right"
    summary = f"{words}, span F1 {scores['span_f1']:.2f}" if "span_f1" in scores else words
    lines = [line for line in (most_confused(names, matrix),) if line]
    numbers = {
        **{name: value for name, value in scores.items() if name != "tags"},
        "confusion": {"labels": names, "matrix": matrix},
        "sentences": [{"tokens": one.tokens, "true": one.tags, "said": one.said} for one in shown],
    }
    text = "The tags that the model gives to sentences whose tags are known."
    return Part(Chapter("Tags", text, figures, [summary, *lines]), numbers, lines, f"{summary}.")


def chosen(wrong: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Sentences to draw, of those that are short enough: the most mistaken first, then others, evenly spread.

    >>> chosen([0, 3, 1, 0, 2], [4, 99, 4, 4, 4])
    [4, 2, 0, 3]
    """
    fitting = [row for row, length in enumerate(lengths) if length <= MOST_WORDS]
    fitting = fitting or [int(np.argmin(lengths))]
    mistaken = sorted((row for row in fitting if wrong[row]), key=lambda row: -wrong[row])[:MISTAKEN]
    others = [row for row in fitting if row not in mistaken]
    spread = np.unique(np.linspace(0, len(others) - 1, min(SHOWN - len(mistaken), len(others))).astype(int))
    return [*mistaken, *(others[at] for at in spread)]


def _said(subject: TaggedSubject) -> list[SaidSentence]:
    """All sentences, in their order."""
    found: dict[int, SaidSentence] = {}
    for read in tagged(subject.model, subject.part):
        for row, numbers in zip(read.rows.tolist(), read.said, strict=True):
            tokens, tags = subject.references[row]
            said = [subject.tags.symbol(number) for number in numbers]
            true_spans, said_spans = (_spans(names, subject.tags) for names in (tags, said))
            found[row] = SaidSentence(tokens, tags, said, true_spans, said_spans, subject.tags.scheme)
    return [found[row] for row in range(len(found))]


def _spans(names: Sequence[str], tags: TagSet) -> list[TagSpan]:
    if tags.scheme is None:
        return [TagSpan(name, at, at + 1) for at, name in enumerate(names)]
    return spans_of(names, tags.scheme)


def _label(tag: str, tags: TagSet) -> str:
    """The label of the span that a tag is a part of, or "O"; the tag itself where tags spell no spans."""
    if tags.scheme is None:
        return tag
    letter, label = mark(tag, tags.scheme)
    return label or letter


def _drawn(one: SaidSentence, labels: Sequence[str]) -> Figure:
    return span_text(
        one.tokens,
        {"true": one.true_spans, "said": one.said_spans},
        labels=labels,
        title=beginning(" ".join(one.tokens), TITLE),
        reading=f"{'Missed, or said and not true' if one.scheme else 'Wrong'}: {one.wrong}."
        if one.wrong
        else "All are right.",
    )

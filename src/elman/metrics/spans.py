"""Scores of tags: token accuracy, and F1 of the spans that tags spell, by the package seqeval in both of its modes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from elman.errors import UserError, missing_extra

Tags = Sequence[Sequence[str]]  # of sentences

SCHEMES = {"IOB1": "IOB1", "IOB2": "IOB2", "BIOES": "IOBES"}  # as seqeval calls them


def tag_accuracy(meant: Tags, said: Tags) -> float:
    """The percentage of tokens with the right tag.

    >>> tag_accuracy([["A", "B"], ["B", "C"]], [["A", "B"], ["B", "B"]])
    75.0
    """
    _check(meant, said)
    right = sum(a == b for pair in zip(meant, said, strict=True) for a, b in zip(*pair, strict=True))
    return 100 * right / sum(map(len, meant))


def span_scores(meant: Tags, said: Tags, scheme: str) -> dict[str, Any]:
    """Scores of spans, in per cent: a span is right as a whole or not at all, and all spans count alike (micro).

    Tags are O, or a letter of the scheme (IOB1, IOB2 or BIOES) and a label. seqeval's strict mode takes a span only
    where its tags keep to the scheme; its lenient mode takes those that the script conlleval takes. Tjong Kim Sang and
    Buchholz 2000, "Introduction to the CoNLL-2000 shared task: chunking".

    Returns:
        `span_f1`, `span_precision` and `span_recall` (strict), `span_f1_lenient`, `span_scorer`, and `labels`: the
        strict scores of each label, and how many `spans` it has. F1 is None where no span is meant and none is said.

    Raises:
        UserError: seqeval is not installed, or there is nothing to score.

    >>> meant, said = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "O"]]
    >>> scores = span_scores(meant, said, "IOB2")
    >>> scores["span_precision"], scores["span_recall"], scores["labels"]["LOC"]["f1"]
    (100.0, 50.0, 0.0)
    """
    check_installed()
    from seqeval import metrics
    from seqeval import scheme as schemes
    from seqeval.metrics import v1

    _check(meant, said)
    both = [[list(tags) for tags in sentences] for sentences in (meant, said)]
    # `mode="strict"` without a scheme, and a scheme without the mode, would be lenient without a word.
    strict = {"scheme": getattr(schemes, SCHEMES[scheme]), "zero_division": 0}
    micro = v1.precision_recall_fscore_support(*both, average="micro", **strict)
    each = zip(*v1.precision_recall_fscore_support(*both, average=None, **strict), strict=True)
    labels = sorted(set().union(*(schemes.Entities(tags, strict["scheme"]).unique_tags for tags in both)))
    spelt = any(tag != "O" for sentences in both for tags in sentences for tag in tags)
    precision, recall, f1 = (100 * float(value) for value in micro[:3])
    return {
        "span_f1": f1 if labels else None,
        "span_f1_lenient": 100 * float(metrics.f1_score(*both, zero_division=0)) if spelt else None,
        "span_precision": precision,
        "span_recall": recall,
        "span_scorer": f"seqeval {version('seqeval')}, {scheme}",
        "labels": {
            label: {"f1": 100 * float(f), "precision": 100 * float(p), "recall": 100 * float(r), "spans": int(spans)}
            for label, (p, r, f, spans) in zip(labels, each, strict=True)
        },
    }


def is_installed() -> bool:
    """Whether the package is there that scores spans."""
    return find_spec("seqeval") is not None


def check_installed() -> None:
    """See that spans can be scored. Errors: `UserError` without seqeval."""
    if not is_installed():
        raise missing_extra("seqeval", "spans", "scores of spans")


def _check(meant: Tags, said: Tags) -> None:
    if [*map(len, meant)] != [*map(len, said)] or not any(meant):
        got = f"{sum(map(len, said))} tags for {sum(map(len, meant))} tokens"
        raise UserError("tags to score", expected="one for each token of the same sentences", got=got)

"""The scores of a tagger on tagged sentences: its loss, the accuracy of its tags, and F1 of the spans they spell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from elman.data.spans import in_bioes
from elman.data.tagged import TaggedSentence
from elman.errors import UserError
from elman.metrics import spans
from elman.metrics.spans import span_scores, tag_accuracy
from elman.metrics.words import words
from elman.tasks.exchange import Evaluation, Progress, Say, Sources, Trained
from elman.tasks.tagging.corpus import sentences
from elman.tasks.tagging.objective import encode, tagged
from elman.tasks.tagging.settings import Evaluating

NAMED = 5  # tags that the model does not know


def evaluate_tags(run: Trained, data: Sources, options: Evaluating, say: Say, progress: Progress) -> Evaluation:
    """Score every sentence. A tag that the training did not have has no loss, counts as missed, and is named.

    Raises:
        UserError: there are no such sentences, or the model knows none of their tags.
    """
    part, name = sentences(run, data)
    encoded = encode(part, run)
    if not encoded.targets:
        expected, got = ", ".join(run.tags.names[:NAMED]), part[0].tags[0]
        remedy = "give data with the tags of the training"
        raise UserError(f"the model knows no tag of {name}", expected=f"such as {expected}", got=got, remedy=remedy)
    said: list[list[str]] = [[] for _ in part]
    nats, done = 0.0, 0
    for read in tagged(run.model, encoded, options.batch):
        nats += float(read.nats.sum())
        for row, found in zip(read.rows.tolist(), read.said, strict=True):
            said[row] = [run.tags.symbol(tag) for tag in found]
            done += len(found)
        progress("tagging", done / int(encoded.lengths.sum()))
    meant = [sentence.tags for sentence in part]
    unknown = Counter(tag for tags in meant for tag in tags if tag not in run.tags)
    report = {
        "loss": nats / encoded.targets,
        "accuracy": tag_accuracy(meant, said),
        **_spans(run, meant, said, say),
        **_unseen(run, part, said),
        "tags": sum(map(len, meant)),
        "sentences": len(part),
        "unknown_tags": dict(unknown),
    }
    return Evaluation(report, _lines(report))


def _spans(run: Trained, meant: Sequence[Sequence[str]], said: Sequence[Sequence[str]], say: Say) -> dict[str, Any]:
    scheme = run.tags.scheme
    if scheme is None:
        return {}
    if not spans.is_installed():
        say("without seqeval there is no F1 of spans: pip install 'elman[spans]'")
        return {}
    letters = scheme if scheme in spans.SCHEMES else "BIOES"
    spelt = [[in_bioes(tags, scheme) for tags in both] for both in (meant, said)]
    return span_scores(spelt[0], spelt[1], letters)


def _unseen(run: Trained, part: Sequence[TaggedSentence], said: Sequence[Sequence[str]]) -> dict[str, Any]:
    """How many words the model does not know, and the percentage of them with the right tag."""
    right = [
        tag == found
        for sentence, tags in zip(part, said, strict=True)
        for word, tag, found in zip(run.words.encode(sentence.tokens), sentence.tags, tags, strict=True)
        if word == run.words.unknown
    ]
    return {"unknown_words": len(right), "accuracy_unknown_words": 100 * sum(right) / len(right) if right else None}


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("loss", f"{words(report['loss'])} nats a tag"),
        ("accuracy", f"{report['accuracy']:.2f} % of {report['tags']:,} tags in {report['sentences']:,} sentences"),
    ]
    if report["unknown_words"]:
        accuracy = report["accuracy_unknown_words"]
        lines.append(("unknown words", f"{report['unknown_words']:,}, {accuracy:.2f} % of their tags right"))
    if "span_f1" in report:
        for name, title, mode in (("span_f1", "span F1", "strict"), ("span_f1_lenient", "lenient span F1", "lenient")):
            value = "none: there is no span" if report[name] is None else f"{report[name]:.2f} %"
            lines.append((title, f"{value}  {report['span_scorer']}, {mode} mode"))
    if unknown := report["unknown_tags"]:
        named = ", ".join(f"{tag} ({count:,})" for tag, count in list(unknown.items())[:NAMED])
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        lines.append(("unknown tags", f"{named}{more}: the training had none of them, so that all are missed"))
    return lines

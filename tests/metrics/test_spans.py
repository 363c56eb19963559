"""Scores of spans: both modes of seqeval, and the cases in which it goes wrong by itself."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.spans import in_bioes, mended, spans_of
from elman.errors import UserError
from elman.metrics.spans import span_scores, tag_accuracy

TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=4, max_size=4)


def f1(meant: list[list[str]], said: list[list[str]]) -> float | None:
    """Of spans as they are defined: sets of what is meant and of what is said."""
    found = [{(at, *span) for at, tags in enumerate(part) for span in spans_of(tags, "IOB2")} for part in (meant, said)]
    total = len(found[0]) + len(found[1])
    return 200 * len(found[0] & found[1]) / total if total else None


@given(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=4))
def test_f1_is_that_of_the_sets_of_spans(pairs: list[tuple[list[str], list[str]]]) -> None:
    meant, said = ([list(pair[side]) for pair in pairs] for side in (0, 1))
    assert span_scores(meant, said, "IOB2")["span_f1_lenient"] == pytest.approx(f1(meant, said))
    right = [[list(mended(tags, "IOB2")) for tags in part] for part in (meant, said)]
    assert span_scores(*right, "IOB2")["span_f1"] == pytest.approx(f1(*right))


def test_the_strict_mode_is_strict() -> None:
    """seqeval is lenient without a word where the mode or the scheme is missing."""
    meant, said = [["B-A", "I-A", "O", "B-B"]], [["B-A", "I-A", "O", "I-B"]]
    found = span_scores(meant, said, "IOB2")
    assert found["span_f1"] == pytest.approx(200 / 3)
    assert (found["span_precision"], found["span_recall"]) == (100, 50)
    assert found["span_f1_lenient"] == 100
    assert re.fullmatch(r"seqeval [\d.]+, IOB2", found["span_scorer"])
    assert found["labels"]["B"] == {"f1": 0, "precision": 0, "recall": 0, "spans": 1}


def test_bilou_is_converted_first() -> None:
    """In its lenient mode, seqeval takes U for no span, and L for a new one: one of two right would be none."""
    meant, said = [["B-A", "L-A", "U-B"]], [["B-A", "L-A", "O"]]
    spelt = [[in_bioes(tags, "BILOU") for tags in part] for part in (meant, said)]
    found = span_scores(*spelt, "BIOES")
    assert found["span_f1"] == found["span_f1_lenient"] == pytest.approx(200 / 3)


def test_without_a_span_there_is_no_f1() -> None:
    found = span_scores([["O", "O"]], [["O", "O"]], "IOB2")
    assert (found["span_f1"], found["span_f1_lenient"], found["labels"]) == (None, None, {})
    assert span_scores([["O", "B-A"]], [["O", "O"]], "IOB2")["span_f1"] == 0
    assert span_scores([["O", "O"]], [["O", "B-A"]], "IOB2")["span_f1"] == 0


def test_a_label_that_is_only_meant_counts_as_missed() -> None:
    found = span_scores([["B-A", "B-NEW"]], [["B-A", "O"]], "IOB2")
    assert found["span_recall"] == 50
    assert found["labels"]["NEW"]["spans"] == 1


def test_what_cannot_be_scored_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for meant, said in (([], []), ([[]], [[]]), ([["O"]], [["O", "O"]]), ([["O"]], [])):
        with pytest.raises(UserError, match="tags to score: expected one for each token"):
            tag_accuracy(meant, said)
        with pytest.raises(UserError, match="tags to score: expected one for each token"):
            span_scores(meant, said, "IOB2")
    monkeypatch.setitem(sys.modules, "seqeval", None)
    monkeypatch.setattr("elman.metrics.spans.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"scores of spans need the package 'seqeval'.*elman\[spans\]"):
        span_scores([["O"]], [["O"]], "IOB2")

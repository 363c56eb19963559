"""Schemes of spans, against seqeval and against all sequences of few tags."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as schemes
from seqeval.metrics.sequence_labeling import get_entities

from elman.data.spans import (
    LETTERS,
    TagSpan,
    allowed_transitions,
    breaks,
    completed,
    in_bioes,
    mended,
    recognise_scheme,
    spans_of,
    tags_of,
)
from elman.data.vocabulary import Scheme

ALL: list[Scheme] = list(LETTERS)
STRICT = {"IOB1": schemes.IOB1, "IOB2": schemes.IOB2, "BIOES": schemes.IOBES, "BILOU": schemes.BILOU}


def every_tag(scheme: Scheme, labels: str = "AB") -> list[str]:
    return ["O", *(f"{letter}-{label}" for label in labels for letter in LETTERS[scheme])]


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[TagSpan], int]:
    """Spans that do not overlap, and the length of their sentence."""
    spans, at = [], 0
    for _ in range(draw(st.integers(0, 4))):
        start = at + draw(st.integers(0, 2))
        at = start + draw(st.integers(1, 3))
        spans.append(TagSpan(draw(st.sampled_from(["A", "B", "a-b"])), start, at))
    return spans, at + draw(st.integers(0, 2))


@given(sentences(), st.sampled_from(ALL))
def test_tags_spell_spans_and_spans_are_read_from_tags(sentence: tuple[list[TagSpan], int], scheme: Scheme) -> None:
    spans, length = sentence
    tags = tags_of(spans, length, scheme)
    assert len(tags) == length
    assert spans_of(tags, scheme) == spans
    assert breaks(tags, scheme) == []
    assert mended(tags, scheme) is tags


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_spans_are_those_of_seqeval_for_all_tags(scheme: Scheme, length: int) -> None:
    """Leniently for every sequence; and for one that keeps to its scheme, its strict mode reads the same spans."""
    for tags in product(every_tag(scheme), repeat=length):
        found = spans_of(tags, scheme)
        spelt = in_bioes(tags, scheme)
        assert [(label, start, stop - 1) for label, start, stop in found] == get_entities(spelt)
        as_it_should_be = mended(tags, scheme)
        assert spans_of(as_it_should_be, scheme) == found
        assert not breaks(as_it_should_be, scheme)
        if scheme in STRICT and not breaks(tags, scheme):
            strict = schemes.Entities([list(tags)], STRICT[scheme]).entities[0]
            assert found == [TagSpan(each.tag, each.start, each.end) for each in strict]


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_allowed_paths_are_those_that_spell_spans(scheme: Scheme, length: int) -> None:
    """A sequence is allowed, step by step, where it is what its own spans are spelt as."""
    tags = every_tag(scheme)
    allowed = allowed_transitions(tags, scheme)
    for path in product(range(len(tags)), repeat=length):
        steps = zip((len(tags), *path), (*path, len(tags)), strict=True)
        names = [tags[at] for at in path]
        assert all(allowed[step] for step in steps) == (tags_of(spans_of(names, scheme), length, scheme) == names)


def test_i_never_follows_o() -> None:
    tags = ["O", "B-A", "I-A"]
    assert not allowed_transitions(tags, "IOB2")[0, 2]
    assert not allowed_transitions(tags, "IOB2")[3, 2]
    assert allowed_transitions(tags, None).all()


@given(st.lists(sentences(), min_size=1, max_size=5), st.sampled_from(ALL))
def test_a_scheme_is_recognised_by_its_tags(drawn: list[tuple[list[TagSpan], int]], scheme: Scheme) -> None:
    """Or another one in which the same tags spell the same spans."""
    tagged = [tags_of(spans, length, scheme) for spans, length in drawn]
    found = recognise_scheme(tagged)
    if not any(spans for spans, _ in drawn):
        assert found is None
        return
    assert found is not None
    assert [spans_of(tags, found) for tags in tagged] == [spans for spans, _ in drawn]


@pytest.mark.parametrize(
    "tags",
    [
        ["NOUN", "O"],
        ["O", "O"],
        [],
        ["B-A", "NOUN"],
        ["B-A", "I"],
        ["B-A", "X-A"],
        ["B-A", "E-A", "L-A"],
        ["20", "0"],
        ["O", "I", "E", "O", "E", "B", "B"],
    ],
)
def test_other_tags_are_of_no_scheme(tags: list[str]) -> None:
    assert recognise_scheme([tags]) is None


def test_few_wrong_tags_do_not_hide_a_scheme() -> None:
    right = [["B-A", "I-A", "O", "B-A", "B-A"]] * 9
    assert recognise_scheme([*right, ["O", "I-A"]]) == "IOB2"
    assert recognise_scheme([["I-A", "I-A", "O", "I-A", "B-A"]] * 9 + [["O", "B-A"]]) == "IOB1"


def test_a_sentence_of_any_length_has_an_allowed_path() -> None:
    for scheme in ALL:
        letters = LETTERS[scheme]
        tags = completed([f"{letter}-A" for letter in letters], scheme)
        allowed = allowed_transitions(tags, scheme)
        assert any(allowed[len(tags), at] and allowed[at, len(tags)] for at in range(len(tags)))
        assert completed(["O", "B-A"], scheme) == ["O", "B-A"]

"""Taggers that many sessions speak to: every answer is that of the sentence alone, whoever else is heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman.data.spans import spans_of
from elman.errors import UserError
from elman.lens.places import memory_of
from elman.runs import Run
from elman.serve import Sessions
from elman.tasks.listening import Work
from elman.tasks.tagging.inference import tag_sentences
from elman.tasks.tagging.listener import LONGEST
from foreign_models import FOREIGN, VOCABULARY, Reader
from memories import in_float64, memory_over, same_memory
from sessions import Session, alone, close, imported, speak

SLOTS = [(["play", "Chico", "Buarque", "now"], ["O", "B-artist", "I-artist", "O"])] * 3
SLOTS += [(["at", "noon", "play", name], ["O", "B-time", "O", "B-artist"]) for name in ("Elis", "Gal", "Tom", "#")]
SLOTS += [(["wait", word], ["O", "O"]) for word in ("here", "there", "now", "a", "the")]
WORDS = sorted({word for words, _ in SLOTS for word in words} | {"unseen", "é"})
SMALL = {"min_count": 1, "embedding_size": 6, "character_size": 4, "hidden_size": 8, "num_layers": 1, "batch_words": 16}
KINDS: dict[str, dict[str, Any]] = {
    "causal lstm": {"model": "lstm", "crf": False, "bidirectional": False},
    "causal transformer": {"model": "transformer", "crf": False, "is_causal": True},
    "windowed transformer": {"model": "transformer", "crf": False, "is_causal": True, "window": 3},
    "both directions": {"model": "gru", "crf": False},
    "both directions and CRF": {"model": "lstm"},
    "CRF after one direction": {"model": "elman", "crf": True, "bidirectional": False},
    "transformer": {"model": "transformer", "crf": False, "is_causal": False},
}
IMPORTED = {
    "imported, both directions": FOREIGN["tagging"].make,
    "imported, causal": lambda: Reader(13, nn.LSTM(6, 10, 2, batch_first=True), 3, False),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    place = tmp_path_factory.mktemp("taggers")
    tokens, tags = map(list, zip(*SLOTS, strict=True))
    made = {}
    for at, (name, options) in enumerate(KINDS.items()):
        if options["model"] == "transformer":
            options = {"num_heads": 2, **options}
        made[name] = elman.fit(tokens, tags, out=place / str(at), task="tagging", budget="3 steps", **SMALL, **options)
    torch.manual_seed(3)
    for name, make in IMPORTED.items():
        made[name] = imported(
            "tagging", make().eval(), place / name.replace(" ", "-"), tokenizer=VOCABULARY, labels=["O", "B-X", "I-X"]
        )
    return made


def expected(run: Run, words: list[str]) -> list[dict[str, Any]]:
    """What `elman predict --json` says of each word."""
    (answer,) = run.answers([words])
    record = answer.record
    return [
        {"token": token, "tag": tag, "probability": shares[tag], "probabilities": shares}
        for token, tag, shares in zip(record["tokens"], record["tags"], record["probabilities"], strict=True)
    ]


PIECES = st.lists(st.lists(st.sampled_from(WORDS), max_size=5), min_size=1, max_size=4)


@pytest.mark.parametrize("kind", [*KINDS, *IMPORTED])
@given(st.lists(st.tuples(PIECES, st.integers(0, 3)), min_size=1, max_size=4), st.sampled_from([1, 3, 256]))
@settings(max_examples=15, deadline=None)
def test_every_answer_is_that_of_the_sentence_alone(
    runs: dict[str, Run], kind: str, given_pieces: list[tuple[list[list[str]], int]], chunk: int
) -> None:
    run = runs[kind]
    listener = run.task.listener(run, {"chunk": chunk})
    sessions = [
        Session(
            [("feed", {"tokens": piece} if at % 2 else {"text": " ".join(piece)}) for at, piece in enumerate(pieces)],
            begins,
        )
        for pieces, begins in given_pieces
    ]
    speak(listener, sessions)
    for session, (pieces, _) in zip(sessions, given_pieces, strict=True):
        words: list[str] = []
        for piece, answer in zip(pieces, session.told, strict=True):
            words += piece
            first = 0 if listener.whole else len(words) - len(piece)
            wanted = expected(run, words)
            assert (answer["position"], answer["from"]) == (len(words), first)
            assert answer["tokens"] == words[first:]
            close(answer["tags"], wanted[first:])
            assert answer["unknown"] == run.words.encode(words[first:]).count(run.words.unknown)
            spans = [(s.label, s.start, s.stop) for s in spans_of([each["tag"] for each in wanted], run.tags.scheme)]
            told = [(each["label"], each["start"], each["stop"]) for each in answer["spans"]]
            assert told == [span for span in spans if span in told or span[2] > first]
            assert all(each["text"] == " ".join(words[each["start"] : each["stop"]]) for each in answer["spans"])
        assert session.units == words
        assert "".join(listener.text_of(session.units)).split() == words


@given(st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", "E-x", "S-x"]), max_size=12), st.data())
def test_the_spans_of_a_causal_model_are_those_of_all_tags(
    runs: dict[str, Run], tags: list[str], data: st.DataObject
) -> None:
    """Whatever tags the model says: what it remembers of an open span is enough."""
    listener = runs["causal lstm"].task.listener(runs["causal lstm"])
    kept, found, at = {"tokens": [], "tags": []}, set(), 0
    while at < len(tags):
        piece = tags[at : at + data.draw(st.integers(1, 4))]
        first, at = at - len(kept["tags"]), at + len(piece)
        before = [*kept["tags"], *piece]
        found = {span for span in found if span[1] < first}
        found |= {(s.label, first + s.start, first + s.stop) for s in spans_of(before, "IOB2")}
        kept = listener._open_span([*kept["tokens"], *piece], before)
    assert sorted(found, key=lambda span: span[1]) == [(s.label, s.start, s.stop) for s in spans_of(tags, "IOB2")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "feed: expected one of text, tokens, units, got none"),
        ({"text": "a", "tokens": ["a"]}, "got text and tokens"),
        ({"txt": "a"}, "did you mean 'text'"),
        ({"tokens": ["a", ""]}, "tokens: word 2: expected a text that is not empty, got ''"),
        ({"units": ["a", 5]}, "units: word 2"),
        ({"tokens": "a"}, "tokens: expected a valid list"),
        ({"text": 5}, "text: expected a valid string, got 5"),
        ({"text": "a", "top": -1}, "top: expected greater than or equal to 0"),
    ],
)
def test_what_is_asked_is_checked(runs: dict[str, Run], asked: dict[str, Any], message: str) -> None:
    listener = runs["causal lstm"].task.listener(runs["causal lstm"])
    with pytest.raises(UserError, match=message):
        listener.check("feed", asked)
    with pytest.raises(UserError, match="a model that writes"):
        listener.check("generate", {})


@pytest.mark.parametrize("kind", ["causal transformer", "both directions"])
def test_a_session_that_fails_harms_itself_alone(runs: dict[str, Run], kind: str) -> None:
    listener = runs[kind].task.listener(runs[kind])
    text = {"text": "play Gal now"}
    works = [Work("feed", listener.check("feed", text), listener.begin()) for _ in range(5)]
    bad = works[3]
    if listener.whole:
        bad.memory = bad.memory._replace(notes={"tokens": ["a"] * LONGEST}, position=LONGEST)
    else:
        bad.memory = bad.memory._replace(state=torch.zeros(1, 2))
    before = bad.memory
    for _ in range(20):
        listener.round([work for work in works if not work.done])
    assert bad.memory is before
    assert bad.units == []
    assert ("at most 4,096 words" if listener.whole else "does not fit the model") in str(bad.error)
    (wanted,) = alone(listener, ("feed", text)).told
    for work in works[:3] + works[4:]:
        close(work.answer, wanted)


def test_a_word_without_a_number_is_refused(tmp_path: Path) -> None:
    """An imported model whose numbers of words are all that is known of them."""
    torch.manual_seed(0)
    run = imported("tagging", FOREIGN["tagging"].make().eval(), tmp_path / "bare")
    listener = run.task.listener(run)
    (told,) = alone(listener, ("feed", {"text": "3 11 4"})).told
    assert told["tokens"] == ["3", "11", "4"]
    with pytest.raises(UserError, match="expected one of the vocabulary's 13, got 'cat'"):
        listener.check("feed", {"text": "3 cat"})


def test_few_probabilities_and_what_a_client_wants_to_know(runs: dict[str, Run]) -> None:
    run = runs["both directions and CRF"]
    listener = run.task.listener(run)
    (told,) = alone(listener, ("feed", {"text": "play Gal", "top": 2})).told
    for each in told["tags"]:
        assert len(each["probabilities"]) == 2
        assert max(each["probabilities"].values()) == next(iter(each["probabilities"].values()))
    facts = listener.about()
    assert (facts["tags"], facts["crf"], facts["bidirectional"], facts["whole"]) == (
        [*run.tags.names],
        True,
        True,
        True,
    )
    other = runs["CRF after one direction"]
    facts = other.task.listener(other).about()
    assert (facts["crf"], facts["bidirectional"], facts["whole"]) == (True, False, True)


@pytest.mark.parametrize("kind", [*KINDS, *IMPORTED])
def test_what_is_watched_is_what_the_whole_sentence_does(runs: dict[str, Run], kind: str) -> None:
    run = in_float64(runs[kind])
    words = [WORDS[at % len(WORDS)] for at in range(9)]
    part = memory_of(run.model)
    expected = memory_over(part, lambda: tag_sentences(run, [words], 100))
    with Sessions(run) as sessions:
        session = sessions.create(tokens=words[:4])
        session.checkpoint()  # a memory to go on from
        session.feed(tokens=words[4:])
        for begin in (0, 3, 4, 7):
            found = session.watch(begin=begin, unit=1, units=[0, 3])
            assert found["tags"] == tag_sentences(run, [words], 100)[0].tags[begin:]
            same_memory(found, expected, begin, units=[0, 3], unit=1)

"""A corpus of tagged sentences: its parts, its vocabularies, and its batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data.lanes import NOT_COUNTED
from elman.data.tagged import Layout, TaggedSentence
from elman.data.tagged_corpus import TaggedCorpus, count_breaches, learn, prepare, split
from elman.data.vocabulary import PADDING, UNKNOWN, TagSet, Vocabulary
from elman.data.word_batches import MOST_CHARACTERS, EncodedSentences, Vocabularies, WordBatches, evaluation_batches
from elman.errors import UserError


def corpus(path: Path, text: str, **options: object) -> TaggedCorpus:
    path.write_text(text, encoding="utf-8")
    return prepare([str(path)], Layout("conll"), **options)  # type: ignore[arg-type]


def lines(numbers: range, tag: str = "N") -> str:
    return "".join(f"the DET\nw{number} {tag}\n\n" for number in numbers)


def test_equal_sentences_are_in_the_same_part_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    made = corpus(tmp_path / "a.conll", lines(range(200)) + lines(range(200)))
    assert not {s.tokens for s in made.train} & {s.tokens for s in made.valid}
    assert len(made.train) + len(made.valid) == 400
    assert 30 <= len(made.valid) <= 50
    assert corpus(tmp_path / "b.conll", lines(range(200)) + lines(range(200))).fingerprint == made.fingerprint
    assert corpus(tmp_path / "c.conll", lines(range(200)) + lines(range(199))).fingerprint != made.fingerprint


def test_the_vocabularies_are_those_of_the_training_part(tmp_path: Path) -> None:
    (tmp_path / "valid.conll").write_text("ü NEW\nthe DET\n")
    made = corpus(tmp_path / "a.conll", lines(range(9)) + "The DET\nend N\n", valid=[str(tmp_path / "valid.conll")])
    assert made.words.names[:3] == ("<unk>", "<pad>", "the")
    assert len(made.train) == 10
    assert made.words.encode(["THE", "ü", "<unk>", "<pad>"]) == [2, UNKNOWN, UNKNOWN, UNKNOWN]
    assert made.characters.encode("Tü") == [made.characters.names.index("T"), UNKNOWN]
    assert "NEW" not in made.tags
    assert made.tags.encode(["DET", "NEW"]) == [made.tags.names.index("DET"), NOT_COUNTED]
    counts = made.word_counts
    assert (counts[2], counts[UNKNOWN], counts.sum()) == (10, 0, 20)
    rare = corpus(
        tmp_path / "a.conll",
        lines(range(9)),
        valid=[str(tmp_path / "valid.conll")],
        min_count=2,
        further=lambda: ["w3", "US"],
    )
    assert rare.words.names == ("<unk>", "<pad>", "the", "w3", "US")
    assert rare.words.encode(["US", "us"]) == [4, UNKNOWN]


def test_given_vocabularies_are_kept(tmp_path: Path) -> None:
    own = learn([TaggedSentence(("x",), ("N",))])
    assert corpus(tmp_path / "a.conll", lines(range(9)), vocabularies=own).vocabularies == own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sentences; give lines with a token and its tag each"),
        ("# only a comment\n\n", "holds no sentences"),
        ("a N\nb V\n", "no sentence of .* is left for validation: expected different .*; give sentences with valid="),
        ("a N\nb V\n\n" * 9, "no sentence of .* is left for validation"),
        (lines(range(9), "DET"), "every token of .* has the tag 'DET': expected different tags; set data.column"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        corpus(tmp_path / "a.conll", text)


def test_tags_that_break_their_scheme_are_read_as_the_spans_that_they_mean() -> None:
    right = [TaggedSentence(("a", "b", "c"), ("B-X", "I-X", "O"))] * 9
    wrong = TaggedSentence(("a", "b"), ("O", "I-Y"))
    vocabularies = learn([*right, wrong])
    assert vocabularies.tags == TagSet(("O", "B-X", "I-X", "B-Y"), "IOB2")
    assert count_breaches([*right, wrong], vocabularies.tags) == (1, "a b")
    batch = EncodedSentences([wrong], vocabularies).batch(np.array([0]))
    assert batch.targets.tolist() == [[0, 3]]


TOKENS = st.lists(st.text("abcé", min_size=1, max_size=40), min_size=1, max_size=6)


@given(st.lists(TOKENS, min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 3))
def test_a_batch_has_every_word_in_its_place(drawn: list[list[str]], most: int, seed: int) -> None:
    part = [TaggedSentence(tuple(tokens), tuple("N" if len(t) > 2 else "V" for t in tokens)) for tokens in drawn]
    vocabularies = Vocabularies(
        Vocabulary(("<unk>", "<pad>", *dict.fromkeys(t for row in drawn for t in row))),
        Vocabulary(("<unk>", "<pad>", *"abc")),
        TagSet(("N",)),
    )
    encoded = EncodedSentences(part, vocabularies)
    assert encoded.targets == sum(tag == "N" for sentence in part for tag in sentence.tags)
    batches = WordBatches(encoded, most, seed)
    for epoch in (0, 1):
        plan = batches.plan(epoch)
        assert sorted(np.concatenate(plan).tolist()) == list(range(len(part)))
        for index, rows in enumerate(plan):
            batch = batches.batch(epoch, index)
            assert batch.words.numel() <= max(most, batch.lengths.max())
            assert len(batch.characters.unique(dim=0)) <= len(batch.characters)
            for row, at in enumerate(rows):
                check_row(part[at], vocabularies, batch, row)
    again = WordBatches(EncodedSentences(part, vocabularies), most, seed).batch(1, 0)
    assert all(torch.equal(a, b) for a, b in zip(again, batches.batch(1, 0), strict=True))
    in_order = [row for rows, _ in evaluation_batches(encoded, most) for row in rows.tolist()]
    assert sorted(in_order) == list(range(len(part)))


def check_row(sentence: TaggedSentence, vocabularies: Vocabularies, batch, row: int) -> None:  # type: ignore[no-untyped-def]
    n = len(sentence.tokens)
    assert batch.lengths[row] == n
    assert [vocabularies.words.symbol(number) for number in batch.words[row, :n].tolist()] == list(sentence.tokens)
    assert batch.targets[row, :n].tolist() == [0 if tag == "N" else NOT_COUNTED for tag in sentence.tags]
    assert (batch.words[row, n:] == PADDING).all()
    assert (batch.targets[row, n:] == NOT_COUNTED).all()
    assert (batch.spelling[row, n:] == 0).all()
    half = MOST_CHARACTERS // 2
    for token, spelling in zip(sentence.tokens, batch.spelling[row].tolist(), strict=False):
        kept = token if len(token) <= MOST_CHARACTERS else token[:half] + token[-half:]
        numbers = batch.characters[spelling].tolist()
        assert numbers[: len(kept)] == vocabularies.characters.encode(kept)
        assert set(numbers[len(kept) :]) <= {PADDING}


def test_epochs_group_sentences_anew() -> None:
    part = [TaggedSentence((f"w{n}",) * (1 + n % 7), ("N",) * (1 + n % 7)) for n in range(60)]
    batches = WordBatches(EncodedSentences(part, learn(part)), 16, seed=1)
    plans = [[sorted(rows.tolist()) for rows in batches.plan(epoch)] for epoch in (0, 1, 0)]
    assert plans[0] == plans[2]
    assert plans[0] != plans[1]


def test_sentences_are_split_by_their_tokens_alone() -> None:
    part = [TaggedSentence((f"w{n}",), ("N",)) for n in range(50)]
    other = [TaggedSentence((f"w{n}",), ("V",)) for n in reversed(range(50))]
    (_, first), (_, second) = split(part, "a"), split(other, "b")
    assert {s.tokens for s in first} == {s.tokens for s in second}

"""Lines in, lines out: order, batches, windows, alignments."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.tokenizers import CharTokenizer, WordTokenizer
from elman.decode.ancestral import greedy_search
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints
from elman.decode.translation import Beam, Sampling, TranslatedLine, Translator, translate
from elman.environment import torch_threads
from elman.errors import UserError
from encoder_decoders import Attentive

SOURCE, TARGET = CharTokenizer("abcd ", eod=True), CharTokenizer("xyz-", eod=True)


def translator(*, attention: bool = True, **options: Any) -> Translator:
    torch.manual_seed(3)
    model = Attentive(SOURCE.vocab_size, TARGET.vocab_size, attention=attention).double().eval()
    with torch.no_grad():
        model.logits.weight *= 6
    return Translator(model, SOURCE, TARGET, **options)


def test_a_line_is_what_the_search_finds_for_its_tokens() -> None:
    one = translator(search=Beam(4, 3, 0.6, 0.2))
    [line] = translate(one, ["abx"])
    ids = torch.tensor([[0, 1, 5, 6]])
    assert (SOURCE.unk, SOURCE.eod) == (5, 6)
    [found] = beam_search(
        one.model,
        ids,
        end=TARGET.eod or 0,
        beam=4,
        n_best=3,
        length_alpha=0.6,
        coverage_beta=0.2,
        constraints=Constraints(banned=[4]),
    )
    assert [x.text for x in line.candidates] == [TARGET.decode(y.tokens) for y in found]
    assert [(x.score, x.log_probability) for x in line.candidates] == [(y.score, y.log_probability) for y in found]
    assert line.text == line.candidates[0].text == "".join(line.candidates[0].tokens)
    assert (line.number, line.source, line.unknown) == (1, "abx", 1)
    assert line.source_tokens == ("a", "b", "<unk>", "<eod>")


lines = st.lists(st.text("abcd e", max_size=8), max_size=12)


def rounded(translations: Iterator[TranslatedLine]) -> list[Any]:
    return [
        (x.number, x.source, x.unknown, [(y.text, round(y.score, 9), y.tokens) for y in x.candidates])
        for x in translations
    ]


@settings(max_examples=30, deadline=None)
@given(lines, st.integers(1, 5), st.integers(1, 20), st.sampled_from([Beam(3, 2), Beam(1), Sampling(7, 2)]))
def test_neither_batch_nor_window_matters(lines: list[str], batch: int, window: int, search: Beam | Sampling) -> None:
    found = rounded(translate(translator(search=search, batch_size=batch), lines, window=window))
    assert found == rounded(translate(translator(search=search, batch_size=1), lines, window=1))
    assert [source for _, source, *_ in found] == lines
    assert [number for number, *_ in found] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("search", [Beam(3, 2), Sampling(7, 2)])
def test_batches_side_by_side_are_batches_one_by_one(search: Beam | Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["abc", "", "cab b", "a", "bb a c", "c", "ba"]
    threads, decode = set(), Translator._decode

    def noting(*arguments: Any) -> Iterator[Any]:
        threads.add(threading.get_ident())
        assert torch.get_num_threads() == (1 if together else 2)
        return decode(*arguments)

    monkeypatch.setattr(Translator, "_decode", noting)
    together = True
    with torch_threads(2):
        side_by_side = rounded(translator(search=search, batch_size=2)(lines))
        assert threading.get_ident() not in threads
        together = False
        assert rounded(translator(search=search)(lines)) == side_by_side
        assert torch.get_num_threads() == 2


def test_a_blank_line_stays_empty() -> None:
    blank, _, spaces = translate(translator(alignments=True), ["\n", "ab\r\n", "  "])
    assert (blank.source, blank.text, blank.source_tokens, spaces.text) == ("", "", (), "")
    assert blank.candidates[0].alignment == []


def test_lines_are_read_no_sooner_than_needed() -> None:
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield "abcd"[: number % 5]

    stream = translate(translator(batch_size=2), endless(), window=6)
    assert read == []
    assert [next(stream).number for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert len(read) == 6
    next(stream)
    assert len(read) == 12


def test_each_token_of_an_alignment_has_its_weights() -> None:
    one = translator(alignments=True, search=Beam(4, 4))
    for line in translate(one, ["abcd", "", "ab", "c"]):
        for candidate in line.candidates:
            assert candidate.alignment is not None
            assert len(candidate.alignment) == len(candidate.tokens)
            assert [len(row) for row in candidate.alignment] == [len(line.source_tokens)] * len(candidate.tokens)
            assert [sum(row) for row in candidate.alignment] == pytest.approx([1.0] * len(candidate.tokens))
    alone, batched = ([x.candidates[0].alignment for x in translate(one, lines)] for lines in (["ab"], ["ab", "dcba"]))
    assert torch.tensor(alone[0]).allclose(torch.tensor(batched[0]))


def test_no_alignment_where_there_is_no_attention() -> None:
    with pytest.raises(UserError, match="alignments: expected a model with attention, got one without"):
        list(translate(translator(attention=False, alignments=True), ["ab"]))


@settings(max_examples=30, deadline=None)
@given(lines, st.integers(1, 5), st.integers(1, 20), st.sampled_from([Beam(3, 2), Beam(1), Sampling(7, 2)]))
def test_a_source_too_long_stays_empty_and_changes_no_other(
    lines: list[str], batch: int, window: int, search: Beam | Sampling
) -> None:
    found = list(translate(translator(search=search, batch_size=batch, max_source=4), lines, window=window))
    short = [line for line in lines if len(line) < 4 or not line.strip()]
    assert [x.source for x in found] == lines
    assert [x.source for x in found if not x.error] == short
    for translation in (x for x in found if x.error):
        length = len(translation.source) + 1
        remedy = "split it, or raise the limit (--max-source)"
        assert translation.error == f"expected at most 4 tokens, got {length}; {remedy}"
        assert (translation.text, translation.source_tokens, len(translation.candidates)) == ("", (), 1)
    alone = [line if line in short else "" for line in lines]
    unlimited = rounded(translate(translator(search=search, batch_size=batch), alone, window=window))
    assert [x for x, one in zip(rounded(iter(found)), found, strict=True) if not one.error] == [
        x for x, one in zip(unlimited, found, strict=True) if not one.error
    ]


def test_a_prefix_begins_every_translation() -> None:
    found = list(translate(translator(prefix="z-x", search=Beam(3, 3)), ["ab", "c"]))
    assert all(x.text.startswith("z-x") for line in found for x in line.candidates)


def test_what_is_no_word_is_never_written() -> None:
    words = WordTokenizer.train(["x y\nz"], max_vocab=9, eod=True)
    torch.manual_seed(0)
    model = Attentive(SOURCE.vocab_size, words.vocab_size).eval()
    search = Sampling(1, 50, temperature=20.0)
    [line] = translate(Translator(model, SOURCE, words, search=search), ["abc"])
    written = {token for x in line.candidates for token in x.tokens}
    assert written == {words.symbol(i) for i in range(words.vocab_size)} - {"<unk>", "<eos>", "<eod>"}


def test_a_greedy_translation_is_greedy_search() -> None:
    one = translator(search=Beam(1))
    [found] = greedy_search(one.model, torch.tensor([[1, 6]]), end=5, constraints=Constraints(banned=[4]))
    assert next(translate(one, ["b"])).text == TARGET.decode(found.tokens)

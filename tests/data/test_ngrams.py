"""Words as n-grams: numbers that depend on the word alone, in any process, and files that are read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from elman.data.ngrams import MOST, WordNgrams, ngrams
from elman.errors import UserError


def test_words_that_share_characters_share_numbers() -> None:
    codec = WordNgrams()
    cats, cat, dog = codec.encode_array("cats cat dog")
    assert cats.shape == (MOST,)
    shared = len({*cats.tolist()} & {*cat.tolist()} - {0})
    assert shared == len({*ngrams("cats")} & {*ngrams("cat")}) == 3
    assert not {*dog.tolist()} & {*cat.tolist()} - {0}
    assert cat[: len(ngrams("cat"))].min() > 0
    assert not cat[len(ngrams("cat")) :].any()


def test_numbers_are_the_same_everywhere_and_below_the_size() -> None:
    """Python's own hash of strings is another one in every process."""
    assert WordNgrams().encode_array("a")[0, 0] == 17_516
    found = WordNgrams(7).encode_array("donaudampfschifffahrtsgesellschaft, or so!")
    assert found.shape == (5, MOST)
    assert found.max() < WordNgrams(7).vocab_size == 8
    assert (found[0] > 0).all()


def test_a_text_without_words_is_one_without_ngrams() -> None:
    for text in ("", " \n"):
        np.testing.assert_array_equal(WordNgrams().encode_array(text), np.zeros((1, MOST)))
    assert WordNgrams().words("Don't, (stop)") == ["Don't", ",", "(", "stop", ")"]


def test_the_file_is_read_back_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(WordNgrams(9).to_json()))
    assert WordNgrams.read(path) == WordNgrams(9)
    for wrong in ({"kind": "word", "buckets": 9}, {"kind": "ngrams", "buckets": 0}, {"kind": "ngrams"}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"tokenizer\.json is damaged"):
            WordNgrams.read(path)

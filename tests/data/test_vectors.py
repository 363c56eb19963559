"""Word vectors from text files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from elman.data.vectors import read_vectors, read_words, vector_size
from elman.errors import UserError

ROWS = "the 1 2\nUS 3 -4e-1\nnew york 5 6\nthe 7 8\n"


@pytest.mark.parametrize("head", ["", "4 2\n"])
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_words_and_their_numbers(tmp_path: Path, head: str, separator: str) -> None:
    path = tmp_path / "vectors.txt"
    rows = ROWS.replace("new york", "new_york").replace(" ", separator) if separator == "\t" else ROWS
    path.write_text(head + rows, encoding="utf-8")
    assert read_words(path)[:2] == ["the", "US"]
    assert vector_size(path) == 2
    vectors, known = read_vectors(path, ["The", "us", "US", "absent"])
    assert known.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(vectors, np.array([[1, 2], [0, 0], [3, -0.4], [0, 0]], np.float32))


def test_a_word_may_hold_spaces_and_a_file_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(ROWS.encode()))
    assert read_words(path) == ["the", "US", "new york"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a 1 2\nb 1\n", "line 2: expected a word and 2 numbers, got 'b 1'"),
        ("a 1 2\nb 1 x\n", "line 2: expected a word and 2 numbers"),
        ("a 1 nan\n", "line 1: expected a word and 2 numbers"),
        ("just words\n", "line 1: expected a word and its numbers"),
        ("", "no line"),
        ("3 2\n", "no line"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=match):
        read_words(path)

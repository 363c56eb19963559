"""Spans under a text: where they are, whose they are, and on what rows agree."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from elman.report import span_text

TOKENS = ["play", "my", "<b>", "now"]
ROWS = {
    "true": [("artist", 1, 3), ("time", 3, 4)],
    "said": [("artist", 1, 3), ("album", 0, 1)],
}


def columns() -> list[ET.Element]:
    figure = span_text(TOKENS, ROWS, labels=["album", "artist", "time"], title="t", reading="r")
    return list(ET.fromstring(figure.drawing))


def test_every_token_has_what_each_row_says_of_it() -> None:
    heads, *tokens = columns()
    assert [cell.text for cell in heads] == [None, "true", "said"]
    assert [token[0].text for token in tokens] == TOKENS
    said = [[cell.attrib.get("class", "").split() for cell in token[1:]] for token in tokens]
    assert said[0] == [[], ["c1", "begin", "end", "odd"]]
    assert said[1] == [["c2", "begin"], ["c2", "begin"]]
    assert said[2] == [["c2", "end"], ["c2", "end"]]
    assert said[3] == [["c3", "begin", "end", "odd"], []]
    assert [[cell.text for cell in token[1:]] for token in tokens] == [
        [None, "album"], ["artist", "artist"], [None, None], ["time", None],
    ]  # fmt: skip


def test_the_table_lists_the_spans() -> None:
    table = span_text(TOKENS, ROWS, labels=["artist"], title="t", reading="r").table
    assert table.headings == ["", "label", "true", "said"]
    assert table.rows == [("play", "album", "", "yes"), ("my <b>", "artist", "yes", "yes"), ("now", "time", "yes", "")]


def test_a_span_of_the_same_tokens_and_another_label_is_another() -> None:
    rows = {"true": [("a", 0, 1)], "said": [("b", 0, 1)]}
    figure = span_text(["x"], rows, labels=["a", "b"], title="t", reading="r")
    assert figure.drawing.count("odd") == 2
    assert len(figure.table.rows) == 2

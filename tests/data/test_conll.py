"""CoNLL and CoNLL-U: which lines are tokens, what is kept, and what is said of a line that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.conll import ColumnReader, TokenRows
from elman.data.tagged import Layout
from elman.errors import UserError


def read(text: str, layout: Layout | None = None, *, tagged: bool = True) -> list[TokenRows]:
    reader = ColumnReader(layout or Layout("conll"), tagged=tagged)
    pushed = [reader.push(line) for line in text.split("\n")]
    return [rows for rows in (*pushed, reader.finish()) if rows]


def tokens(text: str, layout: Layout | None = None, *, tagged: bool = True) -> list[list[tuple[str, ...]]]:
    """The tokens and tags of each sentence; no line is malformed."""
    found = read(text, layout, tagged=tagged)
    assert not [rows.error for rows in found if rows.error]
    return [list(zip(rows.tokens, rows.tags, strict=False)) for rows in found if rows.tokens]


def word(number: str, form: str, upos: str = "X") -> str:
    return "\t".join([number, form, form, upos, *"______"])


@given(
    st.lists(
        st.sampled_from(["a N", "b\tc V", "", " ", "# x = y", "-DOCSTART- -X-", "# NN", "a b c", "#x"]), max_size=12
    )
)
def test_every_line_is_kept_in_its_place(lines: list[str]) -> None:
    found = read("\n".join(lines))
    assert [line for rows in found for line in rows.lines] == "\n".join(lines).split("\n")
    first = 1
    for rows in found:
        assert rows.first == first
        first += len(rows.lines)
        for at, token in zip(rows.at, rows.tokens, strict=True):
            assert rows.lines[at].startswith(token)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\n", " \n\t\n"])
def test_a_blank_line_of_any_kind_parts_sentences(blank: str) -> None:
    assert tokens(f"a N\nb V\n{blank}\nc N") == [[("a", "N"), ("b", "V")], [("c", "N")]]


def test_documents_marks_and_comments_are_no_tokens() -> None:
    text = "-DOCSTART- -X- O O\n\n# id = 1\nEU NNP I-NP I-ORG\n-DOCSTART- -X- O O\n. . O O\n#end document\n"
    assert tokens(text) == [[("EU", "I-ORG")], [(".", "O")]]


def test_a_number_sign_is_a_token_where_it_has_the_columns_of_one() -> None:
    assert tokens("the DT O\n# NN B\n#9 CD I\n") == [[("the", "O"), ("#", "B"), ("#9", "I")]]
    assert tokens("#\tNN\n# a comment of spaces\tX") == [[("#", "NN"), ("# a comment of spaces", "X")]]
    assert tokens("a\tN\n\n# text = # is a sign\n#\tSYM") == [[("a", "N")], [("#", "SYM")]]


def test_tabs_part_columns_where_there_are_any_and_a_token_may_have_a_space() -> None:
    assert tokens('New York\tB-LOC\nNA\tO\nnull\tO\n"\tO') == [
        [("New York", "B-LOC"), ("NA", "O"), ("null", "O"), ('"', "O")]
    ]
    assert tokens("a  N \nb \tV") == [[("a", "N"), ("b", "V")]]
    assert tokens("a\u2028b N\nc\u00a0d V\n\u3000 X") == [[("a\u2028b", "N"), ("c\u00a0d", "V"), ("\u3000", "X")]]


@pytest.mark.parametrize(("column", "expected"), [(None, "D"), (2, "B"), (3, "C"), (-1, "D"), (-2, "C")])
def test_a_column_is_counted_from_one_or_from_the_end(column: int | None, expected: str) -> None:
    assert tokens("a B C D", Layout("conll", column)) == [[("a", expected)]]
    assert tokens("1 a C D", Layout("conll", 3, token_column=2)) == [[("a", "C")]]


@pytest.mark.parametrize("column", [0, 4, -4, "upos"])
def test_a_column_that_is_not_there_is_a_wrong_setting(column: int | str) -> None:
    with pytest.raises(UserError, match=r"data\.column: expected a number from 1 to 3, or from -3 to -1, got ") as told:
        read("a B C", Layout("conll", column))
    assert told.value.exit_code == 2
    with pytest.raises(UserError, match="did you mean 'upos'"):
        read(word("1", "a"), Layout("conllu", "upoz"))


def test_sentences_may_have_a_column_for_each_verb() -> None:
    """CoNLL 2012: all rows of a sentence have as many columns, where the tags' column is counted from the first."""
    text = "a N * (A)\nb V *\n"
    assert "expected 4 columns" in read(text, Layout("conll", 2))[0].error
    assert tokens("a N * (A)\nb V * *\n\nc N *\n", Layout("conll", 2)) == [[("a", "N"), ("b", "V")], [("c", "N")]]
    assert "expected 4 columns" in read("a N * (A)\n\nc N *\n")[1].error


def test_ranges_and_empty_nodes_are_no_tokens() -> None:
    rows = [
        word("1-2", "no", "_"),
        word("1", "em", "ADP"),
        word("2", "o", "DET"),
        word("2.1", "e", "_"),
        word("3", "fim", "NOUN"),
    ]
    text = "# text = no fim\n" + word("0.1", "e", "_") + "\n" + "\n".join(rows)
    assert tokens(text, Layout("conllu")) == [[("em", "ADP"), ("o", "DET"), ("fim", "NOUN")]]
    (found,) = read(text, Layout("conllu"))
    assert found.forms == [("no", 0, 2), ("fim", 2, 3)]
    assert found.at == [3, 4, 6]


@pytest.mark.parametrize(
    ("column", "expected"),
    [(None, "X"), ("lemma", "a"), ("misc", "Gloss=x=y|A=1|A=1"), (10, "Gloss=x=y|A=1|A=1"), (-2, "_")],
)
def test_any_column_of_conllu_has_tags(column: str | int | None, expected: str) -> None:
    row = word("1", "A").replace("\tA\tX", "\ta\tX").removesuffix("_") + "Gloss=x=y|A=1|A=1"
    assert tokens(row, Layout("conllu", column)) == [[("A", expected)]]


def test_columns_that_a_tool_has_added_to_conllu_are_let_be() -> None:
    """What `elman predict` writes can be evaluated, and predicted again."""
    reader = ColumnReader(Layout("conllu"))
    first, second = word("1", "Ja"), word("2", "Rio")
    added = "\n".join(["# text = Ja Rio", reader.added(first, "ADV"), reader.added(second, "PROPN"), ""])
    assert tokens(added, Layout("conllu")) == tokens(f"{first}\n{second}\n", Layout("conllu"))
    assert read(f"{added}\n{first}\n", Layout("conllu"))[1].error.startswith("expected 11 columns")


def test_a_comment_names_columns() -> None:
    text = "# global.columns = ID FORM UPOS MISC NER\n1\tJa\tADV\t_\tO\n2\tRio\tPROPN\t_\tB-LOC\n"
    text += "\n1-2\tno\t_\t_\t_\n1\tem\tADP\t_\tO\n2\to\tDET\t_\tO"
    assert [tag for rows in tokens(text, Layout("conll", "ner")) for _, tag in rows] == ["O", "B-LOC", "O", "O"]
    assert [tag for rows in tokens(text, Layout("conll")) for _, tag in rows] == ["ADV", "PROPN", "ADP", "DET"]


MALFORMED = {
    "a N\nb": (2, "expected 2 columns, parted by spaces, got 1; every token has as many"),
    "a\tN\nb V": (2, "expected 2 columns, parted by tabs, got 1"),
    "a\tN\nb\tV\tx": (2, "expected 2 columns, parted by tabs, got 3"),
    "a\tN\n\tV": (2, "expected a token in column 1, got nothing; write the token"),
    "a\tN\nb\t": (2, "expected a tag in column 2, got nothing; write the token's tag"),
    "# global.columns = ID\n1": (
        2,
        "expected a column 'form', got id; set data.token_column to the name or the number",
    ),
    "a\nb": (1, "expected a column of tokens and one of tags, got column 1 for both; set data.column"),
}
NUMBERED = {
    word("1", "a") + "\n" + word("3", "b"): (
        2,
        "expected word 2 in column 1, or a range of words or an empty node, got '3'",
    ),
    word("1", "a") + "\n" + word("1", "b"): (2, "got '1'; words are numbered from 1, and an empty line stands between"),
    word("2", "a"): (1, "expected word 1"),
    word("1", "a") + "\n" + word("#", "b"): (2, "got '#'"),
    word("1", "a") + "\n" + word("2-2", "b"): (2, "got '2-2'"),
    word("1", "a") + "\n" + word("3-4", "b"): (2, "got '3-4'"),
    word("1", "a") + "\n" + word("2.1", "b"): (2, "got '2.1'"),
    word("9" * 5000, "a"): (1, "expected word 1"),
    word("1", "a") + "\t": (1, "expected 10 columns, parted by tabs, got 11"),
    "1 a a X _ _ 0 _ _ _": (1, "expected 10 columns, parted by tabs, got 1"),
    "not a comment": (1, "expected 10 columns"),
}


@pytest.mark.parametrize("form", ["conll", "conllu"])
@pytest.mark.parametrize("after", ["", "\n\n"])
def test_a_malformed_line_is_named_with_what_was_expected(form: str, after: str) -> None:
    for text, (line, message) in (MALFORMED if form == "conll" else NUMBERED).items():
        found = read(f"\n{text}{after}", Layout(form))[0]  # type: ignore[arg-type]
        assert (found.fault, message in found.error) == (line + 1, True), (text, found.error)
        assert "; " in found.error, "what to do about it"


def test_a_malformed_sentence_does_not_stop_the_next() -> None:
    bad, good = read("a N\nb\nc d\n\ne V")
    assert (bad.fault, good.error, good.tokens) == (2, "", ["e"])


@pytest.mark.parametrize("text", ["a\nb\n\nc", "a N x\nb V y\n\nc N z"])
def test_tokens_alone_are_enough_where_no_tags_are_asked_for(text: str) -> None:
    found = read(text, Layout("conll", 9), tagged=False)
    assert [rows.tokens for rows in found] == [["a", "b"], ["c"]]
    assert not any(rows.tags for rows in found)


@pytest.mark.parametrize(
    ("line", "added", "replaced"),
    [
        ("a N", "a N T", "a T"),
        ("a  N ", "a  N  T", "a  T "),
        ("a\tN", "a\tN\tT", "a\tT"),
        ("x y\t\tN", "x y\t\tN\tT", "x y\t\tT"),
    ],
)
def test_a_row_takes_another_tag_and_keeps_all_else(line: str, added: str, replaced: str) -> None:
    reader = ColumnReader(Layout("conll"))
    reader.push(line)
    assert (reader.added(line, "T"), reader.replaced(line, "T")) == (added, replaced)
    alone = ColumnReader(Layout("conll"), tagged=False)
    alone.push("a")
    assert alone.added("a", "T") == "a\tT"

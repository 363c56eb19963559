from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from elman.data.corpus import MOST_ENDS, MOST_VALID, Survey, section, survey, tail_cut
from elman.data.textfile import TextPiece


def pieces_of(documents: list[list[str]]) -> list[TextPiece]:
    found = []
    for document in documents:
        found += [TextPiece(text, False, 0) for text in document] + [TextPiece("", True, 0)]
    return found


DOCUMENTS = st.lists(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4), max_size=5)


@given(DOCUMENTS, st.integers(0, 40), st.integers(0, 40))
def test_sections_partition_the_text(documents: list[list[str]], one: int, two: int) -> None:
    pieces = pieces_of(documents)
    whole = "".join(piece.text for piece in pieces)
    bounds = [0, *sorted((one, two)), max(len(whole), 40)]
    parts = [list(section(pieces, start, stop)) for start, stop in pairwise(bounds)]
    for part, start, stop in zip(parts, bounds[:-1], bounds[1:], strict=True):
        assert "".join(piece.text for piece in part) == whole[start:stop]
    assert sum(piece.ends for part in parts for piece in part) == len(documents)


@given(DOCUMENTS)
def test_the_digest_is_of_documents_not_of_pieces(documents: list[list[str]]) -> None:
    joined = [["".join(document)] for document in documents]
    found = survey(pieces_of(documents))
    assert found == survey(pieces_of(joined))
    assert found.documents == len(documents)
    assert found.ends[-1:] == ([found.characters] if documents else [])
    if len(documents) > 1:
        as_one = [[text for document in documents for text in document]]
        assert survey(pieces_of(as_one)).digest != found.digest


def test_many_ends_are_thinned() -> None:
    count = 3 * MOST_ENDS
    found = survey(piece for _ in range(count) for piece in (TextPiece("a", False, 0), TextPiece("", True, 0)))
    assert found.documents == count
    assert MOST_ENDS // 4 < len(found.ends) <= MOST_ENDS
    gaps = {right - left for left, right in pairwise(found.ends)}
    assert len(gaps) == 1, gaps
    assert tail_cut(found) in found.ends


@given(st.integers(0, 10**9))
def test_one_text_is_cut_at_nine_tenths(characters: int) -> None:
    cut = tail_cut(Survey("", characters, 1, [characters]))
    if characters <= 10 * MOST_VALID:
        assert cut == int(0.9 * characters)
    else:
        assert cut == characters - MOST_VALID


def test_a_document_at_the_end_that_is_too_large_is_cut() -> None:
    assert tail_cut(Survey("", 1000, 2, [100, 1000])) == 900
    assert tail_cut(Survey("", 1000, 3, [100, 930, 1000])) == 930
    assert tail_cut(Survey("", 1000, 3, [100, 860, 1000])) == 860

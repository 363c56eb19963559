"""The lines of n-best lists can be read back, whatever a model wrote."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elman import runs
from elman.cli import run as command
from elman.decode.translation import Candidate, TranslatedLine
from elman.tasks.exchange import Answer
from elman.tasks.translation.prediction import escape, record, text_lines

SPECIAL = ["\\", "|", " ||| ", "\n", "\r\n", "\v", "\x1c", "\x85", "\u2028", "n", "u000b", " ", "é", ""]
texts = st.lists(st.sampled_from(SPECIAL) | st.text(max_size=3), max_size=12).map("".join)


def candidate(text: str, score: float = -1.25) -> Candidate:
    return Candidate(text, score, 2 * score, (), None)


def unescape(field: str) -> str:
    """As the help describes it."""
    named = {"n": "\n", "r": "\r"}

    def meant(match: re.Match[str]) -> str:
        code, other = match.groups()
        return chr(int(code, 16)) if code else named.get(other, other)

    return re.sub(r"\\(?:u([0-9a-f]{4})|(.))", meant, field)


@given(st.lists(texts, min_size=2, max_size=4), st.integers(1, 10**9))
@example([" ||| ", "|||", "a |||", "||| a", "\\ ||| \\", "\\|", "", "\\n\n"], 1)
def test_every_field_of_an_nbest_line_can_be_had_back(found: list[str], number: int) -> None:
    translation = TranslatedLine(number, "s", (), 0, tuple(map(candidate, found)))
    printed = "\n".join(text_lines(translation, len(found)))
    assert len(printed.splitlines()) == printed.count("\n") + 1 == len(found)
    fields = [line.split(" ||| ") for line in printed.split("\n")]
    assert [(field[0], unescape(field[1]), field[2]) for field in fields] == [
        (str(number), text, "-1.2500") for text in found
    ]
    assert all(len(field) == 3 for field in fields)


@given(st.text(st.characters(exclude_characters="\\|\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=20))
def test_a_text_without_bars_or_escapes_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


def test_an_empty_line_of_each_form_for_what_could_not_be_translated() -> None:
    failed = TranslatedLine(7, "s", (), 0, (candidate("", 0.0),), "too long")
    assert list(text_lines(failed, 1)) == [""]
    assert list(text_lines(failed, 3)) == ["7 |||  ||| -inf"]
    assert record(failed, 5, 3) == {"line": 7, "source": "s", "error": "too long", "text": ""}


@pytest.mark.parametrize(("bad", "said"), [(0, []), (2, []), (10, []), (12, ["and 2 more"])])
def test_the_first_ten_are_named(
    bad: int, said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [Answer(n, "", [""], {}, "too long" if n <= bad else "") for n in range(1, 2001)]
    task = SimpleNamespace(options_of=lambda *asked: None, predict=lambda *asked: iter(answers))
    monkeypatch.setattr(runs, "load", lambda run: SimpleNamespace(task=task))
    (tmp_path / "lines.txt").write_text("a\n")
    assert command(["predict", "run", str(tmp_path / "lines.txt")]) == (1 if bad else 0)
    told = [f"{tmp_path / 'lines.txt'}, line {n}: too long" for n in range(1, min(bad, 10) + 1)] + said
    told += [f"elman: {bad} of 2,000 lines have no answer"] if bad else []
    assert capsys.readouterr().err.splitlines() == told

"""Scores of translations against the paper's formula and by hand."""

from __future__ import annotations

import math
import sys
from collections import Counter
from typing import Any

import pytest

from elman.errors import UserError
from elman.metrics.translation import bleu, chrf, exact_match, has_phrases, score, token_accuracy

HYPOTHESES = ["the cat sat on the mat", "a dog ran to the red house", "yes it is so"]
REFERENCES = ["the cat sat on a mat", "the dog ran to the red house today", "yes it is so"]


def papineni(hypotheses: list[str], references: list[str]) -> float:
    """BLEU with one reference, on words."""
    logs = []
    for n in range(1, 5):
        found = possible = 0
        for y, r in zip(hypotheses, references, strict=True):
            ngrams = [
                Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for words in (y.split(), r.split())
            ]
            found += (ngrams[0] & ngrams[1]).total()
            possible += ngrams[0].total()
        logs.append(math.log(found / possible))
    lengths = [sum(len(x.split()) for x in side) for side in (hypotheses, references)]
    return 100 * math.exp(min(0, 1 - lengths[1] / lengths[0]) + sum(logs) / 4)


def test_bleu_is_the_papers() -> None:
    value, signature = bleu(HYPOTHESES, REFERENCES)
    assert value == pytest.approx(papineni(HYPOTHESES, REFERENCES), rel=1e-6)
    assert "tok:13a" in signature
    assert bleu(REFERENCES, REFERENCES)[0] == pytest.approx(100)


def test_chrf() -> None:
    assert chrf(REFERENCES, REFERENCES)[0] == pytest.approx(100)
    assert 0 < chrf(HYPOTHESES, REFERENCES)[0] < 100
    assert "nc:6" in chrf(HYPOTHESES, REFERENCES)[1]


def test_all_of_them() -> None:
    report = score(HYPOTHESES, REFERENCES)
    assert set(report) == {"bleu", "bleu_signature", "chrf", "chrf_signature", "exact_match"}
    assert report["exact_match"] == pytest.approx(100 / 3)
    assert report["bleu"] == bleu(HYPOTHESES, REFERENCES)[0]


def test_without_sacrebleu_there_are_exact_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    assert score(HYPOTHESES, REFERENCES) == {"exact_match": pytest.approx(100 / 3)}
    with pytest.raises(UserError, match=r"pip install 'elman\[translate\]'"):
        bleu(HYPOTHESES, REFERENCES)


def test_nothing_is_said_of_full_stops_that_stand_alone(caplog: pytest.LogCaptureFixture) -> None:
    score(["a b ."] * 200, ["a b ."] * 200)
    assert not caplog.records


def test_tokens() -> None:
    assert token_accuracy([[1, 2], [], [3, 3, 3]], [[1, 3, 4], [7], [3]]) == pytest.approx(40)
    assert exact_match([[1, 2], [3]], [[1, 2], [3, 3]]) == 50


@pytest.mark.parametrize("metric", [score, bleu, chrf, exact_match, token_accuracy])
@pytest.mark.parametrize("pair", [([], []), (["a"], ["a", "b"])])
def test_nothing_to_score(metric: Any, pair: tuple[list[str], list[str]]) -> None:
    with pytest.raises(UserError, match="translations to score: expected one for each"):
        metric(*pair)


def test_bleu_needs_phrases_of_four_words() -> None:
    short, long = ["one two three", "four"], ["one two three", "one two three four"]
    assert not has_phrases(short)
    assert bleu(short, short)[0] == 0
    assert has_phrases(long)
    assert bleu(long, long)[0] == pytest.approx(100)

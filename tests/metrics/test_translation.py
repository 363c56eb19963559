"""Scores of translations against the paper's formula and by hand."""

from __future__ import annotations

import math
import sys
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest

from elman.compare.intervals import Sums, difference_over_blocks, over_blocks
from elman.errors import UserError
from elman.metrics.translation import (
    bleu,
    chrf,
    exact_match,
    has_phrases,
    score,
    score_of_sums,
    statistics,
    token_accuracy,
)

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


def disturbed(references: list[str], share: float, seed: int) -> list[str]:
    """Sentences of which so large a share of the words is another word, and some are shorter."""
    rng, words = np.random.default_rng(seed), ["the", "red", "cat", "sat", "down"]
    return [
        " ".join(
            str(rng.choice(words)) if rng.random() < share else word for word in line.split()[rng.random() < 0.2 :]
        )
        for line in references
    ]


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    rng = np.random.default_rng(7)
    words = ["a", "cat", "house", "tree", "sings", "runs", "sleeps", "quickly", "near", "under", "green", "old"]
    return [" ".join(rng.choice(words, rng.integers(1, 15))) for _ in range(400)]


@pytest.mark.parametrize("name", ["exact_match", "bleu", "chrf"])
@pytest.mark.parametrize("count", [1, 7, 400])
def test_the_score_of_all_sums_is_the_score_to_the_bit(sentences: list[str], name: str, count: int) -> None:
    references = sentences[:count]
    for share in (0.0, 0.2, 1.0):
        said = disturbed(references, share, seed=1)
        assert score_of_sums(name, statistics(said, references)[name].sum(0, keepdims=True)) == [
            score(said, references)[name]
        ]
    empty = [""] * count
    assert score_of_sums(name, statistics(empty, references)[name].sum(0, keepdims=True)) == [0]


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_the_bootstrap_is_that_of_sacrebleu(sentences: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its draws the same means, intervals and chance of the difference; on others nearly the same."""
    from sacrebleu.metrics import BLEU, CHRF
    from sacrebleu.significance import PairedTest

    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    made = [disturbed(sentences, share, seed) for share, seed in ((0.20, 1), (0.22, 2))]
    metric = BLEU(force=True) if name == "bleu" else CHRF()
    test = PairedTest([("one", made[0]), ("two", made[1])], {name: metric}, [sentences], "bs", n_samples=1000)
    [(_, [base, theirs])] = [(key, found) for key, found in test()[1].items() if key != "System"]
    counts = [statistics(said, sentences)[name] for said in made]
    rows = np.random.default_rng(12345).choice(len(sentences), size=(1000, len(sentences)), replace=True)
    drawn = np.stack([np.bincount(row, minlength=len(sentences)) for row in rows])
    first, second = (score_of_sums(name, drawn @ each) for each in counts)
    least, *_, most = np.sort(second)[25:-25]
    assert (np.mean(second), (most - least) / 2) == pytest.approx((theirs.mean, theirs.ci), rel=1e-5)  # theirs: float32
    gaps = np.abs(second - first)
    chance = (np.sum(gaps - gaps.mean() > abs(base.score - theirs.score)) + 1) / 1001
    assert chance == pytest.approx(theirs.p_value)

    sums = [Sums(each, partial(score_of_sums, name)) for each in counts]
    own = over_blocks(sums[1])
    assert own.middle == theirs.score
    assert (own.low, own.high) == pytest.approx(
        (theirs.mean - theirs.ci, theirs.mean + theirs.ci), abs=0.2 * float(theirs.ci)
    )
    gap, (low, high) = difference_over_blocks(*sums), np.quantile(first - second, (0.025, 0.975))
    assert (gap.low, gap.high) == pytest.approx((low, high), abs=0.2 * float(theirs.ci))

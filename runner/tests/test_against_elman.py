"""The runner's answers are those of the runs that were exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from elman.data.spans import spans_of as elman_spans
from elman_runner.spans import spans_of
from exported_runs import TEXT, exported

SENTENCES = [["the", "cat", "Paris"], ["a", "dog"], ["New", "York", "ran"]] * 20
TAGS = [["O", "O", "B-LOC"], ["O", "B-ANI"], ["B-LOC", "I-LOC", "O"]] * 20
TEXTS, LABELS = ["good great fine", "bad awful", "great good", "awful bad bad"] * 15, ["pos", "neg", "pos", "neg"] * 15
PAIRS = [(f"{a} {b} {c}", f"{a.upper()} {b.upper()}") for a in "abcdefgh" for b in "dehij" for c in "xyz"]


@pytest.mark.parametrize(
    ("model", "tokenizer"), [("lstm", "char"), ("transformer", "byte"), ("mingru", "word"), ("gru", "bpe")]
)
def test_text(tmp_path: Path, model: str, tokenizer: str) -> None:
    run, _, runner = exported(tmp_path, TEXT, model=model, tokenizer=tokenizer, lanes=4, k1=8)
    for options in (
        {"temperature": 1.0},
        {"temperature": 0},
        {"top_k": 5},
        {"top_p": 0.7},
        {"min_p": 0.1, "temperature": 2.0},
    ):
        for prompt in ("", "the c"):
            expected, end = run.generate(prompt, tokens=40, seed=7, **options)
            text, state = runner.generate(prompt, tokens=40, seed=7, **options)
            assert text == expected
            assert state[1:] == tuple(end)[1:]
    written, state = "", None
    for number, tokens in enumerate((7, 1, 0, 32)):  # the last options, in pieces
        more, state = runner.generate("" if number else "the c", state, tokens=tokens, seed=7, **options)
        written += more
    assert written == text


@pytest.mark.parametrize("options", [{}, {"crf": False, "bidirectional": False}])
def test_tags(tmp_path: Path, options: dict[str, Any]) -> None:
    run, _, runner = exported(tmp_path, SENTENCES, TAGS, task="tagging", **options)
    for sentence in ([*SENTENCES[0], "unheard-of"], ["x" * 40], ["THE", "Dög"]):
        said = runner.tag(sentence)
        [answer] = run.answers([sentence])
        assert said.tags == answer.result
        spans = [(span["label"], span["start"], span["stop"]) for span in answer.record["spans"]]
        assert runner.spans(said.tags) == spans
        expected = [[row[tag] for tag in runner.tags] for row in answer.record["probabilities"]]
        np.testing.assert_allclose(said.probabilities, expected, atol=1e-5)
        if runner.word_by_word:
            state, steps = None, []
            for word in sentence:
                one, state = runner.step(word, state)
                steps += one.tags
            assert steps == said.tags
    if not options:
        with pytest.raises(ValueError, match=r"^this model needs the whole sentence"):
            runner.step("the")


@pytest.mark.parametrize(
    ("inputs", "labels", "options"),
    [
        (TEXTS, LABELS, {"tokenizer": "ngrams"}),
        (TEXTS, LABELS, {"tokenizer": "word", "model": "gru", "bidirectional": False}),
        (TEXTS, [[label] for label in LABELS], {"tokenizer": "char"}),
        ([[[n, -n], [n % 3, None]] for n in range(60)], [float(n % 7) + n / 100 for n in range(60)], {}),
    ],
)
def test_labels(tmp_path: Path, inputs: list[Any], labels: list[Any], options: dict[str, Any]) -> None:
    run, _, runner = exported(tmp_path, inputs, labels, task="classification", **options)
    for given in inputs[:4]:
        [answer] = run.answers([given])
        said = runner.classify(given)
        if runner.kind == "number":
            assert [said.label, said.deviation] == pytest.approx(
                [answer.record["value"], answer.record["deviation"]], rel=1e-5
            )
        else:
            assert said.label == answer.result
            assert said.probabilities == pytest.approx(answer.record["probabilities"], abs=1e-5)
    if runner.causal and runner.texts:
        whole, state = runner.classify("good bad fine"), None
        for word in ("good", "bad", "fine"):
            said, state = runner.step(word, state)
        assert said.probabilities == pytest.approx(whole.probabilities, abs=1e-5)


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_translations(tmp_path: Path, model: str) -> None:
    run, _, runner = exported(tmp_path, PAIRS, model=model, tokenizer="word", budget="40 steps")
    lines = [source for source, _ in PAIRS[:3]] + ["a a a d d x unheard", "", "h"]
    for options in (
        {},
        {"beam": 1},
        {"beam": 4, "nbest": 4, "length_penalty": 0.0},
        {"nbest": 2, "max_length": 1},
        {"prefix": "E D"},
    ):
        for line, answer in zip(lines, run.predict(lines, **options), strict=True):
            found = [y.text for y in runner.predict(line, **options)]
            assert found == (answer if line and "nbest" in options else [answer] if isinstance(answer, str) else answer)
    for number, (line, answer) in enumerate(
        zip(lines, run.predict(lines, sample=True, seed=5, nbest=3, prefix="D"), strict=True), 1
    ):
        assert [y.text for y in runner.sample(line, seed=5, number=number, samples=3, prefix="D")] == answer
    with pytest.raises(ValueError, match="max_length: expected at least 2, for the shortest length and the prefix"):
        runner.predict("a d x", prefix="E D", max_length=1)


SCHEMES = ["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEWO"]


@hypothesis.given(
    st.lists(st.sampled_from(["O", "B", "NOUN", *(f"{letter}-{name}" for letter in "BIESLUMW" for name in "XY")]))
)
def test_spans_of_any_tags(tags: list[str]) -> None:
    for scheme in SCHEMES:
        assert spans_of(tags, scheme) == elman_spans(tags, scheme)


def test_a_forecaster_of_a_distribution_is_refused(tmp_path: Path) -> None:
    series = [float(step % 7) for step in range(60)]
    with pytest.raises(ValueError, match=r"which elman alone runs; train one with --set distribution=quantiles"):
        exported(tmp_path, _rows({"a": series}), task="forecasting", horizon=3, window=12, form="likelihood")


@pytest.mark.parametrize("options", [{"form": "segment", "window": 32}, {"form": "direct", "window": 24}])
def test_forecasts(tmp_path: Path, options: dict[str, Any]) -> None:
    series: dict[str, list[float | None]] = {
        "a": (np.sin(np.arange(300) / 3) * 5 + 1e4).tolist(),
        "b": np.cos(np.arange(200) / 5).tolist(),
    }
    series["a"][250] = None
    run, _, runner = exported(tmp_path, _rows(series), task="forecasting", horizon=4, **options)
    series["new"] = [2.0 * step for step in range(10)]  # shorter than a window
    series["flat"] = [3.0] * 40
    with pytest.warns(UserWarning, match="shorter than the window"):
        [found] = run.predict([_rows(series)])
    for name, values in series.items():
        made = runner.forecast([None, *values, None], id=name)
        expected = [
            [row[column] for column in ("mean", "q10", "q50", "q90")] for row in found if row["unique_id"] == name
        ]
        got = np.column_stack([made.mean, made.quantiles])
        np.testing.assert_allclose(got, expected, atol=2e-6 * (made.deviation + abs(values[0] or 0) * 1e-7), rtol=0)


def _rows(series: dict[str, list[float | None]]) -> list[dict[str, Any]]:
    return [{"unique_id": n, "ds": step, "y": y} for n, values in series.items() for step, y in enumerate(values)]

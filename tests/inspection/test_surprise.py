"""The error token by token, and the passages whose memory is shown."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.inspection import passages
from elman.inspection.surprise import share_of_pairs, word_places
from elman.report import Figure
from elman.tasks.language_modelling.subject import open_subject
from inspecting import inspect

few = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=9)


@pytest.mark.parametrize("kind", ["lstm", "gru", "transformer"])
def test_the_error_is_the_loss_of_every_token(runs: dict[str, Path], kind: str) -> None:
    """By the model's own logits; the means are over the tokens that begin a word, and those inside of one."""
    found = inspect(runs[kind], parts=["surprise"]).numbers["surprise"]
    subject = open_subject(elman.load(runs[kind]), None)
    for key, model in zip(("trained", "untrained"), subject.models.values(), strict=True):
        with torch.no_grad():
            logits, _ = model(subject.read, resets=subject.resets(subject.read))
        log_p = logits[:, :-1].log_softmax(-1).gather(2, subject.read[:, 1:, None])[..., 0]
        for row, passage in zip(subject.passages, found["passages"], strict=True):
            assert passage[key][0] is None
            np.testing.assert_allclose(passage[key][1:], -log_p[row, : len(passage[key]) - 1], rtol=1e-4, atol=1e-6)
            pieces = [piece or "" for piece in subject.pieces(subject.read[row])]
            assert passage["tokens"] == pieces[: len(passage["tokens"])]
        assert found[key]["all"] == pytest.approx(-float(log_p.mean()), rel=1e-4)
        flags = zip(*(word_places(subject.pieces(row)) for row in subject.read), strict=True)
        first, inside = (torch.from_numpy(np.stack(each)[:, 1:]) for each in flags)
        assert found[key]["first"] == pytest.approx(-float(log_p[first].mean()), rel=1e-4)
        assert found[key]["inside"] == pytest.approx(-float(log_p[inside].mean()), rel=1e-4)


def test_the_dots_of_words_have_one_column(runs: dict[str, Path]) -> None:
    [(_, figure), *_] = inspect(runs["lstm"], parts=["surprise"]).report.chapters[0].figures[0].parts
    assert [heading.split(",")[0] for heading in figure.table.headings[1:3]] == ["trained", "first token of a word"]
    assert len(figure.table.headings) == 4
    assert sum(cell is not None and np.isfinite(cell) for *_, cell, _ in figure.table.rows) > 1


@given(high=few, low=few)
def test_the_share_of_pairs_is_counted(high: list[float], low: list[float]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(high, low)]
    assert share_of_pairs(np.array(high), np.array(low)) == pytest.approx(np.mean(pairs))


def test_words_of_tokens_of_any_length() -> None:
    first, inside = word_places([" the", " c", "at", ".", "\n", None, "at", "e_", "5", "", " x y"])
    assert np.flatnonzero(first).tolist() == [0, 1, 6, 10]
    assert np.flatnonzero(inside).tolist() == [2, 7, 8]


def readings(figure: Figure) -> list[Figure]:
    """All of a choice, however deep."""
    found = [each for _, part in figure.parts for each in readings(part)]
    return found or [figure]


@pytest.mark.parametrize(("kind", "layers", "gates"), [("lstm", 2, 3), ("elman", 1, 0), ("transformer", 1, 0)])
def test_every_unit_of_every_passage_is_there(runs: dict[str, Path], kind: str, layers: int, gates: int) -> None:
    found = inspect(runs[kind], parts=["memory"])
    subject = open_subject(elman.load(runs[kind]), None)
    each = readings(found.report.chapters[0].figures[0])
    assert len(each) == layers * len(subject.passages) > layers
    memory = "the hidden state" if kind == "transformer" else "the memory"
    wanted = f"The text, {memory} and the gates" if gates else f"The text and {memory}"
    assert found.report.chapters[0].figures[0].title == wanted
    assert all(("gates" in figure.reading) == bool(gates) for figure in each)
    for figure in each:
        assert figure.chart is not None
        data = figure.chart.data
        assert data["units"] == [str(unit) for unit in range(8)]
        assert len(data["gates"]) == gates
        for order in data["orders"].values():
            assert sorted(order) == list(range(8))
        scales = found.numbers["memory"]["time_scales"][list(data["states"])[-1]]
        by_time = [scales[unit] for unit in data["orders"]["time scale"]]
        assert by_time == sorted(by_time, reverse=True)


def test_a_large_memory_shows_the_units_that_vary_most(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many numbers as there is room for, and never more."""
    for room in (10, 3000, 5000):
        monkeypatch.setattr(passages, "MOST_NUMBERS", room)
        each = readings(inspect(runs["lstm"], parts=["memory"]).report.chapters[0].figures[0])
        kept = 0
        for figure in each:
            assert figure.chart is not None
            data = figure.chart.data
            kept += sum(one.values.size for part in ("states", "gates") for one in data[part].values())
            assert len(data["units"]) >= 1
        assert kept <= max(room, 2 * 5 * passages.SHORTEST)

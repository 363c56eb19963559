"""The series of a training."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.errors import UserError
from elman.tasks.configuration import build
from elman.tasks.forecasting.corpus import ForecastCorpus, read


def write(path: Path, series: dict[str, list[float | None]], *, shuffled: int | None = None) -> Path:
    rows = [
        f"{name},{step},{'' if y is None else y}" for name, values in series.items() for step, y in enumerate(values)
    ]
    if shuffled is not None:
        random.Random(shuffled).shuffle(rows)
    path.write_text("\n".join(["unique_id,ds,y", *rows]) + "\n")
    return path


def corpus_of(path: Path, said: list[str] | None = None, codecs: Any = None, **data: Any) -> ForecastCorpus:
    settings = build({"task": "forecasting", "budget": "1 step", "data": {"source": str(path), **data}})
    return read(settings, path.parent, (said if said is not None else []).append, None, codecs or {})


def waves(count: int = 3, length: int = 90) -> dict[str, list[float | None]]:
    steps = np.arange(length)
    return {f"s{n}": (10 * n + np.sin(steps / (2 + n))).round(4).tolist() for n in range(count)}


def content(corpus: ForecastCorpus) -> list[bytes]:
    batches = [part.batch(np.arange(len(part))) for part in (corpus.train, corpus.valid)]
    found = [part.numpy().tobytes() for batch in batches for part in batch]
    return [*found, repr(corpus.scaler).encode(), corpus.baselines.weights.tobytes()]


def test_the_order_of_rows_changes_no_bit(tmp_path: Path) -> None:
    corpora = [corpus_of(write(tmp_path / f"{n}.csv", waves(), shuffled=n), horizon=4) for n in range(3)]
    assert content(corpora[0]) == content(corpora[1]) == content(corpora[2])
    assert len({corpus.fingerprint for corpus in corpora}) == 1


@pytest.mark.parametrize("apart", [False, True], ids=["held out", "in a file of its own"])
def test_values_that_are_held_out_change_nothing_of_the_training(tmp_path: Path, apart: bool) -> None:
    trained = []
    for seed in (1, 2):
        series = waves()
        noise = np.random.default_rng(seed)
        for values in series.values():
            values[75:] = (100 * noise.normal(size=15)).tolist()
        kept = {name: values[:75] for name, values in series.items()}
        valid = {"valid": str(write(tmp_path / "v.csv", series))} if apart else {"held_out": 15 / 90}
        path = write(tmp_path / "f.csv", kept if apart else series)
        corpus = corpus_of(path, horizon=4, window=8, **valid)
        assert len(corpus.train) == 3 * (75 - 12 + 1)
        assert len(corpus.valid) == 3 * ((90 - 12 + 1) if apart else 15 - 4 + 1)
        trained.append((content(corpus)[:9], *content(corpus)[18:], corpus.fingerprint))
    assert trained[0][:-1] == trained[1][:-1]
    assert trained[0][-1] != trained[1][-1]


def test_what_is_left_open_is_chosen(tmp_path: Path) -> None:
    days = "".join(f"2024-{1 + n // 28:02}-{1 + n % 28:02},{n}\n" for n in range(56))
    (tmp_path / "d.csv").write_text("ds,y\n" + days)
    corpus = corpus_of(tmp_path / "d.csv")
    assert (corpus.season, corpus.horizon, corpus.window) == (7, 7, 21)
    corpus = corpus_of(tmp_path / "d.csv", season=3, horizon=2, window=5)
    assert (corpus.season, corpus.horizon, corpus.window) == (3, 2, 5)


def test_what_is_missing_or_short_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    series: dict[str, list[float | None]] = {**waves(1), "b": [1.0, None, 2.0], "c": [None, None]}
    corpus_of(write(tmp_path / "f.csv", series), said, horizon=4, window=8)
    assert said == [
        f"1 of 93 values of {tmp_path}/f.csv are missing: they are neither filled nor scored",
        f"1 series (c) of {tmp_path}/f.csv without a value: left out",
        f"1 series (b) of {tmp_path}/f.csv shorter than window and horizon, 12 steps: used as far as they go",
    ]


def test_errors(tmp_path: Path) -> None:
    short = write(tmp_path / "f.csv", {"a": [1.0, 2.0, 3.0]})
    with pytest.raises(UserError, match="expected 9 steps or more, for a horizon of 4, got 3 in the longest; ask for"):
        corpus_of(short, horizon=4)
    with pytest.raises(UserError, match="does not hold the series that the run was trained on"):
        corpus_of(write(tmp_path / "g.csv", waves()), fingerprint="0")


def test_a_training_that_begins_from_a_run_keeps_its_scales_and_sizes(tmp_path: Path) -> None:
    first = corpus_of(write(tmp_path / "f.csv", waves()), horizon=4, window=8)
    codecs = {name: getattr(first, name) for name in ("scaler", "calendar", "columns", "baselines")}
    other = corpus_of(write(tmp_path / "g.csv", {"new": waves(1)["s0"]}), codecs=codecs)
    assert (other.window, other.horizon) == (8, 4)
    assert other.scaler.scales.keys() == {"s0", "s1", "s2", "new"}
    again = corpus_of(tmp_path / "f.csv", codecs=codecs)
    assert content(again) == content(first)


def test_held_out_values_change_no_bit_of_the_weights(tmp_path: Path) -> None:
    """Of a training that is validated once, at its end: all but the widths of intervals, which are fitted on them."""
    weights, losses = [], []
    for seed in (1, 2):
        series = waves()
        for values in series.values():
            values[76:] = np.random.default_rng(seed).normal(size=14).tolist()
        run = elman.fit(
            write(tmp_path / "f.csv", series), task="forecasting", budget="4 steps", horizon=4, window=8, hidden_size=4,
            held_out=14 / 90, out=tmp_path / f"run{seed}", progress=False,
        )  # fmt: skip
        weights.append({name: p.numpy(force=True).tobytes() for name, p in run.model.named_parameters()})
        lines = (tmp_path / f"run{seed}/metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line).get("loss") for line in lines])
    assert weights[0] == weights[1]
    assert losses[0] == losses[1]

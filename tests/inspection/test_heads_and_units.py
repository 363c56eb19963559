"""What `elman inspect` says of heads and units: only what chance does not explain; and the windows that it reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.inspection import attention, memory
from elman.lens import attention_weights
from elman.lens.tracking import Tracker
from elman.models import TransformerLM
from elman.tasks.language_modelling.subject import open_subject
from inspecting import inspect

Train = Callable[..., Path]


def test_no_head_is_named_that_chance_explains(runs: dict[str, Path]) -> None:
    """After six steps of training no head does anything: there is a highest score, and it means nothing."""
    found = inspect(runs["transformer"], parts=["attention"])
    numbers = found.numbers["attention"]
    assert numbers["chance"]["induction"] == pytest.approx(1 / 8)  # the window holds 8 steps
    said = [line for line in found.lines if "induction head" in line]
    assert len(said) == 1
    assert said[0].startswith("no head is an induction head (the highest score, layer 2 head ")
    assert said[0].endswith("chance is 0.125)")
    assert any(line.startswith("no head is a previous-token head") for line in found.lines)


def repeating(every: list[np.ndarray], tokens: torch.Tensor) -> list[np.ndarray]:
    """Every head of every layer as a perfect induction head: it looks at what followed the same token last time."""
    perfect = np.zeros_like(every[0])
    for row, line in enumerate(tokens.tolist()):
        for t, token in enumerate(line):
            last = max((s for s in range(t) if line[s] == token), default=t)
            perfect[row, :, t, min(last + 1, t)] = 1
    return [perfect for _ in every]


@pytest.mark.parametrize("layers", [1, 2])
def test_an_induction_head_is_named_and_never_in_the_first_layer(
    layers: int, train: Train, plain_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(plain_text, tmp_path / "run", "--model=transformer", f"num_layers={layers}")

    def weights(model: TransformerLM, read: Callable[[], object]) -> list[np.ndarray]:
        seen: list[torch.Tensor] = []
        handle = model.embedding.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        try:
            every = attention_weights(model, read)
        finally:
            handle.remove()
        return repeating(every, seen[0])

    monkeypatch.setattr("elman.lens.attention.attention_weights", weights)
    said = [line for line in inspect(run, parts=["attention"]).lines if "induction head" in line]
    if layers == 1:
        assert said == ["no head is an induction head: it takes a head of an earlier layer, and there is one layer"]
    else:
        assert said
        assert all(re.match(r"layer 2 head \d+ is an induction head: 0\.\d+ of its weight", line) for line in said)


def test_units_are_named_beside_chance_and_the_untrained_model(runs: dict[str, Path]) -> None:
    found = inspect(runs["lstm"], parts=["memory"])
    for tracker in found.numbers["memory"]["trackers"]:
        named = [line for line in found.lines if f"“{tracker['feature']}”: correlation" in line]
        assert len(named) == (abs(tracker["correlation"]) > max(tracker["chance"], 0.25))
        if named:
            assert f"chance is {tracker['chance']:.2f}; untrained: {tracker['untrained']:+.2f}" in named[0]


def test_a_clear_unit_is_drawn_where_its_feature_varies_most(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = Tracker("position in the line", unit=0, correlation=-0.5, chosen=0.5, chance=0.1)
    faint = Tracker("position in the word", unit=1, correlation=0.39, chosen=0.5, chance=0.1)
    monkeypatch.setattr(memory, "track", lambda values, features: [clear, faint])
    subject = open_subject(elman.load(runs["elman"]), None)
    part = memory.look(subject)
    texts = ["".join(piece or "" for piece in subject.pieces(row)) for row in subject.read]
    spread = [np.std([len(text[: at + 1].rpartition("\n")[2]) for at in range(len(text))]) for text in texts]
    half = len(texts) // 2
    best = max(range(half, len(texts)), key=lambda row: spread[row])
    assert best != next(iter(subject.passages))
    [strip] = [figure for figure in part.chapter.figures if figure.chart and figure.chart.kind == "strip"]
    assert strip.title.startswith("Position in the line: unit 0")
    assert "".join(strip.chart.data["pieces"]) == texts[best]
    assert len(part.lines) == 2


@pytest.mark.parametrize("window", [3, 200])
def test_heads_that_look_evenly_are_chance_where_documents_begin(
    window: int, train: Train, words: Path, tmp_path: Path
) -> None:
    """Without queries each step gives the same to all that it sees, and its document has 4 tokens at most."""
    run = elman.load(train(words, tmp_path / "run", "--model=transformer", "num_layers=2", f"window={window}"))
    for layer in run.model.layers:
        for parameter in (layer.attention.qkv.weight, layer.attention.qkv.bias):
            parameter.data[: run.model.config["hidden_size"]] = 0
    found = attention.look(open_subject(run, None))
    for head in found.numbers["heads"].values():
        assert head["previous"] == pytest.approx(found.numbers["chance"]["previous"], rel=1e-5)
    assert 1 / 3 < found.numbers["chance"]["previous"] < 0.42
    marks = [re.findall("an even look ([0-9.]+)", figure.drawing) for figure in found.chapter.figures[:2]]
    for [mark], measure in zip(marks, ("entropy", "distance"), strict=True):
        for head in found.numbers["heads"].values():
            assert head[measure] == pytest.approx(float(mark), abs=0.006)
    assert [line for line in found.lines if not line.startswith("no head is ")] == []


def test_windows_have_no_border_inside(runs: dict[str, Path]) -> None:
    subject = open_subject(elman.load(runs["gru"]), None)
    assert subject.tokenizer.eod is not None
    windows = subject.windows(5, 500)
    assert windows.shape[1] >= 8
    assert not (windows[:, 1:] == subject.tokenizer.eod).any()
    assert len(windows.unique(dim=0)) == len(windows)


def test_windows_that_are_scored_do_not_overlap(runs: dict[str, Path]) -> None:
    for name in ("gru", "transformer"):
        subject = open_subject(elman.load(runs[name]), None)
        tokens = torch.arange(len(subject.tokens))
        plain = type(subject)(**{**vars(subject), "tokens": tokens.numpy()})
        assert len(plain.windows(16, 40).unique()) < plain.windows(16, 40).numel()
        apart = plain.windows(16, 40, apart=True)
        assert len(apart.unique()) == apart.numel() > 0

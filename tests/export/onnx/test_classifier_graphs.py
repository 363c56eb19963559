"""Classifiers and taggers as graphs in onnxruntime against the models: other sizes than one, pieces, padding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elman.models.classifier import Classifier
from elman.models.tagger import Tagger
from graphs import Opened, arrays, assert_close, assert_equal_states, assert_trial, run_of

pytest.importorskip("onnxruntime")
SIZES = ((1, 1), (3, 7), (2, 12))
MEAN, DEVIATION = np.array([1e6, -3.0, 0.0]), np.array([2.0, 1.0, 0.1])  # the first is far from 0
SCALER = SimpleNamespace(mean=MEAN, deviation=DEVIATION, channels=3)
INPUTS: dict[str, dict[str, Any]] = {
    "tokens": {"vocab_size": 11},
    "ngrams": {"vocab_size": 11, "ngrams": True},
    "values": {"channels": 3},
    "values and flags": {"channels": 3, "missing": True},
}
KINDS = ("lstm", "gru", "slstm", "transformer")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def ways(kind: str, causal: bool) -> dict[str, bool]:
    return {"is_causal": causal} if kind == "transformer" else {"bidirectional": not causal}


def inputs_of(model: Classifier, B: int, T: int) -> tuple[dict[str, np.ndarray], torch.Tensor]:
    """Inputs of the graph, and those of the model."""
    if model.channels is None:
        tokens = torch.randint(11, (B, T, 5) if model.ngrams else (B, T))
        return {"tokens": tokens.numpy()}, tokens
    random = np.random.default_rng(B * T)
    raw = (random.normal(size=(B, T, 3)) * DEVIATION + MEAN).astype(np.float32)
    raw[random.random((B, T, 3)) < 0.2] = np.nan
    return {"values": raw}, torch.from_numpy(((raw - MEAN) / DEVIATION).astype(np.float32))


def classifier(kind: str, causal: bool, **options: Any) -> Classifier:
    sizes = {"hidden_size": 8, "embedding_size": 8, "num_layers": 2, "outputs": 4}
    return Classifier(kind, **{**sizes, **INPUTS["tokens"], **ways(kind, causal), **options})


@torch.no_grad()
def check_classifier(model: Classifier, *, lengths: bool) -> None:
    opened = Opened(run_of(model, scaler=SCALER), lengths=lengths)
    for B, T in SIZES:
        feeds, read = inputs_of(model, B, T)
        ends = torch.randint(T + 1, (B,)) if lengths else None  # rows without a step among them
        fresh = model.initial_state(B)
        wanted, after = model(read, lengths=ends)
        found, state = opened.step(feeds | ({} if ends is None else {"lengths": ends.numpy()}), arrays(fresh))
        assert_close(found["logits"], wanted)
        assert_equal_states(state, after)
        if not model.causal:
            continue
        state, memory = arrays(fresh), fresh
        for begin, end in ((0, 3), (3, 4), (4, T)):
            ends = torch.randint(len(range(T)[begin:end]) + 1, (B,)) if lengths else None
            piece = {name: array[:, begin:end] for name, array in feeds.items()}
            if not piece[next(iter(piece))].shape[1]:
                continue
            wanted, memory = model(read[:, begin:end], memory, lengths=ends)
            found, state = opened.step(piece | ({} if ends is None else {"lengths": ends.numpy()}), state)
            assert_close(found["logits"], wanted)
            assert_equal_states(state, memory)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_pools(kind: str, pooling: str, causal: bool, lengths: bool) -> None:
    check_classifier(classifier(kind, causal, pooling=pooling), lengths=lengths)


@pytest.mark.parametrize("kind", ["lstm", "elman", "mingru", "slstm"])
@pytest.mark.parametrize("causal", [True, False])
def test_cells(kind: str, causal: bool) -> None:
    for options in ({"residual": True}, {"layer_norm": True}):
        for lengths in (False, True):
            check_classifier(classifier(kind, causal, **options), lengths=lengths)


@pytest.mark.parametrize("given", INPUTS)
def test_inputs(given: str) -> None:
    options = {"vocab_size": None, **INPUTS[given]}
    for causal in (True, False):
        check_classifier(classifier("gru", causal, **options), lengths=causal)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_windows_of_attention(window: int) -> None:
    check_classifier(classifier("transformer", True, window=window, positions="sinusoidal"), lengths=False)
    check_classifier(classifier("transformer", True, window=window, qk_norm=False), lengths=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("characters", [0, 6])
@torch.no_grad()
def test_taggers(kind: str, characters: int) -> None:
    for causal in (True, False):
        options = {"hidden_size": 8, "embedding_size": 8, "character_size": characters, **ways(kind, causal)}
        model = Tagger(kind, 13, 9, ["a", "b", "c"], crf=not causal, **options)
        run = run_of(model)
        for lengths in (False, True):
            opened = Opened(run, lengths=lengths)
            for (B, T), C in zip(SIZES, (1, 4, 7), strict=True):
                words, spelling = torch.randint(13, (B, T)), torch.arange(B * T).view(B, T)
                spelled = torch.randint(2, 9, (B * T, C))
                spelled = spelled.masked_fill(torch.arange(C) >= torch.randint(1, C + 1, (B * T, 1)), 1)
                ends = torch.randint(1, T + 1, (B,)) if lengths else None
                feeds = {"tokens": words.numpy(), "characters": spelled[spelling].numpy()}
                feeds |= {} if ends is None else {"lengths": ends.numpy()}
                wanted, after = model(words, spelling, spelled, lengths=ends)
                found, state = opened.step(feeds, arrays(model.initial_state(B)))
                real = torch.ones(B, T, dtype=torch.bool) if ends is None else torch.arange(T) < ends[:, None]
                assert_close(found["logits"][real.numpy()], wanted[real])
                assert_equal_states(state, after)
            assert_trial(opened)


def test_a_crf_is_in_the_answer() -> None:
    allowed = torch.rand(4, 4) > 0.3
    model = Tagger("gru", 13, 9, ["a", "b", "c"], "IOB2", crf=True, allowed=allowed, hidden_size=8)
    answer = Opened(run_of(model)).drawing.answer
    assert model.crf_layer is not None
    assert np.array_equal(np.array(answer["crf"]["weight"], np.float32), model.crf_layer.weight.detach())
    assert answer["crf"]["allowed"] == allowed.tolist()
    assert not answer["word_by_word"]
    assert answer["scheme"] == "IOB2"


@pytest.mark.parametrize("given", INPUTS)
def test_the_trial_of_an_export(given: str) -> None:
    options = {"vocab_size": None, **INPUTS[given]}
    for lengths in (False, True):
        assert_trial(Opened(run_of(classifier("lstm", True, **options), scaler=SCALER), lengths=lengths))

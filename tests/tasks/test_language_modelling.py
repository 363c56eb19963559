"""The objective and the evaluation of language models, against one pass over single graphs and single steps."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from elman.data.corpus import Corpus, encode_file, prepare
from elman.data.lanes import Lanes
from elman.models import LanguageModel, build
from elman.state import State
from elman.tasks.language_modelling.evaluation import evaluate
from elman.tasks.language_modelling.objective import NextToken
from elman.train.objective import Place

KINDS: dict[str, dict[str, Any]] = {
    "elman": {"model": "elman", "hidden_size": 9},
    "gru": {"model": "gru", "hidden_size": 9, "num_layers": 2},
    "lstm": {"model": "lstm", "hidden_size": 9, "embedding_size": 5, "tied": True},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2},
}


def model(kind: str, vocab_size: int) -> LanguageModel:
    torch.manual_seed(0)
    return build({**KINDS[kind], "vocab_size": vocab_size}).double()


@pytest.fixture(params=["plain_text", "documents"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Corpus:
    return prepare(request.getfixturevalue(request.param), tmp_path / "cache")


def short(corpus: Corpus, lanes: int, steps: int) -> Lanes:
    return Lanes(np.asarray(corpus.train)[: lanes * steps + 1], lanes, eod=corpus.tokenizer.eod)


def whole_lanes_gradient(network: LanguageModel, lanes: Lanes) -> list[Tensor]:
    """Full BPTT by torch alone: one graph over the lanes."""
    window = lanes.window(0, lanes.steps)
    logits, _ = network(window.inputs, resets=window.resets)
    F.cross_entropy(logits.flatten(0, 1), window.targets.flatten()).backward()
    return taken_gradients(network)


def taken_gradients(network: LanguageModel) -> list[Tensor]:
    taken = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    return taken


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k1", [33, 7])
def test_full_bptt_in_one_stretch_or_in_several(corpus: Corpus, kind: str, k1: int) -> None:
    """(T, T) is full BPTT; with k2 = full the stretches' gradients, weighed by their targets, add up to it."""
    network = model(kind, corpus.tokenizer.vocab_size)
    lanes = short(corpus, 3, 33)
    expected = whole_lanes_gradient(network, lanes)
    task = NextToken(lanes, corpus.valid, corpus.tokenizer.eod, k1, 33 if k1 == 33 else None)
    state: State | None = None
    for batch in range(task.batches(0)):
        loss = task.loss(network, Place(0, batch, 0.0), state)
        (loss.mean * loss.targets / (3 * 33)).backward()
        state = loss.state
    torch.testing.assert_close(taken_gradients(network), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("k1", "k2"), [(5, 5), (5, 8), (5, 23), (1, 4)])
def test_truncated_bptt_is_full_bptt_of_what_is_left(corpus: Corpus, kind: str, k1: int, k2: int) -> None:
    network = model(kind, corpus.tokenizer.vocab_size)
    lanes = short(corpus, 3, 17)
    task = NextToken(lanes, corpus.valid, corpus.tokenizer.eod, k1, k2)
    state: State | None = None
    for batch, start in enumerate(range(0, 17, k1)):
        loss = task.loss(network, Place(0, batch, 0.0), state)
        loss.mean.backward()
        state = loss.state
        got = taken_gradients(network)

        begin, stop = max(0, start + k1 - k2), min(start + k1, 17)
        memory = None
        if begin:
            with torch.no_grad():
                past = lanes.window(0, begin)
                _, memory = network(past.inputs, resets=past.resets)
        window = lanes.window(begin, stop)
        logits, _ = network(window.inputs, memory, resets=window.resets)
        wanted = logits[:, start - begin :]
        F.cross_entropy(wanted.flatten(0, 1), window.targets[:, start - begin :].flatten()).backward()
        torch.testing.assert_close(got, taken_gradients(network), rtol=1e-9, atol=1e-12)


def test_each_pass_is_read_from_its_own_offset(corpus: Corpus) -> None:
    network = model("lstm", corpus.tokenizer.vocab_size)
    lanes = Lanes(corpus.train, 3, eod=corpus.tokenizer.eod, seed=1)
    task = NextToken(lanes, corpus.valid, corpus.tokenizer.eod, 7, 7)
    losses = [task.loss(network, Place(epoch, 0, 0.0), None).mean.item() for epoch in range(3)]
    for epoch, found in enumerate(losses):
        window = lanes.window(0, 7, epoch)
        logits, _ = network(window.inputs, resets=window.resets)
        assert found == pytest.approx(F.cross_entropy(logits.flatten(0, 1), window.targets.flatten()).item())
    assert len(set(losses)) == 3


def naive_loss(network: LanguageModel, ids: list[int], eod: int | None) -> float:
    """One token after the other, with the memory of all before it (of its document)."""
    state, total = None, 0.0
    for token, following in pairwise(ids):
        logits, state = network(torch.tensor([[token]]), None if token == eod else state)
        total -= logits[0, 0].log_softmax(-1)[following].item()
    return total / (len(ids) - 1)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_in_one_lane_is_that_of_a_naive_loop(corpus: Corpus, kind: str) -> None:
    network = model(kind, corpus.tokenizer.vocab_size).eval()
    ids = np.asarray(corpus.valid).tolist()
    metrics = evaluate(network, corpus.valid, corpus.tokenizer.eod, lanes=1, window=11)
    loss = naive_loss(network, ids, corpus.tokenizer.eod)
    assert metrics["loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["tokens"] == len(ids) - 1
    assert metrics["perplexity"] == pytest.approx(math.exp(loss), rel=1e-6)
    # By hand: bits of all tokens over all characters, of which <eod> is none.
    bits = loss / math.log(2) * len(ids)
    assert metrics["bits_per_character"] == pytest.approx(bits / corpus.valid.characters, rel=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("lanes", [2, 5])
def test_lanes_with_all_the_past_they_need_change_nothing(corpus: Corpus, lanes: int) -> None:
    """The burn-in is longer than this text, so that every lane begins where the text does."""
    network = model("lstm", corpus.tokenizer.vocab_size).eval()
    ids = np.asarray(corpus.train)[:250]
    text = replace(corpus.train, tokens=250, characters=250)
    assert len(ids) == len(text)
    one = evaluate(network, text, corpus.tokenizer.eod, lanes=1)
    several = evaluate(network, text, corpus.tokenizer.eod, lanes=lanes, window=13)
    assert several == pytest.approx(one, rel=1e-6)


def test_a_perplexity_beyond_measure_is_infinite(corpus: Corpus) -> None:
    network = model("gru", corpus.tokenizer.vocab_size).eval()
    with torch.no_grad():
        network.get_parameter("decoder.bias")[0] = 1e6
    metrics = evaluate(network, corpus.valid, corpus.tokenizer.eod)
    assert metrics["loss"] > 710
    assert metrics["perplexity"] == math.inf


def test_unknown_characters_are_counted(plain_text: Path, tmp_path: Path) -> None:
    corpus = prepare(plain_text, tmp_path / "cache")
    other = tmp_path / "other.txt"
    other.write_text("the ☃ cat ☃")
    tokens = encode_file(other, corpus.tokenizer, tmp_path)
    network = model("gru", corpus.tokenizer.vocab_size).eval()
    assert tokens.unknown == 2
    assert evaluate(network, tokens, corpus.tokenizer.eod)["tokens"] == 10

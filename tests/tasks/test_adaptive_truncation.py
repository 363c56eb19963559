"""k2 chosen by the gradient: as long as the memory that a model has, and no longer."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from elman.data.lanes import Lanes
from elman.lens.truncation import truncation
from elman.models import LanguageModel, RecurrentLM, build
from elman.state import State
from elman.tasks.language_modelling.adaptive_truncation import AdaptiveTruncation

K1, VOCABULARY, EOD = 4, 7, 6


def lanes(steps: int = 80, count: int = 3, *, border: int | None = None) -> Lanes:
    """Of random tokens; with a document's border every so many of them, where that is asked for."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY - 1, count * steps + 1)
    if border is not None:
        tokens[::border] = EOD
    return Lanes(tokens.astype(np.uint16), count, eod=None if border is None else EOD)


def model(recurrent: float, seed: int = 0) -> LanguageModel:
    """Elman's network whose recurrent matrix is the identity times `recurrent`: its memory fades by that a step."""
    torch.manual_seed(seed)
    network = cast(RecurrentLM, build({"model": "elman", "vocab_size": VOCABULARY, "hidden_size": 16})).double()
    for name, parameter in network.named_parameters():
        if "weight_hh" in name:
            parameter.data.copy_(torch.eye(16) * recurrent)
        elif "layers" in name:
            parameter.data.mul_(0.1)
    return network


def test_a_memory_that_fades_at_once_needs_one_stretch_and_a_lasting_one_more() -> None:
    short, long = (AdaptiveTruncation(lanes(), K1) for _ in range(2))
    assert short.k2 == K1, "before anything is measured"
    assert short.adapt(model(0.0), None) == {"k2": K1}
    assert long.adapt(model(0.98), None)["k2"] == long.k2 > K1


@pytest.mark.parametrize("cosine", [0.9, 0.99, 0.999])
def test_it_is_the_window_that_the_lens_finds(cosine: float) -> None:
    network, found = model(0.9), AdaptiveTruncation(lanes(), K1, cosine)
    found.kept = 12
    state: State = network.initial_state(3)
    found.adapt(network, state)
    window = found.lanes.window(12, 12 + 8 * K1)
    seen = truncation(network, window.inputs, window.targets, state, windows=[4, 8, 16, 32], stride=K1)
    assert found.k2 == seen.smallest_window(cosine)


@pytest.mark.parametrize(
    ("k1", "steps", "enough"),
    [
        (4, 80, 4),  # every document is one stretch
        (2, 80, 4),  # every document is two
        (4, 81, 8),  # in some lanes a stretch begins in the middle of a document, which the one before it holds
        (3, 80, 6),
        (8, 80, 8),
    ],
)
def test_no_window_is_longer_than_documents_need(k1: int, steps: int, enough: int) -> None:
    """With a border every 4 tokens; without them the same memory needs more."""
    for seed in range(3):
        network = model(0.98, seed)
        across, within = AdaptiveTruncation(lanes(steps), k1), AdaptiveTruncation(lanes(steps, border=4), k1, 0.99999)
        assert across.adapt(network, None)["k2"] > enough
        assert within.adapt(network, None) == {"k2": enough}


def test_near_the_end_of_the_lanes_it_looks_back_and_short_lanes_change_nothing() -> None:
    near_the_end = AdaptiveTruncation(lanes(), K1)
    near_the_end.kept = 79
    assert near_the_end.adapt(model(0.98), None)["k2"] > K1
    short = AdaptiveTruncation(lanes(steps=2 * K1 - 1), K1)
    assert short.adapt(model(0.98), None) == {"k2": K1}


def test_restored_it_goes_on() -> None:
    before, after = AdaptiveTruncation(lanes(), K1), AdaptiveTruncation(lanes(), K1)
    before.k2, before.kept = 16, 8
    after.restore(before.values())
    assert (after.k2, after.kept) == (16, 8)


def test_the_window_is_measured_in_the_pass_that_the_memory_was_carried_through() -> None:
    text = Lanes(np.random.default_rng(0).integers(0, VOCABULARY, 241).astype(np.uint16), 3, seed=5)
    network, found = model(0.9), AdaptiveTruncation(text, K1)
    found.restore({"k2": 8, "epoch": 4, "kept": 12})
    again = AdaptiveTruncation(text, K1)
    again.restore(found.values())
    read = []
    text.window = lambda start, stop, epoch=0, lanes=None: (
        read.append(epoch) or Lanes.window(text, start, stop, epoch, lanes)
    )  # type: ignore
    again.adapt(network, None)
    assert read == [4]
    again.restore({"k2": 8, "kept": 12})  # of a checkpoint from before there were offsets
    assert again.epoch == 0

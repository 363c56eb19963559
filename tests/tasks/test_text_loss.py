"""The loss on a text, against one token after the other."""

from __future__ import annotations

from itertools import pairwise
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from elman.data.lanes import NOT_COUNTED
from elman.errors import UserError
from elman.models import LanguageModel, build
from elman.tasks.language_modelling import losses as text_loss
from elman.tasks.language_modelling.losses import block_losses, cross_entropy

A, B, X, Y, EOD = range(5)
KINDS = {
    "elman": {"model": "elman", "hidden_size": 7},
    "gru": {"model": "gru", "hidden_size": 6, "num_layers": 2},
    "lstm": {"model": "lstm", "hidden_size": 7, "embedding_size": 4},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2, "window": 3},
    "sinusoidal": {
        "model": "transformer",
        "hidden_size": 8,
        "num_layers": 1,
        "num_heads": 1,
        "window": 3,
        "positions": "sinusoidal",
    },
    "unbounded": {"model": "transformer", "hidden_size": 8, "num_layers": 1, "num_heads": 1},
}


@torch.no_grad()
def latch(kind: str) -> LanguageModel:
    """Remembers for ever whether A or B came first, and foretells X after A, Y after B; undecided before."""
    model = build({"model": kind, "vocab_size": 5, "hidden_size": 1, "embedding_size": 1}).double().eval()
    for parameter in model.parameters():
        parameter.zero_()
    model.get_parameter("embedding.weight")[[A, B], 0] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    layer = "layers.0."
    if kind == "elman":  # h = tanh(5 h + 20 x), which has fixed points near 1 and -1
        model.get_parameter(layer + "weight_hh_l0").fill_(5.0)
        model.get_parameter(layer + "weight_ih_l0").fill_(20.0)
    else:  # c = c + tanh(x), with a forget gate of 1
        model.get_parameter(layer + "bias_ih_l0")[:] = torch.tensor([50.0, 50.0, 0.0, 50.0], dtype=torch.float64)
        model.get_parameter(layer + "weight_ih_l0")[2] = 1.0
    model.get_parameter("decoder.weight")[[X, Y], 0] = torch.tensor([3.0, -3.0], dtype=torch.float64)
    return model


def untrained(kind: str) -> LanguageModel:
    torch.manual_seed(1)
    model = build({**KINDS[kind], "vocab_size": 5}).double().eval()
    if not model.step_by_step:  # whose residual branches begin at zero, so that nothing is remembered
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model


MODELS = {**{kind: untrained(kind) for kind in KINDS}, "elman latch": latch("elman"), "lstm latch": latch("lstm")}


@torch.no_grad()
def token_by_token(model: LanguageModel, ids: npt.NDArray[np.uint8], eod: int | None) -> npt.NDArray[np.float64]:
    state, nats = None, []
    for token, following in pairwise(ids.tolist()):
        logits, state = model(torch.tensor([[token]]), None if token == eod else state)
        nats.append(-logits[0, 0].log_softmax(-1)[following].item())
    return np.array(nats)


@pytest.mark.parametrize("kind", ["elman", "lstm"])
def test_a_latch_is_judged_by_what_it_remembers(kind: str) -> None:
    """The first token misleads it for ever. Lanes that begin later do not know of it."""
    ids = np.full(20_001, Y, np.uint8)
    ids[0] = A
    ids[5::7] = X
    model = latch(kind)
    nats, counts = block_losses(model, ids, None)
    expected = token_by_token(model, ids, None)
    assert nats.sum() / counts.sum() == pytest.approx(expected.mean(), abs=1e-9)
    assert np.allclose(nats, np.add.reduceat(expected, np.append(0, counts.cumsum()[:-1]).astype(int)), atol=1e-6)
    lanes, counted = block_losses(model, ids, None, lanes=9)
    assert lanes.sum() / counted.sum() < expected.mean() - 1


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_exact_loss_is_that_of_a_naive_loop(name: str, data: st.DataObject) -> None:
    """In blocks in the order of the text, for any length, and documents that end anywhere or nowhere."""
    length, window = data.draw(st.integers(2, 150)), data.draw(st.integers(1, 4))
    eod = data.draw(st.sampled_from([None, EOD]))
    symbols = data.draw(st.sampled_from([[A, X, Y], [X, Y], [A, B, X, Y, EOD], [X] * 40 + [A, B, EOD]]))
    ids = np.array(data.draw(st.lists(st.sampled_from(symbols), min_size=length, max_size=length)), np.uint8)
    shortest = data.draw(st.sampled_from([2, 5]))
    with mock.patch.multiple(text_loss, FEWEST=shortest, MOST=shortest + 3):
        nats, counts = block_losses(MODELS[name], ids, eod, window=window)
    expected = token_by_token(MODELS[name], ids, eod)
    assert counts.sum() == length - 1
    assert counts.max() <= window
    blocks = np.add.reduceat(expected, np.append(0, counts.cumsum()[:-1]).astype(int))
    np.testing.assert_allclose(nats, blocks, rtol=1e-9, atol=1e-12)
    one_by_one, _ = block_losses(MODELS[name], ids, eod, window=window, lanes=1)
    assert one_by_one.sum() == pytest.approx(expected.sum(), rel=1e-9)


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_a_long_text_is_read_in_parallel(kind: str) -> None:
    """Most of its windows beside others, each about once; and in the same blocks whichever the model."""
    model = untrained(kind)
    read: list[int] = []
    original = model.read

    def counting(tokens: torch.Tensor, *others: object, **more: object) -> object:
        read.append(len(tokens))
        return original(tokens, *others, **more)  # type: ignore[arg-type]

    with mock.patch.object(model, "read", counting):
        _, counts = block_losses(model, np.tile(np.array([A, B, X, Y, X, X], np.uint8), 8000), None, window=64)
    assert sum(read) < 1.4 * 48_000 / 64
    assert len(read) < 0.3 * 48_000 / 64
    assert counts.tolist() == [64.0] * 749 + [63.0]


def test_a_text_without_anything_to_predict() -> None:
    with pytest.raises(UserError, match="at least 2 tokens, got 1"):
        block_losses(untrained("gru"), np.zeros(1, np.uint8), None)


@pytest.mark.parametrize("large", [5, 1024])  # from where on a vocabulary's logits are not all made at once
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_and_its_gradient_are_those_of_batch_first_logits(
    kind: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_loss, "LARGE_VOCABULARY", large)
    torch.manual_seed(0)
    model = MODELS[kind]
    tokens, targets = torch.randint(5, (2, 3, 5))
    targets[1, 2:] = NOT_COUNTED
    logits, _ = model(tokens)
    expected = F.cross_entropy(logits.reshape(-1, 5), targets.reshape(-1), reduction="none").view(3, 5)
    hidden, _ = model.read(tokens)
    torch.testing.assert_close(cross_entropy(model, hidden, targets, "none"), expected)
    mean = cross_entropy(model, hidden, targets, "mean")
    torch.testing.assert_close(mean, expected.sum() / 12)
    parameters = list(model.parameters())
    plain = torch.autograd.grad(expected.sum() / 12, parameters)
    torch.testing.assert_close(torch.autograd.grad(mean, parameters), plain)

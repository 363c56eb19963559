from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from elman.lens import stretches, truncation
from elman.models import LanguageModel
from elman.state import detach

MODELS_TRIED = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed", "rotary", "sinusoidal", "window"]
RECURRENT = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed"]
VOCABULARY = 11

Make = Callable[..., LanguageModel]
T = 12


def drawn(B: int, steps: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY, (B, steps), generator=torch.Generator().manual_seed(seed))


def plain_gradient(
    model: LanguageModel,
    tokens: torch.Tensor,
    targets: torch.Tensor,
    window: int,
    resets: torch.Tensor | None = None,
) -> torch.Tensor:
    """Token by token, the state cut every `window` steps, one loss in the end."""
    model.zero_grad()
    state, losses = None, []
    for t in range(tokens.shape[1]):
        if t and t % window == 0:
            state = detach(state)
        begins = None if resets is None else resets[:, t : t + 1]
        logits, state = model(tokens[:, t : t + 1], state, resets=begins)
        losses.append(F.cross_entropy(logits[:, 0], targets[:, t]))
    torch.stack(losses).mean().backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    return gradient


@pytest.mark.parametrize("name", MODELS_TRIED)
def test_it_equals_plain_truncation(make: Make, name: str) -> None:
    model = make(name).eval()
    tokens, targets = drawn(2, T), drawn(2, T, seed=2)
    found = truncation(model, tokens, targets, windows=[1, 5])
    assert found.windows.tolist() == [1, 5, T]
    full = plain_gradient(model, tokens, targets, T)
    np.testing.assert_allclose(found.gradient, full, atol=1e-10)
    for index, window in enumerate(found.windows.tolist()):
        cut = plain_gradient(model, tokens, targets, window)
        assert found.cosine[index] == pytest.approx(float(F.cosine_similarity(cut, full, dim=0)), abs=1e-9)
        assert found.bias[index] == pytest.approx(float((cut - full).norm() / full.norm()), abs=1e-9)
    assert (found.bias[:-1] > 1e-6).all()
    assert (found.seconds > 0).all()
    assert model.training is False
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS_TRIED)
@pytest.mark.parametrize("steps", [128, 135])
def test_blocks_of_a_long_text_are_read_side_by_side(
    make: Make, name: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one stretch after the other: from a memory, where documents begin in blocks, and with steps after the last."""
    model = make(name).eval()
    past, tokens, targets = drawn(2, 7, seed=3), drawn(2, steps), drawn(2, steps, seed=2)
    resets = torch.rand(2, steps, generator=torch.Generator().manual_seed(4)) < 0.02
    assert resets.any()
    with torch.no_grad():
        _, state = model.read(past)
    given = (model, tokens, targets, state)
    found = truncation(*given, resets=resets, windows=[1, 4, 8, 16])
    monkeypatch.setattr(stretches, "SHORT", 0)
    plain = truncation(*given, resets=resets, windows=[1, 4, 8, 16])
    np.testing.assert_allclose(found.cosine, plain.cosine, atol=1e-10)
    np.testing.assert_allclose(found.bias, plain.bias, atol=1e-9)
    assert (found.bias[:3] > 1e-4).all()
    np.testing.assert_allclose(found.megabytes, plain.megabytes, rtol=0.1)  # a stretch with a reset may keep more
    assert found.megabytes[-1] == plain.megabytes[-1]
    again = truncation(*given, resets=resets, windows=[4], whole=plain)
    assert (again.cosine == plain.cosine[[1, 4]]).all()
    assert (again.megabytes[-1], again.seconds[-1]) == (plain.megabytes[-1], plain.seconds[-1])


def test_what_no_loss_reaches_is_not_kept(make: Make) -> None:
    model = make("elman").eval()

    def read(x: torch.Tensor, hx: object) -> tuple[torch.Tensor, object]:
        logits, hx = model(x, hx)
        (next(model.parameters()).sum() * torch.ones(100_000)).tanh()  # its graph dies with it
        return logits, hx

    given = (drawn(2, T), drawn(2, T, seed=2))
    found, plain = truncation(model, *given, read=read), truncation(model, *given)
    np.testing.assert_allclose(found.megabytes, plain.megabytes, atol=0.1)


@pytest.mark.parametrize("name", MODELS_TRIED)
def test_documents_are_read_by_themselves(make: Make, name: str) -> None:
    """Where no window cuts a document, none of the gradient is missing."""
    model = make(name).eval()
    tokens, targets = drawn(2, T), drawn(2, T, seed=2)
    resets = torch.zeros(2, T, dtype=torch.bool)
    resets[:, ::4] = True
    found = truncation(model, tokens, targets, resets=resets, windows=[2, 4, 8])
    np.testing.assert_allclose(found.gradient, plain_gradient(model, tokens, targets, T, resets), atol=1e-10)
    assert found.bias[0] > 1e-6
    np.testing.assert_allclose(found.bias[1:], 0, atol=1e-10)


@pytest.mark.parametrize("name", MODELS_TRIED)
@pytest.mark.parametrize(("stride", "window"), [(1, 3), (2, 6), (4, 8), (5, 7)])
def test_a_stride_takes_every_loss_through_the_window_that_ends_with_it(
    make: Make, name: str, stride: int, window: int
) -> None:
    model = make(name).eval()
    tokens, targets = drawn(2, T), drawn(2, T, seed=2)
    expected = torch.zeros(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    for start in range(0, T, stride):
        begin, stop = max(0, start + stride - window), min(start + stride, T)
        with torch.no_grad():
            _, state = model(tokens[:, :begin])
        logits, _ = model(tokens[:, begin:stop], detach(state))
        loss = F.cross_entropy(
            logits[:, start - begin :].flatten(0, 1), targets[:, start:stop].flatten(), reduction="sum"
        )
        expected += torch.cat([g.flatten() for g in torch.autograd.grad(loss / targets.numel(), [*model.parameters()])])
    found = truncation(model, tokens, targets, windows=[window], stride=stride)
    np.testing.assert_allclose(found.gradient, plain_gradient(model, tokens, targets, T), atol=1e-10)
    full = torch.from_numpy(found.gradient)
    assert found.cosine[0] == pytest.approx(float(F.cosine_similarity(expected, full, dim=0)), abs=1e-9)
    assert found.bias[0] == pytest.approx(float((expected - full).norm() / full.norm()), abs=1e-9)


@pytest.mark.parametrize("name", RECURRENT)
def test_what_is_kept_grows_with_the_window(make: Make, name: str) -> None:
    model = make(name, num_layers=1, hidden_size=32)
    found = truncation(model, drawn(8, 128), drawn(8, 128, seed=2), windows=[16, 64])
    assert (np.diff(found.megabytes) > 0).all()
    hidden = 8 * 128 * 32 * 8 / 1e6  # every state once
    if name != "recomputed":
        assert found.megabytes[-1] > hidden


def test_the_smallest_window_is_past_every_short_one(make: Make) -> None:
    found = truncation(make("lstm"), drawn(2, T), drawn(2, T, seed=2), windows=[1, 2, 4, 8])
    shaped = replace(found, cosine=np.array([0.5, 0.995, 0.9, 0.992, 1.0]))
    assert shaped.smallest_window(0.99) == 8
    assert shaped.smallest_window(0.4) == 1
    assert shaped.smallest_window(0.9999) == T
    for spoilt in ([np.nan] * 5, [0.0] * 5, [1, 1, 1, 1, np.nan]):  # weights or a gradient of no use
        assert replace(shaped, cosine=np.array(spoilt)).smallest_window(0.99) == T

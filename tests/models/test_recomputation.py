"""Models that recompute: the same results, gradients and dropout, less kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elman.models import RecurrentEncoderDecoder, TransformerEncoderDecoder, TransformerLM, build
from elman.models.classifier import build_classifier

SMALL = {"hidden_size": 8}
TRANSFORMER = {"num_heads": 2, "dropout": 0.2}


def translated(model: Any, x: Tensor) -> Tensor:
    hidden, _ = model.read(x, model.encode(x))
    return model.output(hidden)


MODELS: dict[str, Any] = {  # by name: a maker, and a call of the model with tokens (B, T)
    "transformer": (lambda **own: TransformerLM(9, **SMALL, **TRANSFORMER, **own), lambda model, x: model(x)[0]),
    "lstm": (
        lambda **own: build({"model": "lstm", "vocab_size": 9, "dropout_hidden": 0.2, **SMALL, **own}),
        lambda model, x: model(x)[0],
    ),
    "transformer translator": (
        lambda **own: TransformerEncoderDecoder(9, 9, **SMALL, **TRANSFORMER, **own),
        translated,
    ),
    "gru translator": (lambda **own: RecurrentEncoderDecoder("gru", 9, 9, **SMALL, dropout=0.2, **own), translated),
    "transformer classifier": (
        lambda **own: build_classifier(
            {"model": "transformer", "vocab_size": 9, "outputs": 3, **SMALL, **TRANSFORMER, **own}
        ),
        lambda model, x: model(x)[0],
    ),
    "gru classifier": (
        lambda **own: build_classifier({"model": "gru", "vocab_size": 9, "outputs": 3, **SMALL, **own}),
        lambda model, x: model(x)[0],
    ),
}


@contextmanager
def kept() -> Iterator[list[int]]:
    """The bytes of each tensor that a forward pass keeps for its backward pass."""
    found: list[int] = []

    def keep(x: Tensor) -> Tensor:
        found.append(x.nbytes)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        yield found


def gradients(model: nn.Module, call: Any, x: Tensor) -> tuple[list[Tensor], int]:
    """The outputs and all gradients, in training, and how many bytes were kept."""
    torch.manual_seed(3)
    with kept() as found:
        outputs = call(model, x)
    model.zero_grad()
    outputs.cos().sum().backward()
    return [outputs, *(p.grad for p in model.parameters() if p.grad is not None)], sum(found)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 7), (1, 33), (3, 33)])
def test_numbers_stay_and_less_is_kept(name: str, B: int, T: int) -> None:
    make, call = MODELS[name]
    torch.manual_seed(1)
    plain, model = make().double(), make(recompute=True).double()
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.load_state_dict(plain.state_dict())
    x = torch.randint(0, 9, (B, T))
    expected, whole = gradients(plain, call, x)
    found, less = gradients(model, call, x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    if T == 33:
        assert less < whole


def test_a_carried_memory() -> None:
    """The gradient through two calls, the second of which goes on from the first one's memory."""
    torch.manual_seed(1)
    x, found = torch.randint(0, 9, (2, 12)), []
    plain = TransformerLM(9, **SMALL, num_heads=2, window=5).double()
    for recompute in (False, True):
        model = TransformerLM(9, **SMALL, num_heads=2, window=5, recompute=recompute).double()
        model.load_state_dict(plain.state_dict())
        first, state = model(x[:, :7])
        second, _ = model(x[:, 7:], state)
        (first.sum() + second.cos().sum()).backward()
        found.append([first, second, *(p.grad for p in model.parameters())])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)

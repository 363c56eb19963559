"""Generation over the state contract equals reading everything again for every token."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from elman.decode import generation
from elman.decode.generation import generate
from elman.decode.sampling import sample
from elman.models import LanguageModel, build

V = 13
KINDS: dict[str, dict[str, Any]] = {
    "elman": {"model": "elman", "hidden_size": 9},
    "gru": {"model": "gru", "hidden_size": 9, "num_layers": 2, "dropout_output": 0.5},
    "lstm": {"model": "lstm", "hidden_size": 9},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2},
    "transformer in a window": {"model": "transformer", "hidden_size": 8, "num_heads": 2, "window": 4},
}


def model(kind: str) -> LanguageModel:
    torch.manual_seed(0)
    return build({**KINDS[kind], "vocab_size": V}).double().eval()


def most_probable(logits: Tensor) -> Tensor:
    return sample(logits, temperature=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", [[3], [1, 5, 2, 2, 9, 0, 4]])
def test_the_most_probable_tokens_are_those_of_a_full_forward(
    monkeypatch: pytest.MonkeyPatch, kind: str, prompt: list[int]
) -> None:
    monkeypatch.setattr(generation, "WINDOW", 3)
    network = model(kind)
    text = list(prompt)
    for token, log_probability, _ in islice(generate(network, prompt, most_probable), 9):
        logits, _ = network(torch.tensor([text]))
        assert token == int(logits[0, -1].argmax())
        assert log_probability == pytest.approx(logits[0, -1].log_softmax(-1)[token].item(), abs=1e-9)
        text.append(token)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_goes_on_from_its_state(kind: str) -> None:
    network = model(kind)
    written = list(islice(generate(network, [3, 1], most_probable), 9))
    token, _, state = written[4]
    more = islice(generate(network, [token], most_probable, state=state), 4)
    assert [token for token, _, _ in more] == [token for token, _, _ in written[5:]]


def test_what_is_banned_is_never_written_but_keeps_its_probability() -> None:
    network = model("gru")
    first, p, _ = next(generate(network, [1], most_probable))
    [(second, q, _)] = islice(generate(network, [1], most_probable, banned=[first]), 1)
    assert second != first
    assert q < p
    written = islice(generate(network, [1], lambda x: sample(x, temperature=5.0), banned=range(1, V)), 20)
    assert {token for token, _, _ in written} == {0}


def test_nothing_is_banned_by_default() -> None:
    torch.manual_seed(1)
    written = islice(generate(model("gru"), [1], lambda x: sample(x, temperature=50.0)), 300)
    assert {token for token, _, _ in written} == set(range(V))

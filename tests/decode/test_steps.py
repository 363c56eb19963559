"""The two calls of decoding equal one reading of everything."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from elman.decode import generation, prefill, step
from elman.errors import UserError
from elman.models import build, build_encoder_decoder

V = 11
CONFIGS: dict[str, dict[str, Any]] = {
    "elman": {"model": "elman"},
    "lstm": {"model": "lstm", "num_layers": 2},
    "transformer": {"model": "transformer", "num_heads": 2, "num_layers": 2},
    "window": {"model": "transformer", "num_heads": 2, "num_layers": 1, "window": 4},
    "pairs gru": {"model": "gru", "source_vocab_size": V},
    "pairs transformer": {"model": "transformer", "num_heads": 2, "source_vocab_size": V},
}
every_model = pytest.mark.parametrize("name", CONFIGS)
close = {"rtol": 0, "atol": 1e-10}


def make(name: str) -> Any:
    torch.manual_seed(0)
    config = {"vocab_size": V, "hidden_size": 8} | CONFIGS[name]
    model = (build_encoder_decoder if "source_vocab_size" in config else build)(config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some_tokens(B: int, T: int, seed: int = 1) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def begin(model: Any, B: int) -> Any:
    """The state of a fresh memory, or of a source."""
    return model.encode(some_tokens(B, 5, 3), [5, 2, 4][:B]) if hasattr(model, "encode") else None


@every_model
@pytest.mark.parametrize("lengths", [None, [9, 1, 4], [3, 6, 3]])
@pytest.mark.parametrize("window", [1, 3, 4, 512])
def test_what_is_prefilled_and_stepped_is_what_is_read_whole(
    monkeypatch: pytest.MonkeyPatch, name: str, lengths: list[int] | None, window: int
) -> None:
    monkeypatch.setattr(generation, "WINDOW", window)
    model, tokens, further = make(name), some_tokens(3, 9), some_tokens(3, 4, 2)
    logits, state = prefill(model, tokens, begin(model, 3), lengths)
    ends = lengths or [9] * 3
    whole = [torch.cat((tokens[row, :end], further[row])) for row, end in enumerate(ends)]
    source = begin(model, 3)
    for t in range(5):
        for row, end in enumerate(ends):
            alone = None if source is None else model.encode(some_tokens(3, 5, 3)[[row], : [5, 2, 4][row]])
            expected = model(whole[row][None, : end + t], alone)[0][0, -1]
            torch.testing.assert_close(logits[row], expected, **close)
        if t < 4:
            logits, state = step(model, further[:, t], state)


@every_model
def test_a_state_is_gone_on_with(name: str) -> None:
    model, tokens = make(name), some_tokens(2, 9)
    whole, _ = prefill(model, tokens, begin(model, 2))
    _, state = prefill(model, tokens[:, :4], begin(model, 2), [4, 4])
    logits, _ = prefill(model, tokens[:, 4:].tolist(), state)
    torch.testing.assert_close(logits, whole, **close)
    assert logits.shape == (2, V)


def test_what_cannot_be_read_is_told() -> None:
    model, pairs = make("elman"), make("pairs gru")
    with pytest.raises(UserError, match=r"tokens: expected at least one step to read, got shape \(2, 0\)"):
        prefill(model, torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(UserError, match="lengths: expected from 1 to 3"):
        prefill(model, some_tokens(2, 3), lengths=[0, 3])
    with pytest.raises(UserError, match=r"state: expected that of model.encode"):
        prefill(pairs, some_tokens(2, 3))
    with pytest.raises(UserError, match="tokens: expected integers of shape 1 dimension, got shape"):
        step(model, some_tokens(2, 1), prefill(model, some_tokens(2, 3))[1])

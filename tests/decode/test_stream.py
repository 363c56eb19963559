"""A text in calls of several tokens is the text token by token."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from elman.decode import stream as streams
from elman.decode.arena import WrittenRows
from elman.decode.generation import generate
from elman.decode.native_arena import NativeRows
from elman.decode.sampling import sample
from elman.decode.stream import read, stream
from elman.decode.uniforms import uniforms
from elman.errors import UserError
from elman.kernels.native import instruction_set
from elman.models import LanguageModel, build
from elman.models.steps import Steps

V, END = 11, 10
KINDS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "num_layers": 2},
    "slstm": {"model": "slstm"},
    "transformer": {"model": "transformer", "num_heads": 2},
}
needs_core = pytest.mark.skipif(instruction_set() is None, reason="the compiled core was not built")


def model(kind: str) -> LanguageModel:
    torch.manual_seed(3)
    made = build({"vocab_size": V, "hidden_size": 8, **KINDS[kind]}).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def token_by_token(made: LanguageModel, prompt: list[int], seed: int, most: int) -> list[tuple[int, float]]:
    """By the usual steps, up to the end of the document."""
    numbers, written = uniforms(seed), []

    def choose(logits: Tensor) -> Tensor:
        return sample(logits, temperature=0.9, uniform=torch.tensor([next(numbers)], dtype=torch.double))

    made.steps = partial(Steps, made)  # type: ignore[method-assign]
    for token, log_p, _ in islice(generate(made, prompt, choose, banned=[0]), most):
        written.append((token, log_p))
        if token == END:
            break
    del made.steps
    return written


@pytest.mark.parametrize("most", [1, 7, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_text_token_by_token(kind: str, most: int) -> None:
    made = model(kind)
    for seed in range(4):
        expected = token_by_token(made, [3, 1], seed, most)
        found = [*stream(made, [3, 1], uniforms(seed), most, temperature=0.9, banned=[0], end=END)]
        assert [each.token for each in found] == [token for token, _ in expected]
        np.testing.assert_allclose([each.log_probability for each in found], [p for _, p in expected], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_of_every_token_is_that_before_it(kind: str) -> None:
    made, tokens = model(kind).requires_grad_(False), [3, 1]
    for each in stream(made, tokens[:], uniforms(5), 20, temperature=0.9):
        expected = made([[*tokens, each.token]])[0][:, -1:]
        for memory in (each.memory(), read(made, tokens)):
            torch.testing.assert_close(made([[each.token]], memory)[0], expected)
        tokens.append(each.token)


@needs_core
@pytest.mark.parametrize(("seconds", "expected"), [(1e9, [1, 2, 4, 8, 5]), (0.0, [1] * 20)])
def test_a_call_takes_no_longer_than_a_reader_waits(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: list[int]
) -> None:
    """Calls become longer while they are quick, and a slow one is followed by a shorter one."""
    calls, write = [], NativeRows.write

    def counted(arena: NativeRows, slots: Any, draws: Any, steps: int, **options: Any) -> WrittenRows:
        calls.append(steps)
        return write(arena, slots, draws, steps, **options)

    monkeypatch.setattr(NativeRows, "write", counted)
    monkeypatch.setattr(streams, "LONGEST", seconds)
    assert len([*stream(model("lstm"), [1], uniforms(0), 20)]) == 20
    assert calls == expected


@needs_core
def test_logits_that_are_no_numbers_are_said() -> None:
    made = model("lstm")
    torch.nn.init.constant_(made.decoder.bias, torch.nan)
    with pytest.raises(UserError, match="NaN"):
        [*stream(made, [1], uniforms(0), 20)]

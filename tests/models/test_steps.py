"""Steps, one token of each row at a time in a memory of their own, against reading the tokens whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elman.kernels.native.library import has_avx512
from elman.models import build, build_encoder_decoder
from elman.models.steps import Steps
from elman.models.transformer_steps import RecordedSteps
from elman.state import map_state, select_rows

SIZES = {"vocab_size": 11, "hidden_size": 20, "num_heads": 2}
TRANSFORMER = {"model": "transformer", "num_layers": 2, **SIZES}
recorded = RecordedSteps if has_avx512() else Steps


def randomised(model: Any, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.to(dtype).eval()


def run(steps: Steps, tokens: Tensor) -> Tensor:
    return torch.stack([steps(token) for token in tokens.unbind(1)], dim=1)


@pytest.mark.parametrize("B", [1, 3, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options",
    [{}, {"window": 7}, {"window": 1}, {"positions": "sinusoidal"}, {"qk_norm": False, "tied": True}],
    ids=["rotary", "window", "alone", "sinusoidal", "plain"],
)
def test_steps_are_reading(options: dict[str, Any], dtype: torch.dtype, B: int) -> None:
    model = randomised(build(TRANSFORMER | options), dtype)
    tokens, lengths = torch.randint(11, (B, 90)), torch.arange(B) % 5 + 1
    with torch.inference_mode():
        _, state = model.read(tokens[:, :5], lengths=lengths)
        wanted, after = model(tokens[:, 5:], state)
        steps = model.steps(map_state(torch.clone, state))
        assert type(steps) is recorded
        found = run(steps, tokens[:, 5:])
    tolerance = {"rtol": 0, "atol": 1e-11 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(found, wanted, **tolerance)
    assert steps.state.position.equal(after.position)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_model_has_steps(cell: str) -> None:
    model = randomised(build({"model": cell, "vocab_size": 11, "hidden_size": 12}), torch.float64)
    tokens = torch.randint(11, (3, 7))
    with torch.inference_mode():
        torch.testing.assert_close(run(model.steps(model.initial_state(3)), tokens), model(tokens)[0])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_steps_of_a_decoder_whose_rows_share_sources(norm: str) -> None:
    """Sources leave, hypotheses change places, and W of them write a target of one source."""
    sizes = {"source_vocab_size": 9, "encoder_layers": 1, "decoder_layers": 2, "norm": norm}
    model = randomised(build_encoder_decoder({"model": "transformer"} | SIZES | sizes), torch.float64)
    source, lengths, tokens = torch.randint(9, (3, 6)), torch.tensor([6, 1, 4]), torch.randint(11, (3, 8))
    with torch.inference_mode():
        state = model.encode(source, lengths)
        wanted, _ = model(tokens, state)
        steps = model.steps(map_state(torch.clone, state))
        assert type(steps) is (recorded if norm == "pre" else Steps)
        torch.testing.assert_close(run(steps, tokens[:, :2]), wanted[:, :2], rtol=0, atol=1e-11)
        # Two rows for each source, then the first source alone.
        twice = torch.arange(3).repeat_interleave(2)
        own = {"keys", "values", "position"}
        parts = {name: select_rows(part, twice) for name, part in steps.state._asdict().items() if name in own}
        steps.state = steps.state._replace(**parts)
        torch.testing.assert_close(run(steps, tokens[twice, 2:4]), wanted[twice, 2:4], rtol=0, atol=1e-11)
        steps.state = map_state(lambda x: x[: len(x) // 3], steps.state)
        torch.testing.assert_close(run(steps, tokens[twice[:2], 4:]), wanted[twice[:2], 4:], rtol=0, atol=1e-11)


def test_other_weights_are_noticed() -> None:
    model = randomised(build(TRANSFORMER), torch.float64)
    with torch.inference_mode():
        steps = model.steps(model.initial_state(1))
        steps(torch.tensor([3]))
        state = map_state(torch.clone, steps.state)
        with torch.inference_mode(False), torch.no_grad():
            model.layers[0].attention.out.weight.mul_(2)  # in place
            model.norm.weight.data = model.norm.weight * 3  # elsewhere
        wanted, _ = model(torch.tensor([[5]]), state)
        torch.testing.assert_close(steps(torch.tensor([5])), wanted[:, 0], rtol=0, atol=1e-11)


def test_a_model_that_somebody_looks_into_is_not_recorded() -> None:
    model = randomised(build(TRANSFORMER), torch.float64)
    seen = []
    model.layers[0].attention.register_forward_hook(lambda *call: seen.append(call))
    with torch.inference_mode():
        steps = model.steps(model.initial_state(1))
        assert type(steps) is Steps
        steps(torch.tensor([3]))
    assert seen
    with torch.enable_grad():
        assert type(build(TRANSFORMER).eval().steps(model.initial_state(1))) is Steps

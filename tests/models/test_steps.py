"""Steps, one token of each row at a time in a memory of their own, against reading the tokens whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elman.errors import UserError
from elman.kernels.native.library import has_avx512, instruction_set
from elman.models import build, build_encoder_decoder
from elman.models.recurrent_steps import NativeSteps
from elman.models.steps import Steps
from elman.models.transformer_steps import RecordedSteps
from elman.state import leaves, map_state, select_rows

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


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "slstm"])
def test_every_model_has_steps(cell: str) -> None:
    model = randomised(build({"model": cell, "vocab_size": 11, "hidden_size": 12, "num_layers": 2}), torch.float64)
    tokens = torch.randint(11, (3, 7))
    with torch.inference_mode():
        steps = model.steps(model.initial_state(3))
        assert type(steps) is (Steps if cell == "slstm" or instruction_set() is None else NativeSteps)
        found, (wanted, after) = run(steps, tokens), model(tokens)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close([*leaves(steps.state)], [*leaves(after)])


@pytest.mark.parametrize("rows", [[2, 0, 2, 1], [1]])
def test_rows_are_chosen_between_steps(rows: list[int]) -> None:
    model = randomised(build({"model": "lstm", "vocab_size": 11, "hidden_size": 12}), torch.float64)
    tokens = torch.randint(11, (3, 7))
    with torch.inference_mode():
        steps = model.steps(model.initial_state(3))
        run(steps, tokens[:, :4])
        steps.state = select_rows(steps.state, torch.tensor(rows))
        torch.testing.assert_close(run(steps, tokens[rows, 4:]), model(tokens[rows])[0][:, 4:])
        with pytest.raises(UserError, match="from 0 to 10"):
            steps(torch.full((len(rows),), 11))


def test_steps_with_gradients_are_the_usual_ones() -> None:
    model = randomised(build({"model": "gru", "vocab_size": 11, "hidden_size": 12}), torch.float64)
    assert type(model.steps(model.initial_state(1))) is Steps


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

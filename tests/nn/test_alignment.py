"""The attention of recurrent decoders, against its formulas one row and one step at a time."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from elman.nn.alignment import Alignment, Score


def context(module: Alignment, query: Tensor, memory: Tensor) -> Tensor:
    """Of one step (H,) and one source (S, M)."""
    if module.score == "dot":
        scores = memory @ query
    elif module.score == "general":
        scores = (memory @ module.project_memory.weight.T) @ query
    else:
        inner = module.project_query(query) + memory @ module.project_memory.weight.T
        scores = torch.tanh(inner) @ module.energy.weight[0]
    return scores.softmax(0) @ memory


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("score", get_args(Score))
def test_it_is_the_formula_and_sees_no_padding(score: Score, steps: int) -> None:
    torch.manual_seed(0)
    module = Alignment(score, 6, 6).double()
    query, memory = (torch.randn(3, n, 6, dtype=torch.double, requires_grad=True) for n in (steps, 5))
    lengths = torch.tensor([5, 1, 3])
    keys = module.project(memory)
    ours = module(query, keys, memory, lengths)
    rows = zip(query, memory, lengths.tolist(), strict=True)
    expected = torch.stack([torch.stack([context(module, q, m[:n]) for q in steps]) for steps, m, n in rows])
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    weights = module.weights(query, keys, lengths)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, steps, dtype=torch.double))
    assert not weights[torch.arange(5).expand(3, steps, 5) >= lengths[:, None, None]].any()
    inputs = [query, memory, *module.parameters()]
    given = torch.randn_like(ours)
    for gradient, theirs in zip(*(torch.autograd.grad(y, inputs, given) for y in (ours, expected)), strict=True):
        torch.testing.assert_close(gradient, theirs, rtol=1e-10, atol=1e-10)

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.errors import UserError
from elman.nn import GRU, LSTM, Elman
from elman.nn.dropout import Dropout, check_probability, embedding_dropout, locked_dropout


@pytest.mark.parametrize(("shape", "time_dim"), [((33, 3, 64), 0), ((3, 33, 64), 1)])
def test_locked_mask_is_constant_over_time_and_differs_between_rows(shape, time_dim):
    torch.manual_seed(0)
    y = locked_dropout(torch.ones(shape), 0.4, training=True, time_dim=time_dim).movedim(time_dim, 0)
    assert (y == y[0]).all()
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert not y[0, 0].equal(y[0, 1])


def test_locked_dropout_keeps_the_expectation_and_its_gradient_is_the_mask():
    torch.manual_seed(0)
    x = torch.ones(2, 500, 200, requires_grad=True)
    y = locked_dropout(x, 0.25, training=True)
    assert y.mean().item() == pytest.approx(1, abs=0.01)  # 100 000 draws: five standard deviations
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.equal(y.detach())


def test_embedding_dropout_drops_words_wherever_they_occur():
    torch.manual_seed(0)
    tokens = torch.randint(50, (7, 33))
    y = embedding_dropout(torch.ones(7, 33, 5), tokens, 50, 0.3, training=True)
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    for word in tokens.unique():
        assert len(y[tokens == word].unique()) == 1


def test_embedding_dropout_is_dropout_of_the_matrix_rows():
    torch.manual_seed(0)
    weight = torch.randn(20, 6, dtype=torch.float64)
    tokens = torch.randint(20, (4, 9))
    torch.manual_seed(1)
    y = embedding_dropout(weight[tokens], tokens, 20, 0.5, training=True)
    torch.manual_seed(1)
    mask = torch.empty(20, 1, dtype=torch.float64).bernoulli_(0.5) / 0.5
    torch.testing.assert_close(y, torch.nn.functional.embedding(tokens, weight * mask))


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_dropped_in_eval_or_at_zero(training):
    x, tokens = torch.randn(3, 2, 4), torch.zeros(3, 2, dtype=torch.int64)
    p = 0.0 if training else 0.9
    assert locked_dropout(x, p, training=training) is x
    assert embedding_dropout(x, tokens, 5, p, training=training) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_what_is_no_probability_of_dropout(p):
    with pytest.raises(UserError, match="dropout_input: expected a probability"):
        check_probability("dropout_input", p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_so_many_and_scales_the_others(p):
    torch.manual_seed(0)
    dropout = Dropout(p)
    x = torch.ones(500, 401, requires_grad=True)
    y = dropout(x)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-3)
    share = (y == 0).double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5 + 1e-5)
    # Neighbours, which share a draw of 64 bits, are independent of each other.
    zero = (y.flatten()[:200_000] == 0).double().view(-1, 4)
    assert torch.corrcoef(zero.t()).fill_diagonal_(0).abs().max() < 0.02
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())
    assert dropout.eval()(x) is x


def test_dropout_of_odd_shapes_and_the_same_seed():
    dropout = Dropout(0.3)
    for shape in [(0,), (1,), (3, 5), (2, 0, 3)]:
        assert dropout(torch.ones(shape)).shape == shape
    masks = []
    for _ in range(2):
        torch.manual_seed(7)
        masks.append(dropout(torch.ones(33)))
    assert torch.equal(*masks)


BELOW_1 = math.nextafter(1, 0)
TOKENS = torch.arange(200)
WAYS: dict[str, Callable[[Tensor, float], Tensor]] = {  # each draws for (200, 200) numbers, all or so many, one mask
    "dropout": lambda x, p: Dropout(p)(x),
    "locked dropout": lambda x, p: locked_dropout(x, p, training=True, time_dim=0),
    "embedding dropout": lambda x, p: embedding_dropout(x, TOKENS, 200, p, training=True),
}
DRAWS = {"dropout": 40_000, "locked dropout": 200, "embedding dropout": 200}
below_1 = st.floats(0, 1, exclude_max=True)
probabilities = below_1 | below_1.map(lambda p: max(0.0, BELOW_1 - p**8)) | below_1.map(lambda p: p**8)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(WAYS)), probabilities, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
@example("dropout", BELOW_1, torch.float32)
@example("dropout", 0.9999999, torch.float32)
@example("dropout", 1 - 2**-17, torch.float32)
@example("dropout", 1 - 2**-18, torch.bfloat16)
@example("dropout", 1 - 2**-8, torch.float64)
@example("dropout", 1 / 3, torch.float64)
@example("locked dropout", BELOW_1, torch.float32)
@example("embedding dropout", BELOW_1, torch.bfloat16)
@example("dropout", 5e-324, torch.float32)
def test_dropout_keeps_the_expectation_at_any_probability(way: str, p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(200, 200, dtype=dtype, requires_grad=True)
    y = WAYS[way](x, p)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.equal(y.detach())
    assert y.isfinite().all()
    kept, N, q = y.count_nonzero().item() * DRAWS[way] / y.numel(), DRAWS[way], 1 - p
    most = 6 * math.sqrt(N * q * p) + 12  # so far may a count be from N q: six standard deviations, and few are rare
    assert abs(kept - N * q) <= most + 0.002 * N * min(p, q)
    precision = 2**-8 if dtype == torch.bfloat16 else 1e-6
    assert abs(y.double().mean().item() - 1) <= most / (N * q) + precision


OPTIONS = ("dropout", "weight_dropout", "recurrent_dropout", "zoneout", "zoneout_cell")


@pytest.mark.parametrize("layer", [Elman, GRU, LSTM])
@settings(max_examples=25, deadline=None)
@given(st.sampled_from(OPTIONS), probabilities)
@example("recurrent_dropout", BELOW_1)
@example("zoneout", BELOW_1)
@example("zoneout", 1e-9)
def test_layers_are_finite_at_any_probability(layer: Callable[..., torch.nn.Module], option: str, p: float) -> None:
    if option == "zoneout_cell" and layer is not LSTM:
        return
    torch.manual_seed(0)
    made = layer(3, 5, 2, **{option: p})
    x = torch.randn(7, 4, 3, requires_grad=True)
    for training in (True, False):
        made.train(training)
        outputs, _ = made(x)
        gradients = torch.autograd.grad(outputs.sum(), [x, *made.parameters()])
        assert all(found.isfinite().all() for found in (outputs, *gradients))

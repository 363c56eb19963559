"""Every backend of every cell against the readable reference, and the reference against its own definition."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.cells import CELLS, cell_named
from elman.kernels import BACKENDS, Trajectory, Weights
from elman.kernels.reference import kernel_of as REFERENCE

EVERY = [each for cell in CELLS.values() for each in (cell, *cell.variants.values())]
HAVE = {"native": "native", "torch": "aten", "scan": "coefficients", "reference": "step"}  # what a cell has for each
SERVED = [(cell.name, name) for cell in EVERY for name in BACKENDS if getattr(cell, HAVE[name]) is not None]
PROJECTED = [(cell, 0, backend) for cell, backend in SERVED]
PROJECTED += [("lstm", 1, backend) for cell, backend in SERVED if cell == "lstm"]  # (cell, P, backend)
every_served = pytest.mark.parametrize(("cell", "backend"), SERVED)

# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def make(
    cell: str, T: int, B: int, D: int, H: int, P: int = 0, bias: bool = True, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, tuple[Tensor, ...], Weights]:
    """An input, a state and weights, all wanting gradients."""
    generator = torch.Generator().manual_seed(T + 10 * B + 100 * H)
    draw = partial(torch.randn, generator=generator, dtype=dtype)
    known = cell_named(cell)
    G, R = len(known.rows) * H, P or H
    weights = Weights(
        draw(G, D) / H**0.5,
        draw(G, R) / H**0.5 if known.recurrent else None,
        draw(G) / H**0.5 if bias else None,
        draw(G) / H**0.5 if bias and known.recurrent else None,
        draw(R, H) / H**0.5 if P else None,
    )
    state = tuple(draw(B, size) for size in known.sizes(H, R))
    if len(state) > 2:
        state[2].abs_().add_(1)  # what normalises is at least 1, but in a fresh state
    x = draw(T, B, D)
    for tensor in (x, *state, *weights):
        if tensor is not None:
            tensor.requires_grad_()
    return x, state, weights


def leaves(x: Tensor, state: tuple[Tensor, ...], weights: Weights) -> list[Tensor]:
    return [tensor for tensor in (x, *state, *weights) if tensor is not None]


def gradients(result: Trajectory, wanted: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a loss in which every output and final state has its own weight."""
    outputs = [result.h, *result.final]
    generator = torch.Generator().manual_seed(0)
    loss = sum((part * torch.randn(part.shape, generator=generator).to(part.dtype)).sum() for part in outputs)
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def some_lengths(T: int, B: int) -> Tensor:
    """Unsorted, with a zero where there is room for one."""
    return torch.tensor([T, 0, max(T - 2, 0), T // 2, T][:B])


def some_resets(T: int, B: int) -> Tensor:
    return torch.rand(T, B, generator=torch.Generator().manual_seed(7)) < 0.3


@pytest.mark.parametrize(("cell", "P", "backend"), [case for case in PROJECTED if case[2] != "reference"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("T", "B", "D", "H"), [(1, 1, 3, 5), (7, 3, 1, 5), (33, 5, 3, 64), (0, 2, 3, 5), (3, 0, 2, 5)])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("with_resets", [False, True])
def test_a_backend_equals_the_reference(
    backend: str,
    cell: str,
    P: int,
    bias: bool,
    T: int,
    B: int,
    D: int,
    H: int,
    reverse: bool,
    with_lengths: bool,
    with_resets: bool,
):
    inputs = make(cell, T, B, D, H, P, bias)
    options = {
        "reverse": reverse,
        "lengths": some_lengths(T, B) if with_lengths else None,
        "resets": some_resets(T, B) if with_resets else None,
    }
    expected = REFERENCE(cell)(*inputs, **options)
    result = BACKENDS[backend].kernel(cell)(*inputs, **options)

    assert result.h.shape == expected.h.shape
    torch.testing.assert_close(result.h, expected.h, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(result.final, expected.final, atol=1e-6, rtol=1e-5)
    if result.others is not None:
        torch.testing.assert_close(result.others, expected.others, atol=1e-6, rtol=1e-5)
    wanted = leaves(*inputs)
    # Sums over as many as T * B steps: the tolerance is relative to the largest of them.
    for ours, theirs in zip(gradients(result, wanted), gradients(expected, wanted), strict=True):
        scale = theirs.abs().max().item() if theirs.numel() else 0.0
        torch.testing.assert_close(ours, theirs, atol=1e-6 * max(1.0, scale), rtol=1e-5)


rows = st.lists(st.tuples(st.integers(0, 9), st.lists(st.booleans(), min_size=9, max_size=9)), min_size=1, max_size=4)


@every_served
@pytest.mark.parametrize("reverse", [False, True])
@settings(max_examples=15, deadline=None)
@given(rows)
def test_a_row_is_read_as_if_alone_and_each_of_its_sequences_as_if_alone(backend, cell, reverse, drawn):
    T, B = 9, len(drawn)
    kernel = BACKENDS[backend].kernel(cell)
    x, state, weights = make(cell, T, B, 3, 5, dtype=torch.float64)
    lengths = torch.tensor([length for length, _ in drawn])
    resets = torch.tensor([flags for _, flags in drawn]).T
    result = kernel(x, state, weights, reverse=reverse, lengths=lengths, resets=resets)

    for b in range(B):
        length = int(lengths[b])
        borders = [t for t in range(1, length) if resets[t, b]]
        pieces = list(zip([0, *borders], [*borders, length], strict=True))
        memory = tuple(part[b : b + 1] for part in state)
        if length and resets[0, b] and not reverse:
            memory = tuple(torch.zeros_like(part) for part in memory)
        for n, (start, stop) in enumerate(reversed(pieces) if reverse else pieces):
            if n > 0:
                memory = tuple(torch.zeros_like(part) for part in memory)
            alone = REFERENCE(cell)(x[start:stop, b : b + 1], memory, weights, reverse=reverse)
            torch.testing.assert_close(result.h[start:stop, b : b + 1], alone.h)
            memory = alone.final
        for final, expected in zip(result.final, memory, strict=True):
            torch.testing.assert_close(final[b : b + 1], expected)
        assert not result.h[length:, b].any()


@every_served
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("junk", [1e30, float("inf"), float("nan")])
def test_padding_leaves_no_trace(backend: str, cell: str, reverse: bool, junk: float):
    x, state, weights = make(cell, 5, 4, 3, 5)
    lengths, resets = some_lengths(5, 4), some_resets(5, 4)
    padding = (torch.arange(5)[:, None] >= lengths)[..., None]
    kernel = partial(BACKENDS[backend].kernel(cell), reverse=reverse, lengths=lengths, resets=resets)
    results = []
    for value in (0.0, junk):
        filled = x.detach().masked_fill(padding, value).requires_grad_()
        result = kernel(filled, state, weights)
        results.append((result.h, *result.final, *gradients(result, leaves(filled, state, weights))))
    torch.testing.assert_close(*results, atol=0, rtol=0)
    assert not results[1][len(state) + 1].masked_select(padding).any()  # no gradient into the padding


@pytest.mark.parametrize(("cell", "P", "backend"), PROJECTED)
@pytest.mark.parametrize("junk", [1e30, float("inf"), float("nan")])
def test_an_initial_state_that_is_cleared_leaves_no_trace(backend: str, cell: str, P: int, junk: float):
    x, state, weights = make(cell, 5, 4, 3, 5, P)
    resets = some_resets(5, 4)
    resets[0] = torch.tensor([True, False, True, False])
    results = []
    for value in (0.0, junk):
        filled = tuple(part.detach().masked_fill(resets[0, :, None], value).requires_grad_() for part in state)
        result = BACKENDS[backend].kernel(cell)(x, filled, weights, resets=resets)
        results.append((result.h, *result.final, *gradients(result, leaves(x, filled, weights))))
    torch.testing.assert_close(*results, atol=0, rtol=0)


@pytest.mark.parametrize("backend", ["native", "torch", "reference"])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_overflowed_before_a_reset_leaves_no_trace(backend: str, reverse: bool):
    """The states of the first two steps are infinite, and no loss is taken of them."""
    one = torch.ones(1, 1)
    x, resets = torch.tensor([1e30, 0, 1, 1]), torch.tensor([0, 0, 1, 0]).bool()
    if reverse:
        x = x.flip(0)
    weights = Weights(one.clone().requires_grad_(), (1e10 * one).requires_grad_())
    kernel = BACKENDS[backend].kernel("elman_relu")
    h = kernel(x.view(4, 1, 1), (torch.zeros(1, 1),), weights, reverse=reverse, resets=resets[:, None]).h
    assert not h.isfinite().all()
    found = torch.autograd.grad((h[:2] if reverse else h[2:]).sum(), [weights.weight_ih, weights.weight_hh])
    assert [part.item() for part in found] == pytest.approx([2 + 1e10, 1.0])


@pytest.mark.parametrize(("cell", "P", "backend"), [case for case in PROJECTED if case[2] != "torch"])
@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives(backend: str, cell: str, P: int, reverse: bool):
    x, state, weights = make(cell, 3, 2, 1, 2, P=P, dtype=torch.float64)
    n = len(state)
    options = {
        "reverse": reverse,
        "lengths": torch.tensor([2, 3]),
        "resets": torch.tensor([[0, 0], [1, 0], [0, 1]]).bool(),
    }

    def function(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given = iter(rest[n:])
        own = Weights(*(None if part is None else next(given) for part in weights))
        result = BACKENDS[backend].kernel(cell)(x, rest[:n], own, **options)
        return tuple(part for part in (result.h, *(result.others or ()), *result.final) if part is not None)

    inputs = leaves(x, state, weights)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@every_served
def test_double_backward_on_a_cpu(backend: str, cell: str):
    """A gradient penalty, as in WGAN-GP: the norm of dL/dx is itself differentiated."""
    inputs = make(cell, 5, 2, 3, 4)

    def penalty(kernel) -> tuple[Tensor, ...]:
        (dx,) = torch.autograd.grad(kernel(*inputs).h.pow(2).sum(), inputs[0], create_graph=True)
        return torch.autograd.grad(dx.pow(2).sum(), leaves(*inputs))

    torch.testing.assert_close(penalty(BACKENDS[backend].kernel(cell)), penalty(REFERENCE(cell)), atol=1e-5, rtol=1e-4)

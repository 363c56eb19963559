"""Truncated BPTT against its definition, written as one graph over single steps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from elman.state import State
from elman.train import bptt


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 30) | st.none())
def test_every_step_is_counted_once_and_states_meet(steps: int, k1: int, extra: int | None) -> None:
    k2 = None if extra is None else k1 + extra
    parts = [bptt.stretch(i, steps, k1, k2) for i in range(bptt.count(steps, k1))]
    assert [t for part in parts for t in range(part.start, part.stop)] == list(range(steps))
    for before, part in pairwise(parts):
        assert before.keep == part.begin
    for i, part in enumerate(parts):
        assert 0 <= part.begin <= part.start < part.stop
        assert part.begin <= part.keep <= part.stop
        end = (i + 1) * k1  # where the stretch would end in a longer sequence
        assert end - part.begin == (end if k2 is None else min(end, k2))


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_a_window_that_changes_grows_as_its_memory_allows(steps: int, k1: int, data: st.DataObject) -> None:
    kept = 0
    for i in range(bptt.count(steps, k1)):
        k2 = k1 + data.draw(st.integers(0, 30))
        part = bptt.stretch(i, steps, k1, k2, kept)
        assert (part.begin, part.start) == (kept, i * k1), "a memory can only be read on from where it stands"
        assert part.begin <= part.start < part.stop
        assert part.keep == min(max(part.begin, (i + 2) * k1 - k2), part.stop), "the next one reaches k2 steps back"
        assert part.keep <= part.stop
        kept = part.keep


class Network(nn.Module):
    """h_t = tanh(W x_t + U h_{t-1}), with the outputs h_t: small, and its gradient never vanishes altogether."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.W = nn.Parameter(torch.randn(3, 4, dtype=torch.double) / 2)
        self.U = nn.Parameter(torch.randn(4, 4, dtype=torch.double) / 2)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x @ self.W + h @ self.U)


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean()


def truncated(steps: int, k1: int, k2: int | None) -> list[list[Tensor]]:
    """Each stretch's gradients, by elman."""
    network, x, y = Network(), *data(steps)
    state: State | None = None
    gradients = []

    def read(begin: int, stop: int, state: State | None) -> tuple[Tensor, State]:
        h = torch.zeros(2, 4, dtype=torch.double) if state is None else state
        assert isinstance(h, Tensor)
        outputs = []
        for t in range(begin, stop):
            h = network(x[:, t], h)
            outputs.append(h)
        return torch.stack(outputs, 1), h

    for i in range(bptt.count(steps, k1)):
        part = bptt.stretch(i, steps, k1, k2)
        outputs, state = bptt.read(read, part, state)
        if state is not None:
            assert isinstance(state, Tensor)
            assert not state.requires_grad
        loss = losses(outputs, y[:, part.start : part.stop])
        gradients.append(list(torch.autograd.grad(loss, list(network.parameters()))))
    return gradients


def defined(steps: int, k1: int, k2: int | None) -> list[list[Tensor]]:
    """The same by the definition: the whole past is read for every stretch, and cut k2 steps before its end."""
    network, x, y = Network(), *data(steps)
    gradients = []
    for start in range(0, steps, k1):
        h, outputs = torch.zeros(2, 4, dtype=torch.double), []
        for t in range(min(start + k1, steps)):
            if k2 is not None and t == start + k1 - k2:
                h = h.detach()
            h = network(x[:, t], h)
            outputs.append(h)
        wanted = torch.stack(outputs, 1)[:, -(min(start + k1, steps) - start) :]
        loss = losses(wanted, y[:, start : start + k1])
        gradients.append(list(torch.autograd.grad(loss, list(network.parameters()))))
    return gradients


def data(steps: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, steps, 3, dtype=torch.double), torch.randn(2, steps, 4, dtype=torch.double)


@pytest.mark.parametrize(
    ("k1", "k2"), [(1, 1), (1, 7), (4, 4), (4, 5), (4, 8), (4, 11), (5, 17), (4, None), (17, 17), (20, 20), (3, 40)]
)
def test_gradients_flow_through_the_last_k2_steps_and_no_further(k1: int, k2: int | None) -> None:
    for got, expected in zip(truncated(17, k1, k2), defined(17, k1, k2), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_one_stretch_is_full_bptt() -> None:
    [got] = truncated(33, 33, 33)
    network, x, y = Network(), *data(33)
    h, outputs = torch.zeros(2, 4, dtype=torch.double), []
    for t in range(33):
        h = network(x[:, t], h)
        outputs.append(h)
    losses(torch.stack(outputs, 1), y).backward()
    torch.testing.assert_close(got, [network.W.grad, network.U.grad], rtol=1e-12, atol=1e-12)


def test_truncation_changes_the_gradient() -> None:
    """Or the tests above would show nothing."""
    assert not torch.allclose(truncated(17, 4, 4)[2][1], truncated(17, 4, 8)[2][1], rtol=1e-3)

"""A replica that sends gradients, here as one process of one: what it sends, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from elman.train.objective import Loss, Place
from elman.train.replica import DistributedReplica

HERE = Place(0, 0, 0.0)


@pytest.fixture
def alone() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


class Backwards(nn.Module):
    """Layers of a megabyte each, which are read in the order opposite to that in which they are made."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(512, 512) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in reversed(self.layers):
            x = layer(x)
        return x


class Mean:
    def loss(self, model: nn.Module, place: Place, state: Any) -> Loss:
        return Loss(model(torch.ones(2, 512)).mean(), 2, None)


def sent(replica: DistributedReplica, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What is sent from now on, message by message."""
    found: list[torch.Tensor] = []
    real = dist.all_reduce

    def noting(tensor: torch.Tensor, **options: Any) -> Any:
        found.append(tensor.clone())
        return real(tensor, **options)

    monkeypatch.setattr(dist, "all_reduce", noting)
    return found


@pytest.mark.usefixtures("alone")
def test_gradients_are_sent_in_the_order_in_which_they_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second step on: the layers that are read last have their gradients first."""
    model = Backwards()
    replica = DistributedReplica(model, Mean())  # type: ignore[arg-type]
    messages = sent(replica, monkeypatch)
    for _ in range(2):
        messages.clear()
        model.zero_grad()
        replica(HERE, None).mean.backward()
    first = model.layers[0].weight.grad.flatten()  # type: ignore[union-attr]
    assert len(messages) > 1
    assert any(torch.equal(messages[0][at : at + len(first)], first) for at in (0, 512))  # beside its bias


@pytest.mark.usefixtures("alone")
def test_micro_batches_are_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = DistributedReplica(nn.Linear(512, 1), Mean())  # type: ignore[arg-type]
    messages = sent(replica, monkeypatch)
    replica.begin()
    for part in range(3):
        with replica.reducing(last=part == 2):
            replica(HERE, None).mean.backward()
        assert len(messages) == (part == 2)
    assert messages[0].max() == 3
    assert replica.seconds() > 0


@pytest.mark.usefixtures("alone")
def test_gradients_may_travel_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(512, 1, bias=False)
    replica = DistributedReplica(model, Mean(), torch.bfloat16)  # type: ignore[arg-type]
    messages = sent(replica, monkeypatch)
    (257 * replica(HERE, None).mean).backward()
    assert messages[0].dtype == torch.bfloat16
    assert model.weight.grad is not None
    assert model.weight.grad.dtype == torch.float32
    assert model.weight.grad.unique().tolist() == [256.0]  # 257 has a digit too many

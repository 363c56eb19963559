"""How long a layer remembers to begin with."""

from __future__ import annotations

import pytest
import torch

from elman.models.initialization import initialize_biases
from elman.nn import GRU, LSTM, Elman


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_time_scales_are_spread_up_to_a_horizon(kind: type[GRU] | type[LSTM]) -> None:
    layer, H = kind(3, 500), 500
    before = {name: parameter.clone() for name, parameter in layer.named_parameters()}
    initialize_biases(layer, horizon=100)
    gates = layer.get_parameter("bias_ih_l0").split(H)
    scales = gates[1].exp()  # the update gate, the forget gate
    assert 1 <= scales.min() < 10
    assert 90 < scales.max() <= 99
    assert scales.mean().item() == pytest.approx(50, abs=5)
    if isinstance(layer, LSTM):
        assert torch.equal(gates[0], -gates[1])
    touched = {0, 1} if isinstance(layer, LSTM) else {1}
    for number, (gate, old) in enumerate(zip(gates, before["bias_ih_l0"].split(H), strict=True)):
        assert torch.equal(gate, old) == (number not in touched)
    assert all(torch.equal(layer.get_parameter(n), old) for n, old in before.items() if n != "bias_ih_l0")


def test_a_cell_without_gates_keeps_its_biases() -> None:
    layer = Elman(3, 4)
    before = layer.get_parameter("bias_ih_l0").clone()
    initialize_biases(layer, horizon=100)
    assert torch.equal(layer.get_parameter("bias_ih_l0"), before)

"""What the native kernels refuse: they are handed addresses, so every shape and dtype is looked at before."""

from __future__ import annotations

import pytest
import torch

from elman.kernels.native import kernel_of
from elman.kernels.native.library import library
from elman.kernels.seam import Weights
from elman.nn import GRU, LSTM, Elman

pytestmark = pytest.mark.skipif(library() is None, reason="the native core was not built")

T, B, D, H = 4, 3, 5, 6


def fitting() -> dict[str, torch.Tensor]:
    return {
        "x": torch.randn(T, B, D),
        "h": torch.randn(B, H),
        "weight_ih": torch.randn(3 * H, D),
        "weight_hh": torch.randn(3 * H, H),
        "bias_ih": torch.randn(3 * H),
        "bias_hh": torch.randn(3 * H),
        "lengths": torch.tensor([4, 0, 2]),
        "resets": torch.zeros(T, B, dtype=torch.bool),
    }


def read(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    weights = Weights(parts["weight_ih"], parts["weight_hh"], parts["bias_ih"], parts["bias_hh"])
    return kernel_of("gru")(parts["x"], (parts["h"],), weights, lengths=parts["lengths"], resets=parts["resets"]).h


def test_what_fits_is_read():
    assert read(fitting()).shape == (T, B, H)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("h", torch.zeros(B, H - 1)),
        ("h", torch.zeros(B - 1, H)),
        ("h", torch.zeros(B, H, dtype=torch.float64)),
        ("weight_ih", torch.zeros(3 * H, D + 1)),
        ("weight_hh", torch.zeros(2 * H, H)),
        ("weight_hh", torch.zeros(3 * H, H, dtype=torch.float64)),
        ("bias_ih", torch.zeros(H)),
        ("bias_hh", torch.zeros(3 * H, dtype=torch.float64)),
        ("lengths", torch.tensor([4, 0])),
        ("resets", torch.zeros(B, T, dtype=torch.bool)),
    ],
)
def test_what_does_not_fit_is_refused(name: str, wrong: torch.Tensor):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        read(fitting() | {name: wrong})


@pytest.mark.parametrize("layer", [Elman(D, H), GRU(D, H)], ids=["elman", "gru"])
def test_a_layer_refuses_a_state_of_another_dtype(layer: Elman | GRU):
    with pytest.raises(ValueError, match=r"initial state: expected torch\.float32"):
        layer(torch.zeros(T, B, D), torch.zeros(1, B, H, dtype=torch.float64))


def test_an_lstm_refuses_a_state_that_is_no_pair():
    layer = LSTM(D, H)
    with pytest.raises(TypeError, match="a pair"):
        layer(torch.zeros(T, B, D), torch.zeros(1, B, H))
    with pytest.raises(ValueError, match=r"initial c: expected torch\.float32"):
        layer(torch.zeros(T, B, D), (torch.zeros(1, B, H), torch.zeros(1, B, H).double()))

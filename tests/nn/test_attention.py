import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.nn.attention import Attention, causal_mask
from elman.nn.positions import rotary, rotate, step_positions


def naive_attention(layer: Attention, x: Tensor, keys: Tensor, values: Tensor, rotation, mask: Tensor) -> Tensor:
    """One row, one head and one step at a time, from the formula."""
    B, T, H = x.shape
    N, D = layer.num_heads, H // layer.num_heads
    projected = x @ layer.qkv.weight.T + layer.qkv.bias  # (B, T, 3H): queries, keys, values
    parts = [part.reshape(B, T, N, D).transpose(1, 2) for part in projected.split(H, dim=-1)]
    q, k = layer.query_norm(parts[0]), layer.key_norm(parts[1])
    if rotation is not None:
        q, k = rotate(q, rotation), rotate(k, rotation)
    k, v = torch.cat((keys, k), dim=2), torch.cat((values, parts[2]), dim=2)
    rows = []
    for b in range(B):
        steps = []
        for t in range(T):
            heads = []
            for n in range(N):
                seen = mask[b, 0, t].nonzero()[:, 0]
                weights = torch.exp(k[b, n, seen] @ q[b, n, t] / math.sqrt(D))
                heads.append((weights / weights.sum()) @ v[b, n, seen])
            steps.append(torch.cat(heads))
        rows.append(torch.stack(steps))
    return torch.stack(rows) @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize(("B", "T", "C", "N", "window"), [(1, 1, 0, 1, None), (3, 7, 4, 2, 5), (2, 5, 3, 5, None)])
def test_attention_against_the_formula(B, T, C, N, window, turned, qk_norm):
    torch.manual_seed(0)
    D = 4
    layer = Attention(N * D, N, qk_norm=qk_norm).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(B, T, N * D, dtype=torch.float64, requires_grad=True)
    keys = torch.randn(B, N, C, D, dtype=torch.float64, requires_grad=True)
    values = torch.randn(B, N, C, D, dtype=torch.float64, requires_grad=True)
    positions = step_positions(torch.arange(B), T, torch.rand(B, T) < 0.2)
    rotation = rotary(positions, D, torch.float64) if turned else None
    mask = causal_mask(positions, C, window)

    y, grown_keys, grown_values = layer(x, keys, values, rotation=rotation, mask=mask)
    expected = naive_attention(layer, x, keys, values, rotation, mask)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    assert grown_keys.shape == grown_values.shape == (B, N, C + T, D)
    assert grown_keys[:, :, :C].equal(keys)

    given_to = [x, keys, values, *layer.parameters()]
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, given_to, direction, retain_graph=True)
    for gradient, wanted in zip(got, torch.autograd.grad(expected, given_to, direction), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-10)


def test_without_a_mask_attention_is_plainly_causal():
    torch.manual_seed(0)
    layer = Attention(8, 2).double()
    x, empty = torch.randn(3, 7, 8, dtype=torch.float64), torch.zeros(3, 2, 0, 4, dtype=torch.float64)
    mask = causal_mask(step_positions(torch.zeros(3, dtype=torch.int64), 7), 0)
    masked, _, _ = layer(x, empty, empty, rotation=None, mask=mask)
    plain, _, _ = layer(x, empty, empty, rotation=None, mask=None)
    torch.testing.assert_close(plain, masked, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mask_against_a_list_of_what_was_read(data):
    """A row's history is written out as (sequence, time) pairs; the cache holds the end of it."""
    cached = data.draw(st.integers(0, 6))
    position = data.draw(st.integers(0, 9))
    resets = data.draw(st.lists(st.booleans(), max_size=7))
    window = data.draw(st.none() | st.integers(1, 5))
    history = [("empty", i) for i in range(cached)] + [("old", i) for i in range(position)]
    keys = history[len(history) - cached :]  # the newest last
    queries, sequence = [], "old"
    for t, reset in enumerate(resets):
        sequence = f"since {t}" if reset else sequence
        queries.append((sequence, position + t))
    keys = keys + queries
    expected = [
        [key[0] == query[0] and key[1] <= query[1] and (window is None or query[1] - key[1] < window) for key in keys]
        for query in queries
    ]
    steps = step_positions(torch.tensor([position]), len(resets), torch.tensor([resets], dtype=torch.bool))
    mask = causal_mask(steps, cached, window)
    assert mask.shape == (1, 1, len(resets), cached + len(resets))
    assert mask[0, 0].tolist() == expected

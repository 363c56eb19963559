import pytest
import torch
from torch import nn
from torch.nn import functional as F

from elman.kernels.attention.sight import Sight
from elman.nn.attention import Attention, CrossAttention, SourceMemory
from elman.nn.dropout import Dropout
from elman.nn.positions import rotary


def randomised(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double()


def heads(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    """(B, T, H) -> (B, N, T, 4), through the norm of queries or keys."""
    return norm(x.unflatten(2, (-1, 4)).transpose(1, 2))


@pytest.mark.parametrize("qk_norm", [True, False])
def test_self_attention_is_projection_attention_projection(qk_norm):
    layer = randomised(Attention(12, 3, qk_norm=qk_norm))
    x = torch.randn(2, 7, 12, dtype=torch.float64, requires_grad=True)
    q, k, v = F.linear(x, layer.qkv.weight, layer.qkv.bias).chunk(3, dim=-1)
    parts = heads(q, layer.query_norm), heads(k, layer.key_norm), heads(v, nn.Identity())
    mixed = F.scaled_dot_product_attention(*parts, is_causal=True)
    expected = layer.out(mixed.transpose(1, 2).flatten(2))
    y, memory = layer(x)
    assert memory is None
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    inputs = [x, *layer.parameters()]
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, inputs, direction)
    for gradient, wanted in zip(got, torch.autograd.grad(expected, inputs, direction), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("positions", [[0, 0], [3, 11]])
def test_a_memory_comes_back_with_the_new_steps(positions):
    layer = randomised(Attention(12, 3))
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    empty = torch.zeros(2, 3, 0, 4, dtype=torch.float64)
    steps = torch.tensor(positions)[:, None] + torch.arange(5)
    rotation = rotary(steps, 4, torch.float64)
    fresh = Sight(position=torch.zeros(2, dtype=torch.int64))
    whole, _ = layer(x, (empty, empty), fresh, rotation=rotation)
    first, memory = layer(x[:, :2], (empty, empty), fresh, rotation=tuple(part[:, :2] for part in rotation))
    assert [part.shape for part in memory] == [(2, 3, 2, 4)] * 2
    after = Sight(position=torch.full((2,), 2))
    second, _ = layer(x[:, 2:], memory, after, rotation=tuple(part[:, 2:] for part in rotation))
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cross", [False, True])
def test_a_norm_before_and_a_sum_after_are_those_of_the_branch(cross):
    layer = randomised((CrossAttention if cross else Attention)(12, 3))
    norm, dropout = randomised(nn.LayerNorm(12)), Dropout(0.5)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    source = (SourceMemory(*layer.project(torch.randn(2, 6, 12).double()), Sight(causal=False)),) if cross else ()
    plain = layer(norm(x), *source)
    torch.manual_seed(1)
    branch = layer(x, *source, norm=norm, onto=x, dropout=dropout)
    torch.manual_seed(1)
    wanted = x + dropout(plain if cross else plain[0])
    torch.testing.assert_close(branch if cross else branch[0], wanted, rtol=0, atol=1e-12)

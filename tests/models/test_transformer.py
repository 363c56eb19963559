import math

import pytest
import torch
import torch.nn.functional as F

from elman.errors import UserError
from elman.kernels.attention.backends import choose
from elman.models import TransformerLM
from elman.models.transformer import TransformerState
from elman.state import map_state


def randomised(model: TransformerLM) -> TransformerLM:
    """In float64, with every parameter random: the residual branches begin at zero otherwise."""
    torch.manual_seed(0)
    for parameter in model.double().parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("B", "T"), [(1, 1), (3, 33)])
def test_against_torchs_own_pre_norm_encoder_layers(B, T, tied):
    """Sinusoidal positions without the norm of queries and keys are what `nn.TransformerEncoderLayer` computes."""
    H, N = 12, 3
    model = randomised(
        TransformerLM(9, hidden_size=H, num_layers=2, num_heads=N, positions="sinusoidal", qk_norm=False, tied=tied)
    )
    tokens = torch.randint(9, (B, T))
    table = torch.tensor(
        [[(math.sin, math.cos)[i % 2](t / 10000 ** (i // 2 * 2 / H)) for i in range(H)] for t in range(T)],
        dtype=torch.float64,
    )
    x = model.embedding.weight[tokens] + table
    causal = torch.nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    theirs = torch.nn.ModuleList()
    for ours in model.layers:
        layer = torch.nn.TransformerEncoderLayer(
            H, N, 4 * H, dropout=0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
        )
        for mine, yours in [
            (layer.self_attn.in_proj_weight, ours.attention.qkv.weight),
            (layer.self_attn.in_proj_bias, ours.attention.qkv.bias),
            (layer.self_attn.out_proj.weight, ours.attention.out.weight),
            (layer.self_attn.out_proj.bias, ours.attention.out.bias),
            (layer.norm1.weight, ours.attention_norm.weight),
            (layer.norm1.bias, ours.attention_norm.bias),
            (layer.linear1.weight, ours.feedforward[0].weight),
            (layer.linear1.bias, ours.feedforward[0].bias),
            (layer.linear2.weight, ours.feedforward[2].weight),
            (layer.linear2.bias, ours.feedforward[2].bias),
            (layer.norm2.weight, ours.feedforward_norm.weight),
            (layer.norm2.bias, ours.feedforward_norm.bias),
        ]:
            mine.data.copy_(yours)
        theirs.append(layer)
        x = layer(x, src_mask=causal)
    x = F.layer_norm(x, (H,), model.norm.weight, model.norm.bias)
    expected = x @ (model.embedding if tied else model.decoder).weight.T + model.decoder.bias
    logits, _ = model(tokens)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)

    direction = torch.randn_like(logits)
    shared = [model.embedding.weight, model.norm.weight, model.decoder.bias]
    got = torch.autograd.grad(
        logits, [*shared, model.layers[0].attention.qkv.weight, model.layers[1].feedforward[0].weight], direction
    )
    wanted = torch.autograd.grad(
        expected, [*shared, theirs[0].self_attn.in_proj_weight, theirs[1].linear1.weight], direction
    )
    for ours, yours in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, yours, rtol=0, atol=1e-9)


def test_logits_never_depend_on_later_tokens():
    model = randomised(TransformerLM(9, hidden_size=8, num_layers=2, num_heads=2))
    tokens = torch.randint(9, (1, 12))
    logits, _ = model(tokens)
    for t in range(12):
        changed = tokens.clone()
        changed[:, t] = (changed[:, t] + 1) % 9
        others, _ = model(changed)
        assert others[:, :t].equal(logits[:, :t])
        assert not others[:, t].isclose(logits[:, t]).all()


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_window_bounds_the_memory_and_the_reach(window):
    layers, T = 2, 16
    model = randomised(TransformerLM(9, hidden_size=8, num_layers=layers, num_heads=2, window=window))
    tokens = torch.randint(9, (1, T))
    embedded = model.embedding.weight[tokens].detach().requires_grad_()
    model.embedding.forward = lambda _: embedded  # type: ignore[method-assign]
    hidden, state = model.read(tokens)
    assert [keys.shape for keys in state.keys] == [(1, 2, window - 1, 4)] * layers
    (gradient,) = torch.autograd.grad(hidden[0, -1].pow(2).sum(), embedded)
    reached = gradient[0].abs().sum(-1) > 0
    assert reached.tolist() == [t >= T - 1 - layers * (window - 1) for t in range(T)]


def test_rotary_attention_does_not_know_where_it_stands():
    """With rotary positions a memory may be moved along in time; with sinusoidal ones it is something else."""
    for positions in ("rotary", "sinusoidal"):
        model = randomised(TransformerLM(9, hidden_size=8, num_layers=1, num_heads=2, positions=positions, window=4))
        tokens = torch.randint(9, (2, 3))
        here, _ = model(tokens, TransformerState(*model.initial_state(2)[:2], torch.tensor([0, 0])))
        empty = tuple(torch.zeros(2, 2, 0, 4, dtype=torch.float64) for _ in range(1))
        there, _ = model(tokens, TransformerState(empty, empty, torch.tensor([0, 1000])))
        torch.testing.assert_close(here[0], there[0], rtol=0, atol=0)
        assert here[1].isclose(there[1], rtol=0, atol=1e-9).all() == (positions == "rotary")


def test_position_counts_the_steps_since_the_last_reset():
    model = TransformerLM(9, hidden_size=8, num_heads=2)
    resets = torch.zeros(4, 7, dtype=torch.bool)
    resets[1, 2] = resets[2, 2] = resets[3, 0] = True
    lengths = torch.tensor([7, 7, 1, 0])
    _, state = model(torch.zeros(4, 7, dtype=torch.int64), resets=resets, lengths=lengths)
    assert state.position.tolist() == [7, 5, 1, 0]


def test_it_begins_as_the_identity_between_embedding_and_output():
    torch.manual_seed(0)
    model = TransformerLM(9, hidden_size=8, num_heads=2)
    tokens = torch.randint(9, (2, 5))
    torch.testing.assert_close(model(tokens)[0], model.output(model.norm(model.embedding(tokens))))


def test_dropout_is_random_in_training_and_off_in_eval():
    torch.manual_seed(0)
    model = randomised(TransformerLM(9, hidden_size=8, num_heads=2, dropout=0.5))
    tokens = torch.randint(9, (2, 5))
    assert not model(tokens)[0].equal(model(tokens)[0])
    model.eval()
    assert model(tokens)[0].equal(model(tokens)[0])


def test_attention_with_a_memory_is_one_node_of_the_graph():
    """What makes training with a carried memory fast: forward and backward are the core's, or torch's fused ones."""
    model = TransformerLM(9, hidden_size=8, num_layers=1, num_heads=2, window=5)
    tokens = torch.randint(9, (2, 6))
    _, state = model(tokens)
    logits, _ = model(tokens, state, resets=torch.zeros(2, 6, dtype=torch.bool))
    names, queue = set(), [logits.grad_fn]
    while queue:
        node = queue.pop()
        names.add(node.name())
        queue += [after for after, _ in node.next_functions if after is not None]
    native = choose(torch.device("cpu"), torch.float32) == "native"
    assert ("AttentionNodeBackward" if native else "ScaledDotProductFlashAttentionForCpuBackward0") in names


@pytest.mark.parametrize("window", [None, 4])
def test_reading_in_place_is_reading(window):
    """Rows of different lengths, past the end of a ring and past the room for new entries."""
    model = randomised(TransformerLM(9, hidden_size=8, num_layers=2, num_heads=2, window=window)).eval()
    tokens, lengths = torch.randint(9, (3, 90)), torch.tensor([2, 5, 1])
    with torch.inference_mode():
        _, state = model.read(tokens[:, :5], lengths=lengths)
        copied = map_state(torch.clone, state)
        wanted, _ = model.read(tokens[:, 5:], state)
        rows = []
        for token in tokens[:, 5:].unbind(1):
            hidden, copied = model.advance(token[:, None], copied)
            rows.append(hidden)
    torch.testing.assert_close(torch.cat(rows, dim=1), wanted, rtol=0, atol=1e-10)


@pytest.mark.skipif(choose(torch.device("cpu"), torch.float64) != "native", reason="the core was not built")
@pytest.mark.parametrize("window", [None, 4])
def test_a_token_is_written_into_the_memory_where_there_is_room(window):
    model = randomised(TransformerLM(9, hidden_size=8, num_layers=2, num_heads=2, window=window)).eval()
    with torch.inference_mode():
        _, state = model.advance(torch.tensor([[1], [2]]), model.initial_state(2))
        _, after = model.advance(torch.tensor([[3], [4]]), state)
    assert [x.data_ptr() for x in after.keys + after.values] == [x.data_ptr() for x in state.keys + state.values]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers: expected greater than or equal to 1, got 0"),
        (
            {"hidden_size": 10, "num_heads": 4},
            "num_heads: expected heads of an even size that divide hidden_size 10, got 4",
        ),
        (
            {"hidden_size": 6, "num_heads": 2},
            "num_heads: expected heads of an even size that divide hidden_size 6, got 2",
        ),
        ({"hidden_size": 7, "num_heads": 7, "positions": "sinusoidal"}, "hidden_size: expected an even size for sinu"),
        ({"hidden_size": 10}, "num_heads: expected heads of an even size that divide hidden_size 10, got 4"),
        ({"positions": "learned"}, "positions: expected 'rotary' or 'sinusoidal', got 'learned'"),
        ({"window": 0}, "window: expected greater than or equal to 1, got 0"),
        ({"dropout": 1.5}, "dropout: expected less than 1, got 1.5"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(UserError, match=message):
        TransformerLM(9, **arguments)


@torch.no_grad()
def test_its_reach_is_how_far_back_anything_tells():
    """A token so many steps back changes the last logits; the one before it does not, nor does where it all began."""
    model = randomised(TransformerLM(9, hidden_size=8, num_layers=3, num_heads=2, window=4))
    assert model.reach == 9
    tokens = torch.randint(9, (1, 40))

    def last(tokens):
        return model(tokens)[0][0, -1]

    for back, changes in ((9, True), (10, False), (11, False)):
        other = tokens.clone()
        other[0, -1 - back] = (other[0, -1 - back] + 1) % 9
        assert torch.allclose(last(tokens), last(other), rtol=0, atol=1e-9) is not changes
    torch.testing.assert_close(last(tokens), last(tokens[:, -10:]), rtol=0, atol=1e-9)
    assert not torch.allclose(last(tokens), last(tokens[:, -9:]), rtol=0, atol=1e-9)


def test_a_reach_without_bound():
    assert TransformerLM(9, hidden_size=8, num_heads=2).reach is None
    assert TransformerLM(9, hidden_size=8, num_heads=2, window=4, positions="sinusoidal").reach is None

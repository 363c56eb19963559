"""What these layers do beyond torch.nn: lengths, resets, every state, weight dropout, a forced backend."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from elman.errors import UserError
from elman.nn import GRU, LSTM, Elman

# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS = [(Elman, {}), (Elman, {"nonlinearity": "relu"}), (GRU, {}), (LSTM, {}), (LSTM, {"proj_size": 2})]
layers = pytest.mark.parametrize(("make", "options"), LAYERS)
both_layouts = pytest.mark.parametrize("batch_first", [False, True])


def parts(state) -> tuple[Tensor, ...]:
    """(h,) or (h, c)."""
    return (state,) if isinstance(state, Tensor) else state


def whole(states):
    """The inverse of `parts`."""
    return states[0] if len(states) == 1 else tuple(states)


@layers
@both_layouts
def test_lengths_are_packing_without_the_packing(make, options, batch_first):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, batch_first=batch_first, **options)
    x = torch.randn(4, 7, 3) if batch_first else torch.randn(7, 4, 3)
    lengths = torch.tensor([2, 7, 1, 5])
    packed, expected = layer(pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False))
    outputs, final = layer(x, lengths=lengths)
    repacked = pack_padded_sequence(outputs, lengths, batch_first, enforce_sorted=False)
    torch.testing.assert_close(repacked.data, packed.data, atol=1e-6, rtol=0)
    torch.testing.assert_close(final, expected, atol=1e-6, rtol=0)


@layers
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_no_steps_leave_the_state_as_it_was(make, options, backend):
    layer = make(3, 5, 2, bidirectional=True, backend=backend, **options)
    _, final = layer(torch.randn(4, 2, 3))
    outputs, after = layer(torch.zeros(0, 2, 3), final)
    assert outputs.shape == (0, 2, 2 * layer.output_size)
    torch.testing.assert_close(after, final, atol=0, rtol=0)
    outputs, after = layer(torch.full((4, 2, 3), torch.nan), final, lengths=torch.tensor([0, 0]))
    assert not outputs.any()
    torch.testing.assert_close(after, final, atol=0, rtol=0)


@layers
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_reading_in_pieces_equals_reading_it_whole(make, options, data):
    """Forward only: a bidirectional layer needs to see the end first."""
    torch.manual_seed(0)
    layer = make(3, 5, 2, batch_first=True, dtype=torch.float64, **options)
    B, T = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 8))
    split = data.draw(st.integers(0, T))
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    resets = torch.rand(B, T) < data.draw(st.sampled_from([0.0, 0.2, 1.0]))
    x = torch.randn(B, T, 3, dtype=torch.float64)
    outputs, final = layer(x, lengths=lengths, resets=resets)
    first, state = layer(x[:, :split], lengths=lengths.clamp(max=split), resets=resets[:, :split])
    second, state = layer(x[:, split:], state, lengths=(lengths - split).clamp(min=0), resets=resets[:, split:])
    torch.testing.assert_close(torch.cat([first, second], 1), outputs)
    torch.testing.assert_close(state, final)


@layers
@both_layouts
def test_nothing_passes_a_reset_in_either_direction(make, options, batch_first):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, batch_first=batch_first, **options)
    x = torch.randn(2, 7, 3, requires_grad=True)  # (B, T, D)
    resets = torch.zeros(2, 7, dtype=torch.bool)
    resets[1, 4] = True
    outputs, _ = layer(x if batch_first else x.transpose(0, 1), resets=resets)
    outputs = outputs if batch_first else outputs.transpose(0, 1)
    (left,) = torch.autograd.grad(outputs[1, :4].sum(), x, retain_graph=True)
    (right,) = torch.autograd.grad(outputs[1, 4:].sum(), x, retain_graph=True)
    assert left[1, :4].all()
    assert not left[1, 4:].any()
    assert right[1, 4:].all()
    assert not right[1, :4].any()
    # The row without resets sees everything.
    (other,) = torch.autograd.grad(outputs[0, :4].sum(), x)
    assert other[0].all()
    assert not other[1].any()


@layers
def test_a_reset_at_the_first_step_forgets_the_given_state(make, options):
    torch.manual_seed(0)
    layer = make(3, 5, 2, batch_first=True, **options)
    x, resets = torch.randn(2, 7, 3), torch.zeros(2, 7, dtype=torch.bool)
    resets[0, 0] = True
    _, state = layer(torch.randn(2, 4, 3))
    outputs, _ = layer(x, state, resets=resets)
    torch.testing.assert_close(outputs[0], layer(x[0])[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(outputs[1:], layer(x[1:], whole([p[:, 1:] for p in parts(state)]))[0], atol=1e-6, rtol=0)


@layers
@both_layouts
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_state(make, options, batch_first, bidirectional):
    """states[:, t] is what a forward layer ends with if the row has t + 1 steps; outputs are the last layer's h."""
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=bidirectional, batch_first=batch_first, **options)
    x = torch.randn(2, 7, 3) if batch_first else torch.randn(7, 2, 3)
    lengths = torch.tensor([7, 4])
    outputs, final, states = layer(x, lengths=lengths, return_states=True)
    torch.testing.assert_close((outputs, final), layer(x, lengths=lengths), atol=1e-6, rtol=0)
    states, final = parts(states), parts(final)
    directions = 2 if bidirectional else 1
    assert len(states) == len(final)
    for every, last in zip(states, final, strict=True):
        every = every.transpose(1, 2) if batch_first else every  # (L, T, B, ·)
        assert every.shape == (2 * directions, 7, *last.shape[1:])
        assert not every[:, 4:, 1].any()
        for b, length in enumerate(lengths):
            torch.testing.assert_close(every[::directions, length - 1, b], last[::directions, b])
            if bidirectional:
                torch.testing.assert_close(every[1::2, 0, b], last[1::2, b])
    torch.testing.assert_close(torch.cat(list(states[0][-directions:]), -1), outputs)
    if not bidirectional:
        prefix = x[:, :3] if batch_first else x[:3]
        third = [part[:, :, 2] if batch_first else part[:, 2] for part in states]
        torch.testing.assert_close(tuple(third), parts(layer(prefix)[1]), atol=1e-6, rtol=0)


@layers
def test_options_of_an_unbatched_call(make, options):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, **options)
    x, resets = torch.randn(7, 3), torch.tensor([0, 0, 1, 0, 0, 1, 0]).bool()
    alone = layer(x, lengths=torch.tensor(5), resets=resets, return_states=True)
    batch = layer(x[:, None], lengths=torch.tensor([5]), resets=resets[None], return_states=True)
    torch.testing.assert_close(alone[0], batch[0][:, 0])
    torch.testing.assert_close(parts(alone[1]), tuple(part[:, 0] for part in parts(batch[1])))
    torch.testing.assert_close(parts(alone[2]), tuple(part[:, :, 0] for part in parts(batch[2])))


@layers
@both_layouts
def test_options_of_a_packed_call(make, options, batch_first):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, batch_first=batch_first, **options)
    x = torch.randn(3, 7, 3) if batch_first else torch.randn(7, 3, 3)
    lengths, resets = torch.tensor([2, 7, 4]), torch.rand(3, 7) < 0.3
    padded = layer(x, lengths=lengths, resets=resets, return_states=True)
    packed = layer(
        pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False), resets=resets, return_states=True
    )
    expected = pack_padded_sequence(padded[0], lengths, batch_first, enforce_sorted=False)
    torch.testing.assert_close(packed[0].data, expected.data)
    torch.testing.assert_close(packed[1:], padded[1:])


@layers
def test_wrong_options_are_refused(make, options):
    layer = make(3, 5, **options)
    x = torch.zeros(7, 2, 3)
    for lengths in ([1.0, 2.0], [1, 2, 3], [1, 8], [-1, 2], [True, False], [[1], [2]]):
        with pytest.raises(UserError, match="lengths: expected"):
            layer(x, lengths=torch.tensor(lengths))
    for resets in (torch.zeros(7, 2).bool(), torch.zeros(2, 7), torch.zeros(7).bool()):
        with pytest.raises(UserError, match=r"resets: expected a boolean mask of shape \(2, 7\)"):
            layer(x, resets=resets)
    with pytest.raises(UserError, match="PackedSequence has its own"):
        layer(pack_padded_sequence(x, torch.tensor([7, 2])), lengths=torch.tensor([7, 2]))
    with pytest.raises(UserError, match="backend: expected one of"):
        make(3, 5, backend="cudnn", **options)


def test_a_forced_backend_does_not_fall_back():
    layer = LSTM(3, 5, backend="torch")
    with pytest.raises(UserError, match="'torch' cannot serve this lstm call"):
        layer(torch.zeros(7, 2, 3), return_states=True)
    layer.backend = "reference"
    assert len(layer(torch.zeros(7, 2, 3), return_states=True)) == 3


@layers
def test_weight_dropout(make, options):
    torch.manual_seed(0)
    layer = make(3, 64, 2, weight_dropout=0.25, **options)
    x = torch.randn(5, 2, 3)
    dropped = layer.layer_weights(1, 0).weight_hh
    kept = dropped != 0
    assert 0.7 < kept.float().mean() < 0.8
    torch.testing.assert_close(dropped[kept], layer.weight_hh_l1[kept] / 0.75)
    assert not torch.equal(layer(x)[0], layer(x)[0])

    # One mask for the whole window: reading with the dropped matrix as the layer's own gives the same.
    torch.manual_seed(1)
    outputs, _ = layer(x)
    torch.manual_seed(1)
    masked = {f"weight_hh_l{n}": layer.layer_weights(n, 0).weight_hh for n in range(2)}
    layer.eval()
    expected, _ = torch.func.functional_call(layer, masked, (x,))
    torch.testing.assert_close(outputs, expected, atol=1e-6, rtol=0)
    assert torch.equal(layer(x)[0], layer(x)[0])


@layers
@pytest.mark.parametrize("backend", ["reference", None])
def test_per_sample_gradients(make, options, backend):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, dtype=torch.float64, backend=backend, **options)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}
    x = torch.randn(4, 3, 3, dtype=torch.float64)  # (T, B, D)

    def gradient(weights: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        return torch.func.grad(lambda w: torch.func.functional_call(layer, w, (x,))[0].pow(2).sum())(weights)

    every = torch.func.vmap(gradient, (None, 1))(weights, x)
    for b in range(3):
        torch.testing.assert_close({name: part[b] for name, part in every.items()}, gradient(weights, x[:, b]))


@layers
@pytest.mark.parametrize("backend", ["reference", None])
def test_forward_mode(make, options, backend):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, dtype=torch.float64, backend=backend, **options)
    x = torch.randn(4, 3, 3, dtype=torch.float64)
    lengths, resets = torch.tensor([2, 4, 0]), torch.rand(3, 4) < 0.3

    def outputs(x: Tensor) -> Tensor:
        return layer(x, lengths=lengths, resets=resets)[0]

    v, u = torch.randn_like(x), torch.randn(4, 3, 2 * layer.output_size, dtype=torch.float64)
    _, push = torch.func.jvp(outputs, (x,), (v,))
    _, pull = torch.func.vjp(outputs, x)
    torch.testing.assert_close((push * u).sum(), (pull(u)[0] * v).sum())


@layers
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_options_under_autocast(make, options, backend):
    torch.manual_seed(0)
    layer = make(3, 5, 2, bidirectional=True, backend=backend, **options)
    x, lengths, resets = torch.randn(7, 4, 3), torch.tensor([1, 7, 0, 3]), torch.rand(4, 7) < 0.3
    expected, final = layer(x, lengths=lengths, resets=resets)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, last = layer(x, lengths=lengths, resets=resets)
        one_step, _ = layer(x[:1])
    torch.testing.assert_close(outputs.float(), expected, atol=0.03, rtol=0)
    torch.testing.assert_close([p.float() for p in parts(last)], list(parts(final)), atol=0.03, rtol=0)
    torch.testing.assert_close(one_step.float(), layer(x[:1])[0], atol=0.03, rtol=0)
    outputs.float().sum().backward()


@layers
def test_a_parametrization_is_read_once_a_call(make, options):
    class Halved(torch.nn.Module):
        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            self.calls += 1
            return weight / 2

    torch.manual_seed(0)
    layer, x = make(3, 5, **options), torch.randn(7, 2, 3)
    halved = {"weight_hh_l0": layer.weight_hh_l0.detach() / 2}
    expected = torch.func.functional_call(layer, halved, (x,))
    torch.nn.utils.parametrize.register_parametrization(layer, "weight_hh_l0", halves := Halved())
    before = halves.calls
    torch.testing.assert_close(layer(x), expected)
    assert halves.calls == before + 1


def test_the_reference_is_one_graph_to_dynamo():
    torch.manual_seed(0)
    layer = GRU(3, 5, backend="reference")
    x, lengths, resets = torch.randn(3, 3, 3), torch.tensor([2, 3, 0]), torch.rand(3, 3) < 0.3
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, lengths=lengths, resets=resets), layer(x, lengths=lengths, resets=resets))


@layers
def test_gradients_do_not_depend_on_the_mode(make, options):
    """cuDNN refuses backward in eval mode; nothing here does."""
    torch.manual_seed(0)
    layer = make(3, 5, 2, **options)
    x = torch.randn(7, 2, 3)
    results = [torch.autograd.grad(mode(x)[0].sum(), layer.parameters()) for mode in (layer.train(), layer.eval())]
    torch.testing.assert_close(*results)


def test_repr():
    assert (
        repr(LSTM(3, 5, 2, batch_first=True, proj_size=2)) == "LSTM(3, 5, proj_size=2, num_layers=2, batch_first=True)"
    )
    layer = Elman(3, 5, nonlinearity="relu", weight_dropout=0.5, backend="torch")
    assert repr(layer) == "Elman(3, 5, nonlinearity=relu, weight_dropout=0.5, backend=torch)"

"""Layers that recompute: the same results and gradients, less kept."""

import copy

import pytest
import torch
from torch import Tensor

from elman.kernels.native import instruction_set
from elman.nn import GRU, LSTM, Elman

# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS = [(Elman, {}), (Elman, {"nonlinearity": "relu"}), (GRU, {}), (LSTM, {}), (LSTM, {"proj_size": 2})]
layers = pytest.mark.parametrize(("make", "options"), LAYERS)


def parts(state) -> tuple[Tensor, ...]:
    """(h,) or (h, c)."""
    return (state,) if isinstance(state, Tensor) else state


@layers
@pytest.mark.parametrize("backend", ["native", "torch", "reference"])
@pytest.mark.parametrize("recompute", [True, 1, 3, 100])
def test_results_and_gradients_stay(make, options, backend, recompute):
    torch.manual_seed(0)
    plain = make(3, 5, 2, bidirectional=True, batch_first=True, dtype=torch.float64, backend=backend, **options)
    layer = copy.deepcopy(plain)
    layer.recompute = recompute
    x = torch.randn(4, 10, 3, dtype=torch.float64, requires_grad=True)
    call = {
        "lengths": torch.tensor([2, 10, 0, 7]),
        "resets": torch.rand(4, 10) < 0.2,
        "return_states": backend != "torch" or make is not LSTM,  # ATen's LSTM does not return every c_t
    }
    results = []
    for each in (plain, layer):
        outputs, final, *states = each(x, **call)
        every = [outputs, *parts(final), *(part for state in states for part in parts(state))]
        loss = sum(((n + 1) * part).cos().sum() for n, part in enumerate(every))
        results.append([*every, *torch.autograd.grad(loss, [x, *each.parameters()])])
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


ALL = {"recurrent_dropout": 0.3, "zoneout": 0.3, "layer_norm": True}


@pytest.mark.parametrize(
    ("make", "options"), [(Elman, ALL), (GRU, ALL), (LSTM, ALL | {"zoneout_cell": 0.3, "peepholes": True})]
)
@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_drawn_for_a_call_is_read_anew(make, options, backend, training):
    torch.manual_seed(0)
    plain = make(3, 5, 2, bidirectional=True, dtype=torch.float64, backend=backend, **options).train(training)
    x, results = torch.randn(10, 4, 3, dtype=torch.float64, requires_grad=True), []
    for recompute in (False, True, 3):
        plain.recompute = recompute
        torch.manual_seed(1)
        outputs, final = plain(x, lengths=torch.tensor([2, 10, 0, 7]), resets=torch.rand(4, 10) < 0.2)
        every = [outputs, *parts(final)]
        loss = sum(((n + 1) * part).cos().sum() for n, part in enumerate(every))
        results.append([*every, *torch.autograd.grad(loss, [x, *plain.parameters()])])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-10, atol=1e-10)


def kept(layer: torch.nn.Module, x: Tensor) -> int:
    """The bytes that wait for backward, besides what came in, what went out and the weights."""
    storages, holding = {}, []

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        holding.append(tensor)  # so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs, final = layer(x)
    for part in (x, outputs, *parts(final), *layer.parameters()):
        storages.pop(part.untyped_storage().data_ptr(), None)
    return sum(storages.values())


@layers
def test_a_layer_keeps_the_states_between_chunks(make, options):
    """They are 9 of 100, and the state that the layer begins with makes it ten."""
    H, state = 8, 4 * 2 * ((options.get("proj_size", 8) + 8) if make is LSTM else 8)  # bytes
    x = torch.randn(100, 2, 3)
    at_most = state if make is Elman else 10 * state  # which keeps its outputs, natively, and nothing else
    assert kept(make(3, H, recompute=True, backend="reference", **options), x) <= 10 * state
    if instruction_set():
        assert kept(make(3, H, recompute=True, **options), x) <= at_most
    assert kept(make(3, H, recompute=50, **options), x) <= 2 * state
    assert kept(make(3, H, **options), x) > 10 * state or make is Elman


def test_what_elman_keeps_besides_its_outputs_is_computed_anew():
    x, state = torch.randn(100, 2, 3), 4 * 2 * 8
    for options in ({"zoneout": 0.1}, {"layer_norm": True}):
        noise = 100 * state if "zoneout" in options else 0
        assert kept(Elman(3, 8, recompute=True, **options), x) <= noise + 10 * state
        assert kept(Elman(3, 8, **options), x) > noise + 90 * state


@layers
def test_per_sample_gradients(make, options):
    torch.manual_seed(0)
    layer = make(3, 5, recompute=2, dtype=torch.float64, **options)
    weights = {name: weight.detach() for name, weight in layer.named_parameters()}
    x = torch.randn(4, 3, 3, dtype=torch.float64)  # (T, B, D)

    def gradient(weights: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        return torch.func.grad(lambda w: torch.func.functional_call(layer, w, (x,))[0].pow(2).sum())(weights)

    every = torch.func.vmap(gradient, (None, 1))(weights, x)
    for b in range(3):
        torch.testing.assert_close({name: part[b] for name, part in every.items()}, gradient(weights, x[:, b]))


def test_a_compiled_layer_is_one_graph():
    torch.manual_seed(0)
    layer, x = GRU(3, 5, backend="reference", recompute=True), torch.randn(3, 3, 3)
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))


@pytest.mark.parametrize("make", [Elman, GRU, LSTM])
def test_what_it_may_be(make):
    for wrong in (1.5, "sqrt", None):
        with pytest.raises(TypeError, match="recompute should be of type bool or int, got"):
            make(3, 5, recompute=wrong)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="a number of steps greater than zero"):
            make(3, 5, recompute=wrong)
    name = make.__name__
    assert [repr(make(3, 5, recompute=it)) for it in (False, True, 1, 7)] == [
        f"{name}(3, 5)",
        f"{name}(3, 5, recompute=True)",
        f"{name}(3, 5, recompute=1)",
        f"{name}(3, 5, recompute=7)",
    ]

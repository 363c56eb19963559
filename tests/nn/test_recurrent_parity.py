"""torch.nn's own layers as the oracle: same weights, same calls, same results, same errors."""

import copy
import io
import itertools
import pickle
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence
from torch.testing._internal import common_modules

from elman.kernels import BACKENDS
from elman.nn import GRU, LSTM, Elman

# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

PAIRS = {nn.RNN: Elman, nn.GRU: GRU, nn.LSTM: LSTM}
VARIANTS = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.GRU, {}),
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 2}),
]
variants = pytest.mark.parametrize(("theirs", "options"), VARIANTS)
backends = pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "scan"])


def twins(theirs: type[nn.Module], *args, backend: str | None = None, **options) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights, through `load_state_dict`."""
    reference = theirs(*args, **options)
    ours = PAIRS[theirs](*args, **options, backend=backend)
    ours.load_state_dict(reference.state_dict())
    return ours, reference


def tensors(tree) -> list[Tensor]:
    """Every tensor in what a layer returns."""
    if isinstance(tree, PackedSequence):
        return [tree.data]
    return [tree] if isinstance(tree, Tensor) else [leaf for child in tree for leaf in tensors(child)]


def initial_state(layer: nn.Module, B: int | None, dtype: torch.dtype = torch.float32):
    """Random, wanting gradients, in the layout torch.nn asks for."""
    L = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = () if B is None else (B,)
    h = torch.randn(L, *batch, layer.proj_size or layer.hidden_size, dtype=dtype, requires_grad=True)
    if not isinstance(layer, nn.LSTM | LSTM):
        return h
    return h, torch.randn(L, *batch, layer.hidden_size, dtype=dtype, requires_grad=True)


def assert_same(ours: nn.Module, theirs: nn.Module, input, hx=None) -> None:
    """Outputs, final states and every gradient, to 1e-6."""
    results = []
    for layer in (ours, theirs):
        returned = tensors(layer(input, hx))
        generator = torch.Generator().manual_seed(0)
        loss = sum((part * torch.randn(part.shape, generator=generator)).mean() for part in returned)
        wanted = [*layer.parameters(), *tensors(input), *([] if hx is None else tensors(hx))]
        wanted = [tensor for tensor in wanted if tensor.requires_grad]
        results.append([*returned, *torch.autograd.grad(loss, wanted)])
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)


@backends
@variants
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("T", "B", "D", "H"), [(1, 1, 3, 5), (7, 3, 1, 5), (33, 2, 3, 64)])
def test_batches(theirs, options, backend, num_layers, bidirectional, bias, T, B, D, H):
    torch.manual_seed(0)
    ours, reference = twins(
        theirs, D, H, num_layers, bias=bias, bidirectional=bidirectional, backend=backend, **options
    )
    x = torch.randn(T, B, D, requires_grad=True)
    assert_same(ours, reference, x)
    assert_same(ours, reference, x, initial_state(reference, B))


@backends
@variants
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layouts(theirs, options, backend, batch_first, bidirectional):
    torch.manual_seed(0)
    ours, reference = twins(
        theirs, 3, 5, 2, batch_first=batch_first, bidirectional=bidirectional, backend=backend, **options
    )
    batch = torch.randn(*((4, 7) if batch_first else (7, 4)), 3, requires_grad=True)
    assert_same(ours, reference, batch, initial_state(reference, 4))
    assert_same(ours, reference, torch.randn(7, 3, requires_grad=True), initial_state(reference, None))
    assert_same(ours, reference, torch.randn(7, 3, requires_grad=True))
    packed = pack_padded_sequence(batch, torch.tensor([2, 7, 1, 5]), batch_first, enforce_sorted=False)
    assert_same(ours, reference, packed, initial_state(reference, 4))
    assert_same(ours, reference, packed)
    in_order = pack_sequence([torch.randn(length, 3) for length in (5, 5, 2)])
    assert_same(ours, reference, in_order, initial_state(reference, 3))


@variants
def test_a_packed_sequence_keeps_its_order(theirs, options):
    ours, reference = twins(theirs, 3, 5, **options)
    for packed in (
        pack_sequence([torch.randn(length, 3) for length in (2, 4, 1)], enforce_sorted=False),
        pack_sequence([torch.randn(length, 3) for length in (4, 2, 1)]),
    ):
        (result, *_), (expected, *_) = ours(packed), reference(packed)
        torch.testing.assert_close(result.batch_sizes, expected.batch_sizes)
        assert (result.sorted_indices is None) == (expected.sorted_indices is None)
        if expected.sorted_indices is not None:
            assert torch.equal(result.sorted_indices, expected.sorted_indices)
            assert torch.equal(result.unsorted_indices, expected.unsorted_indices)


@variants
@backends
def test_float64(theirs, options, backend):
    torch.manual_seed(0)
    ours, reference = twins(theirs, 3, 5, 2, dtype=torch.float64, backend=backend, **options)
    x, hx = torch.randn(7, 2, 3, dtype=torch.float64), initial_state(reference, 2, torch.float64)
    torch.testing.assert_close(tensors(ours(x, hx)), tensors(reference(x, hx)), atol=1e-14, rtol=0)


@variants
def test_the_same_seed_draws_the_same_weights_and_the_same_dropout(theirs, options):
    options = {**options, "num_layers": 3, "bidirectional": True, "dropout": 0.5}
    layers = []
    for make in (PAIRS[theirs], theirs):
        torch.manual_seed(1)
        layers.append(make(3, 5, **options))
    ours, reference = layers
    assert list(ours.state_dict()) == list(reference.state_dict())
    torch.testing.assert_close(ours.state_dict(), reference.state_dict(), atol=0, rtol=0)
    x = torch.randn(7, 2, 3)
    results = []
    for layer in layers:
        torch.manual_seed(2)
        results.append(tensors(layer(x)))
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)
    torch.testing.assert_close(tensors(ours.eval()(x)), tensors(reference.eval()(x)), atol=1e-6, rtol=0)


@variants
def test_weights_load_both_ways_and_survive_copies(theirs, options):
    ours, reference = PAIRS[theirs](3, 5, 2, **options), theirs(3, 5, 2, **options)
    reference.load_state_dict(ours.state_dict())
    x = torch.randn(7, 2, 3)
    expected = tensors(reference(x))
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    copies = [copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), torch.load(file, weights_only=False)]
    for layer in (ours, *copies):
        torch.testing.assert_close(tensors(layer(x)), expected, atol=1e-6, rtol=0)
    assert [[w.shape for w in ws] for ws in ours.all_weights] == [[w.shape for w in ws] for ws in reference.all_weights]
    ours.flatten_parameters()


@variants
def test_functional_call_and_half_precision(theirs, options):
    ours, reference = twins(theirs, 3, 5, 2, **options)
    x = torch.randn(7, 2, 3)
    doubled = {name: 2 * weight.detach() for name, weight in ours.named_parameters()}
    results = [torch.func.functional_call(layer, doubled, (x,)) for layer in (ours, reference)]
    torch.testing.assert_close(tensors(results[0]), tensors(results[1]), atol=1e-6, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        results = [[part.float() for part in tensors(layer(x))] for layer in (ours, reference)]
    torch.testing.assert_close(*results, atol=0.02, rtol=0)


def module_inputs(kind: str, dtype: torch.dtype):
    """torch's own samples for these layers, with the classes replaced."""
    for info in common_modules.module_db:
        if info.module_cls in PAIRS:
            function = getattr(info, kind)
            samples = function(info, device="cpu", dtype=dtype, requires_grad=False, training=False)
            yield from ((info.module_cls, sample) for sample in samples)
            if kind == "module_inputs_func" and info.module_cls is not nn.LSTM:
                samples = function(
                    info, device="cpu", dtype=dtype, requires_grad=False, training=False, with_packed_sequence=True
                )
                yield from ((info.module_cls, sample) for sample in samples)


@backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_module_input_of_torch(backend, dtype):
    torch.manual_seed(0)
    close = partial(torch.testing.assert_close, atol=1e-6, rtol=1e-6)  # relu's outputs reach tens
    count = 0
    for theirs, sample in module_inputs("module_inputs_func", dtype):
        arguments, call = sample.constructor_input, sample.forward_input
        forced = None if arguments.kwargs.get("proj_size") else backend  # not every backend has projections
        ours, reference = twins(theirs, *arguments.args, **arguments.kwargs, dtype=dtype, backend=forced)
        result = ours(*call.args, **call.kwargs)
        close(tensors(result), tensors(reference(*call.args, **call.kwargs)))
        if sample.reference_fn is not None and not isinstance(call.args[0], PackedSequence):
            expected = sample.reference_fn(ours, *call.args, **call.kwargs)
            close(tensors(result), tensors(expected))
        count += 1
    assert count >= 144  # RNN 2 * 32 + 32 packed, GRU 2 * 16 + 16 packed, LSTM 32: fewer means torch moved them


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_module_error_input_of_torch(dtype):
    count = 0
    for theirs, error in module_inputs("module_error_inputs_func", dtype):
        sample = error.module_error_input
        arguments, call = sample.constructor_input, sample.forward_input
        make = partial(PAIRS[theirs], *arguments.args, **arguments.kwargs)
        with pytest.raises(error.error_type, match=error.error_regex):
            make() if call is None else make()(*call.args, **call.kwargs)
        count += 1
    assert count >= 15


@variants
@pytest.mark.parametrize("batch_first", [False, True])
def test_bad_shapes_raise_what_torch_raises(theirs, options, batch_first):
    ours, reference = twins(theirs, 3, 5, 2, batch_first=batch_first, **options)
    hidden = initial_state(reference, 4)
    inputs = [torch.zeros(shape) for shape in [(3,), (2, 4, 5, 3), (7, 4, 2), (7, 2), (7, 4, 3), (7, 3), (4, 7, 3)]]
    inputs.append(torch.zeros(7, 4, 3, dtype=torch.float64))
    inputs.append(pack_sequence([torch.zeros(7, 3)]))
    inputs.append(pack_sequence([torch.zeros(7, 2)]))
    inputs.append(pack_sequence([torch.zeros(7, 2, 3)]))
    states = [None, hidden, initial_state(reference, 3), initial_state(reference, None)]
    if theirs is nn.LSTM:
        states.append((hidden[0], hidden[1][:1]))
        states.append((hidden[0][..., :1], hidden[1]))
    failures = 0
    for x, hx in itertools.product(inputs, states):
        if theirs is nn.LSTM and isinstance(x, PackedSequence):
            continue  # torch does not look at these, and reads what it finds; ours are tested below
        try:
            reference(x, hx)
        except Exception as error:
            failures += 1
            with pytest.raises(type(error)):
                ours(x, hx)
        else:
            ours(x, hx)
    assert failures > 15


def test_bad_packed_shapes_of_the_lstm():
    layer = LSTM(3, 5)
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 1, 5\), got \[1, 4, 5\]"):
        layer(pack_sequence([torch.zeros(7, 3)]), initial_state(layer, 4))
    with pytest.raises(RuntimeError, match=r"Expected 3, got 2"):
        layer(pack_sequence([torch.zeros(7, 2)]))
    with pytest.raises(RuntimeError, match=r"input must have 2 dimensions, got 3"):
        layer(pack_sequence([torch.zeros(7, 2, 3)]))


@variants
def test_bad_sizes_raise_what_torch_raises(theirs, options):
    wrong = [
        {"input_size": 0},
        {"input_size": 2.0},
        {"hidden_size": 0},
        {"hidden_size": "5"},
        {"num_layers": 0},
        {"bias": 1},
        {"batch_first": None},
        {"dropout": -0.1},
        {"dropout": 1.5},
        {"dropout": True},
        {"dropout": "0.5"},
    ]
    wrong += [{"nonlinearity": "sine"}] if theirs is nn.RNN else []
    wrong += [{"proj_size": -1}, {"proj_size": 5}] if theirs is nn.LSTM else []
    for change in wrong:
        arguments = {"input_size": 3, "hidden_size": 5, **options, **change}
        with pytest.raises((TypeError, ValueError)) as expected:
            theirs(**arguments)
        with pytest.raises(expected.type) as got:
            PAIRS[theirs](**arguments)
        assert str(got.value) == str(expected.value)


@variants
def test_dropout_of_a_single_layer_warns(theirs, options):
    for make in (theirs, PAIRS[theirs]):
        with pytest.warns(UserWarning, match="non-zero dropout expects num_layers greater than 1") as caught:
            make(3, 5, dropout=0.5, **options)
    assert caught[0].filename == __file__  # ours points at the caller


def test_positional_arguments_are_torch_s():
    for theirs, arguments in [
        (nn.RNN, (3, 5, 2, "relu", False, True, 0.5, True)),
        (nn.GRU, (3, 5, 2, False, True, 0.5, True)),
        (nn.LSTM, (3, 5, 2, False, True, 0.5, True, 2)),
    ]:
        ours, reference = twins(theirs, *arguments)
        assert ours.extra_repr().replace(", nonlinearity=relu", "") == reference.extra_repr()
        assert_same(ours.eval(), reference.eval(), torch.randn(2, 7, 3))

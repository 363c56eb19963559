"""Every kernel with recomputation against itself without, in float64."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.kernels import BACKENDS, Kernel, Trajectory, Weights, recompute
from elman.kernels.native import IN_CORE
from elman.kernels.reference import kernel_of as REFERENCE

# torch says so once for an LSTM with projections, and then does it another way.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
every_backend = pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "scan"])
every_cell = pytest.mark.parametrize("cell", IN_CORE)
both_directions = pytest.mark.parametrize("reverse", [False, True])


def make(cell: str, T: int, B: int, D: int, H: int, P: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """x, the parts of a state and the weights, all wanting gradients."""
    generator = torch.Generator().manual_seed(T + 10 * B + 100 * H)
    G, R = len(IN_CORE[cell].rows) * H, P or H
    shapes = [(T, B, D), (B, R), *[(B, H)] * (cell == "lstm"), (G, D), (G, R), (G,), (G,), *[(R, H)] * (P > 0)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    first = 3 if cell == "lstm" else 2
    tensors[first:] = [weight / H**0.5 for weight in tensors[first:]]
    return [tensor.to(dtype).requires_grad_() for tensor in tensors]


def read(kernel: Kernel, tensors: list[Tensor], **options) -> Trajectory:
    n = 2 if len(tensors) > 6 else 1
    return kernel(tensors[0], tuple(tensors[1 : 1 + n]), Weights(*tensors[1 + n :]), **options)


def outputs(result: Trajectory) -> list[Tensor]:
    return [part for part in (result.h, *(result.others or ()), *result.final) if part is not None]


def gradients(result: Trajectory, inputs: list[Tensor], **options) -> tuple[Tensor, ...]:
    """Of a loss in which every output, each c_t too, has its own weight."""
    generator = torch.Generator().manual_seed(0)
    parts = outputs(result)
    starts = [torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.dtype) for part in parts]
    ends, starts = zip(*[pair for pair in zip(parts, starts, strict=True) if pair[0].requires_grad], strict=True)
    return torch.autograd.grad(ends, inputs, starts, materialize_grads=True, **options)


def some_options(T: int, B: int, reverse: bool, with_lengths: bool, with_resets: bool) -> dict:
    """Lengths unsorted and with a zero; resets in three steps of ten, and where the padding begins."""
    resets = torch.rand(T, B, generator=torch.Generator().manual_seed(7)) < 0.3
    resets[T - 2 :, 0] = True
    return {
        "reverse": reverse,
        "lengths": torch.tensor([max(T - 2, 0), 0, T][:B]) if with_lengths else None,
        "resets": resets if with_resets else None,
    }


def assert_equal(ours: list[Tensor] | tuple[Tensor, ...], theirs: list[Tensor] | tuple[Tensor, ...]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@every_backend
@pytest.mark.parametrize(("cell", "P"), [*((cell, 0) for cell in IN_CORE), ("lstm", 2)])
@pytest.mark.parametrize(("T", "B", "H"), [(0, 3, 5), (1, 1, 64), (7, 3, 5), (33, 3, 64)])
@both_directions
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("with_resets", [False, True])
def test_nothing_changes(
    backend: str, cell: str, P: int, T: int, B: int, H: int, reverse: bool, with_lengths: bool, with_resets: bool
):
    kernel = BACKENDS[backend].kernel(cell)
    inputs = make(cell, T, B, 3, H, P)
    options = some_options(T, B, reverse, with_lengths, with_resets)
    plain = read(kernel, inputs, **options)
    expected = gradients(plain, inputs)
    for every in (1, 2, 5, None, 100):
        result = read(recompute(kernel, every), inputs, **options)
        assert result.h.shape == plain.h.shape
        assert_equal(outputs(result), outputs(plain))
        assert_equal(gradients(result, inputs), expected)
    with torch.no_grad():
        assert_equal(outputs(read(recompute(kernel, 5), inputs, **options)), outputs(plain))


@every_backend
@every_cell
@both_directions
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_window_in_any_chunks_with_any_part_of_it_used(backend: str, cell: str, reverse: bool, data):
    """Some inputs need no gradient, some outputs are left lying: both are as with the kernel itself."""
    T, B = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 3))
    every = data.draw(st.none() | st.integers(1, 10))
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B))
    resets = data.draw(st.none() | st.lists(st.lists(st.booleans(), min_size=B, max_size=B), min_size=T, max_size=T))
    options = {
        "reverse": reverse,
        "lengths": None if lengths is None else torch.tensor(lengths),
        "resets": None if resets is None else torch.tensor(resets, dtype=torch.bool).view(T, B),
    }
    kernel, inputs = BACKENDS[backend].kernel(cell), make(cell, T, B, 2, 3)
    for part in inputs:
        part.requires_grad_(data.draw(st.booleans()))
    wanted = [part for part in inputs if part.requires_grad]
    results = [read(k, inputs, **options) for k in (kernel, recompute(kernel, every))]
    assert_equal(*map(outputs, results))
    n = len(outputs(results[0]))
    used = data.draw(st.lists(st.sampled_from(range(n)), min_size=1, max_size=n, unique=True))
    losses = [sum((outputs(result)[at] * (at + 1)).cos().sum() for at in used) for result in results]
    assert_equal(*(gradients_of(loss, wanted) for loss in losses))


def gradients_of(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    if not (loss.requires_grad and inputs):
        return [torch.zeros_like(part) for part in inputs]
    return list(torch.autograd.grad(loss, inputs, materialize_grads=True))


@every_backend
@every_cell
@both_directions
def test_padding_leaves_no_trace(backend: str, cell: str, reverse: bool):
    x, *others = make(cell, 7, 3, 2, 5)
    options = some_options(7, 3, reverse, True, True)
    padding = (torch.arange(7)[:, None] >= options["lengths"])[..., None]
    kernel, results = recompute(BACKENDS[backend].kernel(cell), 2), []
    for junk in (0.0, torch.nan):
        inputs = [x.detach().masked_fill(padding, junk).requires_grad_(), *others]
        result = read(kernel, inputs, **options)
        results.append([*outputs(result), *gradients(result, inputs)])
    torch.testing.assert_close(*results, rtol=0, atol=0)
    assert not results[0][0].masked_select(padding).any()


@pytest.mark.parametrize("backend", ["native", "reference"])
@every_cell
@both_directions
def test_first_and_second_derivatives(backend: str, cell: str, reverse: bool):
    inputs = make(cell, 3, 2, 1, 2)
    resets = torch.tensor([[0, 0], [1, 0], [0, 1]]).bool()
    options = {"reverse": reverse, "lengths": torch.tensor([2, 3]), "resets": resets}

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(outputs(read(recompute(BACKENDS[backend].kernel(cell), 2), list(tensors), **options)))

    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@every_backend
@every_cell
def test_what_the_same_weights_did_before_counts_once(backend: str, cell: str):
    """The state was read with these very weights: also in a backward that is itself differentiated."""
    inputs = make(cell, 6, 2, 3, 4)

    def penalty(kernel: Kernel, create_graph: bool) -> list[Tensor]:
        state = read(kernel, [inputs[0][:3], *inputs[1:]]).final
        last = read(kernel, [inputs[0][3:], *state, *inputs[1 + len(state) :]])
        found = torch.autograd.grad(last.h.pow(2).sum(), inputs, create_graph=create_graph)
        if not create_graph:
            return list(found)
        return [*found, *torch.autograd.grad(sum(part.pow(2).sum() for part in found), inputs)]

    expected = penalty(REFERENCE(cell), True)
    kernel = recompute(BACKENDS[backend].kernel(cell), 2)
    assert_equal(penalty(kernel, True), expected)
    assert_equal(penalty(kernel, False), expected[: len(inputs)])


def kept(result_of, inputs: list[Tensor]) -> int:
    """The bytes that wait for backward, besides what came in and what went out."""
    storages: dict[int, int] = {}
    holding = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        holding.append(tensor)  # so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = result_of()
    for part in (*inputs, result.h, *result.final):
        storages.pop(part.untyped_storage().data_ptr(), None)
    return sum(storages.values())


@every_backend
@every_cell
@both_directions
@pytest.mark.parametrize("with_lengths", [False, True])
def test_the_states_between_chunks_are_all_that_is_kept(backend: str, cell: str, reverse: bool, with_lengths: bool):
    T, B, H = 400, 3, 8
    inputs = make(cell, T, B, 8, H)
    kernel, options = BACKENDS[backend].kernel(cell), some_options(T, B, reverse, with_lengths, True)
    state = (2 if cell == "lstm" else 1) * B * H * 8  # bytes
    ours = kept(lambda: read(recompute(kernel), inputs, **options), inputs)
    assert ours == (10 - 1) * state  # of 400 steps in chunks of 40; the first is given
    assert ours < kept(lambda: read(kernel, inputs, **options), inputs) / 10 or cell.startswith("elman")


@every_cell
def test_no_more_than_a_chunk_is_ever_read_with_its_gradient(cell: str):
    seen = []

    def spy(x: Tensor, *arguments, **options) -> Trajectory:
        seen.append((len(x), torch.is_grad_enabled()))
        return REFERENCE(cell)(x, *arguments, **options)

    inputs = make(cell, 12, 2, 3, 4)
    result = read(recompute(spy, 5), inputs, reverse=True)
    assert seen == [(2, False), (5, False), (5, False)]
    gradients(result, inputs)
    assert seen[3:] == [(5, True), (5, True), (2, True)]


@every_backend
@every_cell
def test_backward_may_come_twice_but_not_after_a_change(backend: str, cell: str):
    inputs = make(cell, 7, 2, 3, 4)
    result = read(recompute(BACKENDS[backend].kernel(cell), 3), inputs)
    assert_equal(gradients(result, inputs, retain_graph=True), gradients(result, inputs, retain_graph=True))
    with torch.no_grad():
        inputs[0].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(result, inputs)


@every_backend
@pytest.mark.parametrize("cell", [cell for cell in IN_CORE if cell != "elman_relu"])  # its slope jumps by a rounding
@both_directions
def test_autocast(backend: str, cell: str, reverse: bool):
    kernel, inputs = BACKENDS[backend].kernel(cell), make(cell, 20, 3, 4, 16, dtype=torch.float32)
    results = []
    for each in (kernel, recompute(kernel, 6)):
        with torch.autocast("cpu", torch.bfloat16):
            result = read(each, inputs, **some_options(20, 3, reverse, True, True))
        results.append([*outputs(result), *gradients(result, inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        tolerance = 0.03 * max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_a_chunk_is_read_again_under_the_autocast_of_before(forward: bool, backward: bool):
    seen = []

    def spy(*arguments, **options) -> Trajectory:
        seen.append(torch.is_autocast_enabled("cpu"))
        return REFERENCE("gru")(*arguments, **options)

    inputs = make("gru", 4, 2, 3, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=forward):
        result = read(recompute(spy, 2), inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=backward):
        gradients(result, inputs)
    assert seen == [forward] * 4


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_many_chunks_add_up_in_bfloat16_too(backend: str):
    """1000 gradients of one: a sum kept in bfloat16 stands still at 256."""
    inputs = [torch.zeros(shape, dtype=torch.bfloat16) for shape in ((1000, 1, 1), (1, 1), (1, 1), (1, 1), (1,), (1,))]
    for part in inputs:
        part.requires_grad_()
    result = read(recompute(BACKENDS[backend].kernel("elman"), 1), inputs)
    result.h.sum().backward()
    for bias in inputs[-2:]:
        assert bias.grad is not None
        assert bias.grad.dtype == torch.bfloat16
        assert bias.grad.item() == 1000


@every_cell
def test_transforms_read_the_window_whole(cell: str):
    inputs = make(cell, 6, 2, 3, 4)
    kernel = REFERENCE(cell)

    def loss(kernel: Kernel, *tensors: Tensor) -> Tensor:
        return read(kernel, list(tensors)).h.pow(2).sum()

    every = tuple(range(len(inputs)))
    ours = torch.func.grad(partial(loss, recompute(kernel, 2)), every)(*inputs)
    assert_equal(ours, torch.func.grad(partial(loss, kernel), every)(*inputs))
    tangents = tuple(torch.ones_like(part) for part in inputs)
    _, slope = torch.func.jvp(partial(loss, recompute(kernel, 2)), tuple(inputs), tangents)
    torch.testing.assert_close(slope, sum(part.sum() for part in ours))

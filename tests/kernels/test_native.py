"""What only the native kernels could get wrong; that they equal the reference is shown with all other backends."""

import ctypes
import math
import os
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from torch import Tensor

from elman.kernels import Noise, Weights
from elman.kernels.native import IN_CORE, instruction_set, kernel_of, kernel_of_outputs
from elman.kernels.reference import kernel_of as REFERENCE

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")


def make(cell: str, T: int, B: int, D: int, H: int, dtype=torch.float32) -> tuple[Tensor, tuple, Weights]:
    torch.manual_seed(0)
    G = len(IN_CORE[cell].rows) * H
    weights = Weights(*(torch.randn(shape, dtype=dtype) / H**0.5 for shape in ((G, D), (G, H), (G,), (G,))))
    state = tuple(torch.randn(B, H, dtype=dtype) for _ in range(2 if cell == "lstm" else 1))
    return torch.randn(T, B, D, dtype=dtype), state, weights


@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize("H", [1, 15, 16, 17, 20, 22, 130])
@pytest.mark.parametrize("B", [1, 2, 7, 13])
def test_every_size_of_tile(cell: str, B: int, H: int):
    inputs = make(cell, 3, B, 2, H, torch.float64)
    result, expected = kernel_of(cell)(*inputs), REFERENCE(cell)(*inputs)
    torch.testing.assert_close(result.h, expected.h, atol=1e-10, rtol=0)
    torch.testing.assert_close(result.others, expected.others, atol=1e-10, rtol=0)
    torch.testing.assert_close(result.final, expected.final, atol=1e-10, rtol=0)


@pytest.mark.parametrize("cell", IN_CORE)
def test_the_number_of_threads_changes_no_bit_of_the_states(cell: str):
    x, state, weights = make(cell, 20, 9, 3, 96)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            results.append(kernel_of(cell)(x, state, weights).h)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize(("T", "B"), [(2, 1), (7, 3), (33, 20)])
@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_are_the_same_bits_whether_or_not_every_state_and_what_backward_needs_is_kept(cell, T, B, reverse):
    x, state, weights = make(cell, T, B, 5, 37)
    options = {"reverse": reverse, "lengths": torch.arange(B) % (T + 1), "resets": torch.rand(T, B) < 0.2}
    alone = kernel_of_outputs(cell)(x, state, weights, **options)
    assert alone.others == (None if cell == "lstm" else ())
    for kept in (False, True):
        result = kernel_of(cell)(x.requires_grad_(kept), state, weights, **options)
        assert torch.equal(alone.h, result.h)
        assert all(map(torch.equal, alone.final, result.final))
    peeping = weights._replace(weight_peephole=torch.ones(3 * 37)) if cell == "lstm" else weights
    noise = Noise(zoneout=torch.rand(T, B, 37))
    x.requires_grad_(False)
    for own in (weights, peeping):
        alone, result = (read(cell)(x, state, own, noise=noise, **options) for read in (kernel_of_outputs, kernel_of))
        assert torch.equal(alone.h, result.h)


@pytest.mark.parametrize("cell", IN_CORE)
def test_inputs_need_not_be_contiguous(cell: str):
    x, state, weights = make(cell, 6, 4, 3, 20)
    strided = [part.t().contiguous().t() if part.dim() == 2 else part for part in (*state, *weights[:4])]
    result = kernel_of(cell)(
        x.transpose(0, 1).contiguous().transpose(0, 1), tuple(strided[: len(state)]), Weights(*strided[len(state) :])
    )
    torch.testing.assert_close(result.h, kernel_of(cell)(x, state, weights).h, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, -1e30, 1e-40])
def test_a_strange_number_stays_in_its_row(cell: str, value: float):
    x, state, weights = make(cell, 5, 3, 2, 20)
    plain = kernel_of(cell)(x, state, weights).h
    x[2, 1] = value
    result, expected = kernel_of(cell)(x, state, weights).h, REFERENCE(cell)(x, state, weights).h
    assert torch.equal(result[:, [0, 2]], plain[:, [0, 2]])
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=1e-5, equal_nan=True)


def test_more_steps_than_sixteen_bits_count():
    x, state, weights = make("gru", 70_000, 1, 1, 2, torch.float64)
    torch.testing.assert_close(kernel_of("gru")(x, state, weights).final, REFERENCE("gru")(x, state, weights).final)


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-7), (torch.float64, 1e-15)])
def test_the_nonlinearities_are_accurate_to_the_last_digits(function, dtype, tolerance):
    """Through an Elman step, and through the update gate of a GRU step that forgets a memory of one."""
    x = torch.cat([torch.linspace(-30, 30, 4001), torch.logspace(-30, 0, 500), -torch.logspace(-30, 0, 500)]).to(dtype)
    one, zero = torch.ones(1, 1, dtype=dtype), torch.zeros(1, 1, dtype=dtype)
    if function is torch.tanh:
        result = kernel_of("elman")(x[:, None, None], (zero,), Weights(one, zero)).h
    else:
        rows = torch.tensor([[0.0], [1.0], [0.0]], dtype=dtype)
        result = kernel_of("gru")(x[None, :, None], (one.expand(len(x), 1),), Weights(rows, 0 * rows)).h
    expected = function(x.double())
    assert ((result.flatten().double() - expected) / expected)[expected != 0].abs().max() < tolerance


@pytest.mark.parametrize("cell", IN_CORE)
@pytest.mark.parametrize(("T", "B", "H"), [(1, 1, 5), (7, 3, 5), (33, 5, 33), (9, 12, 64)])
@pytest.mark.parametrize("reverse", [False, True])
def test_bfloat16_is_float32_but_for_rounding(cell: str, T: int, B: int, H: int, reverse: bool):
    """As autocast asks for it: outputs in bfloat16, states and gradients of what is float32 in float32."""
    x, state, weights = make(cell, T, B, 3, H)
    tensors = [x, *state, *weights[:4]]
    for tensor in tensors:
        tensor.requires_grad_()
    options = {"reverse": reverse, "resets": torch.rand(T, B) < 0.2, "lengths": torch.randint(0, T + 1, (B,))}
    expected = REFERENCE(cell)(x, state, weights, **options)
    with torch.autocast("cpu", torch.bfloat16):
        result = kernel_of(cell)(x, state, weights, **options)
    assert result.h.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in result.final)
    given = [torch.randn_like(part) for part in (expected.h, *expected.final)]
    ours = torch.autograd.grad([result.h.float(), *result.final], tensors, given)
    theirs = torch.autograd.grad([expected.h, *expected.final], tensors, given)
    pairs = [(result.h.float(), expected.h), *zip(result.final, expected.final, strict=True)]
    if cell != "elman_relu":  # whose slope jumps where a sum is rounded across zero
        pairs += zip(ours, theirs, strict=True)
    for found, wanted in pairs:
        assert found.dtype == torch.float32
        # bfloat16 has 8 bits: each rounding is off by up to 1/256, and a few of them come together.
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.02 * max(1.0, wanted.abs().max().item()))


@pytest.mark.parametrize("cell", IN_CORE)
def test_bfloat16_remembers_in_float32(cell: str):
    """Reading in pieces is reading whole to the last bit: what is carried has not been rounded."""
    x, state, weights = make(cell, 20, 5, 3, 24)
    with torch.autocast("cpu", torch.bfloat16):
        whole = kernel_of(cell)(x, state, weights)
        first = kernel_of(cell)(x[:9], state, weights)
        second = kernel_of(cell)(x[9:], first.final, weights)
    assert torch.equal(torch.cat([first.h, second.h]), whole.h)
    for part, expected in zip(second.final, whole.final, strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize("cell", IN_CORE)
def test_a_layer_of_bfloat16(cell: str):
    x, state, weights = make(cell, 7, 3, 3, 20, torch.bfloat16)
    result = kernel_of(cell)(x, state, weights)
    as_float = REFERENCE(cell)(
        x.float(), tuple(part.float() for part in state), Weights(*(w.float() for w in weights[:4]))
    )
    assert result.h.dtype == result.final[0].dtype == torch.bfloat16
    torch.testing.assert_close(result.h.float(), as_float.h, rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["avx512", "avx2", "baseline"])
def test_the_other_instruction_sets_give_the_same_numbers(name: str):
    """In a process of its own, for the choice is made once."""
    code = (
        "import torch; from elman.nn import LSTM; from elman.kernels.native import instruction_set;"
        "torch.manual_seed(0); layer = LSTM(5, 37, backend='native'); x = torch.randn(4, 7, 5); y = layer(x)[0];"
        "y.sum().backward(); print(instruction_set(), y.sum().item(), layer.weight_hh_l0.grad.abs().sum().item());"
        "layer.zero_grad(); y = layer.bfloat16()(x.bfloat16())[0].float(); y.sum().backward();"
        "print(y.sum().item(), layer.weight_hh_l0.grad.float().abs().sum().item())"
    )
    outputs = []
    for wish in ("", name):
        environment = os.environ | {"ELMAN_INSTRUCTION_SET": wish}
        outputs.append(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True))
        assert outputs[-1].returncode == 0, outputs[-1].stderr
    best, asked = (output.stdout.split() for output in outputs)
    if instruction_set() == "avx512_bf16":
        assert asked[0] == name
    assert [float(n) for n in asked[1:3]] == pytest.approx([float(n) for n in best[1:3]], rel=1e-5)
    assert [float(n) for n in asked[3:]] == pytest.approx([float(n) for n in best[3:]], rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("cell", IN_CORE)
def test_threads_that_take_turns(cell: str, dtype: torch.dtype):
    """Few rows and large weights: every thread has its units, and each step needs those of all."""
    inputs = make(cell, 60, 2, 5, 400, dtype)
    lengths, resets = torch.tensor([60, 41]), torch.rand(60, 2) < 0.1
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            leaves = [part.clone().requires_grad_() for part in (inputs[0], *inputs[1], *inputs[2][:4])]
            x, state, weights = leaves[0], tuple(leaves[1:-4]), Weights(*leaves[-4:])
            h = kernel_of(cell)(x, state, weights, lengths=lengths, resets=resets).h
            results.append((h, *torch.autograd.grad(h.square().sum(), leaves[:-4])))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            torch.testing.assert_close(same, one, atol=1e-12 if dtype == torch.float64 else 0.05, rtol=0)
        assert torch.equal(results[0][0], other[0])


def test_a_thread_that_has_no_others_takes_every_turn(monkeypatch):
    """As inside of a parallel region of torch, where all pieces are given to the one that asks."""
    inputs = make("lstm", 30, 1, 5, 200)
    expected = kernel_of("lstm")(*inputs).h
    body = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    numbers = (ctypes.c_int64,) * 3
    asked = []

    @ctypes.CFUNCTYPE(ctypes.c_int32, *numbers, body, ctypes.c_void_p)
    def alone(begin: int, end: int, grain: int, run, context) -> int:
        asked.append(end - begin)
        run(begin, end, context)
        return 0

    monkeypatch.setattr(
        import_module("elman.kernels.native.library"), "parallel_for", lambda: ctypes.cast(alone, ctypes.c_void_p).value
    )
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(kernel_of("lstm")(*inputs).h, expected)
    assert asked == [3]

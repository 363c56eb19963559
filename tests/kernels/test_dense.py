"""The core's linear layers with what stands before and after them against torch's operators, outputs and gradients."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.kernels.dense import Kept, added_linear, normed_linear
from elman.kernels.dense.reference import Affine, affine
from elman.kernels.native import dense as native
from elman.kernels.native import instruction_set
from elman.kernels.native.library import has_avx512
from elman.nn.dropout import Dropout

needs_core = pytest.mark.skipif(not has_avx512(), reason=f"torch's operators are used with {instruction_set()}")

ROWS = [1, 3, 7, 33, 97]
WIDTHS = list(itertools.product([5, 64, 130], repeat=2))
# Of the options and inputs of `affine`: GELU; then bias, gain, shift, residual, and what is kept.
PARTS = {
    "plain": (False, "bias"),
    "no bias": (False, ""),
    "norm": (False, "bias gain shift"),
    "norm without bias": (True, "gain"),
    "gelu": (True, "bias gain shift"),
    "gelu alone": (True, ""),
    "residual": (False, "bias residual"),
    "gelu and residual": (True, "bias gain shift residual"),
    "dropout": (False, "bias residual kept"),
    "dropout without a residual": (False, "kept"),
}
SIZES = {"bias": "N", "gain": "K", "shift": "K"}


def make(M: int, K: int, N: int, parts: str, dtype: torch.dtype) -> tuple[Affine, list[Tensor | None]]:
    """Options, and x, weight, bias, gain, shift and residual, as leaves."""
    torch.manual_seed(M * K + N)
    gelu, names = PARTS[parts]
    x, weight = torch.randn(M, K, dtype=dtype) * 2 + 1, torch.randn(N, K, dtype=dtype) / K**0.5
    given = {name: torch.randn({"N": N, "K": K}[size], dtype=dtype) for name, size in SIZES.items()}
    given["residual"] = torch.randn(M, N, dtype=dtype)
    inputs = [x, weight, *(given[name] if name in names.split() else None for name in given)]
    kept = Kept(torch.randint(-(2**15), 2**15, (M * N,), dtype=torch.int16), -9000, 1.6) if "kept" in names else None
    return Affine(1e-5, gelu, kept), [None if part is None else part.requires_grad_() for part in inputs]


def gradients(y: Tensor, inputs: list[Tensor | None], dy: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(y, [part for part in inputs if part is not None], dy))


def check(M: int, K: int, N: int, parts: str, dtype: torch.dtype, tolerance: float) -> None:
    """Against the reference in float64, in the scale of each result."""
    options, inputs = make(M, K, N, parts, dtype)
    wide = [None if part is None else part.detach().double().requires_grad_() for part in inputs]
    y, expected = native.Product.apply(options, dtype, *inputs), affine(options, *wide)  # type: ignore[arg-type]
    dy = torch.randn_like(y)
    found = [y, *gradients(y, inputs, dy)]
    for part, wanted in zip(found, [expected, *gradients(expected, wide, dy.double())], strict=True):
        assert part.dtype == dtype
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(part.double(), wanted, rtol=0, atol=tolerance * scale)
    without = native.forward(options, dtype, *inputs, keep=False)[0]  # type: ignore[arg-type]
    torch.testing.assert_close(without, y, rtol=0, atol=tolerance * max(1.0, y.abs().max().item()))


@needs_core
@pytest.mark.parametrize("M", ROWS)
@pytest.mark.parametrize("parts", PARTS)
def test_it_is_the_reference(M: int, parts: str) -> None:
    for K, N in WIDTHS:
        check(M, K, N, parts, torch.float64, 1e-13)
        check(M, K, N, parts, torch.float32, 4e-6)


@needs_core
@pytest.mark.parametrize("parts", ["gelu", "dropout"])
def test_more_rows_than_a_thread_takes_at_once(parts: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        check(1700, 70, 33, parts, torch.float64, 1e-12)
    finally:
        torch.set_num_threads(before)


@needs_core
@pytest.mark.parametrize("low", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("parts", ["gelu", "residual"])
def test_a_row_is_the_same_alone_and_among_others(parts: str, low: torch.dtype) -> None:
    """Also where it is normalized together with others, or is the last of some."""
    for K, N in WIDTHS:
        options, inputs = make(131, K, N, parts, torch.float32 if low == torch.bfloat16 else low)
        whole = native.forward(options, low, *inputs, keep=True)[0]  # type: ignore[arg-type]
        for rows in [slice(5), slice(2, 9), slice(93, 131)]:
            some = [part[rows] if i in (0, 5) and part is not None else part for i, part in enumerate(inputs)]
            assert torch.equal(native.forward(options, low, *some, keep=True)[0], whole[rows])  # type: ignore[arg-type]


@needs_core
@pytest.mark.parametrize("M", ROWS)
@pytest.mark.parametrize("parts", PARTS)
def test_autocast_rounds_what_is_multiplied_and_no_sum(M: int, parts: str) -> None:
    """bfloat16 has 8 bits: each number that is multiplied, and each output, is off by up to 1/256 of itself.

    Some such come together in a derivative that goes through several products.
    """
    for K, N in WIDTHS:
        options, inputs = make(M, K, N, parts, torch.float32)
        y, expected = native.Product.apply(options, torch.bfloat16, *inputs), affine(options, *inputs)  # type: ignore[arg-type]
        assert y.dtype == (torch.float32 if inputs[5] is not None else torch.bfloat16)
        dy = torch.randn_like(y)
        pairs = zip(gradients(y, inputs, dy), gradients(expected, inputs, dy.float()), strict=True)
        for found, wanted in [(y.float(), expected), *pairs]:
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, wanted, rtol=0, atol=0.04 * max(1.0, wanted.abs().max().item()))


def layers(K: int, N: int, dtype: torch.dtype = torch.float32) -> tuple[nn.LayerNorm, nn.Linear]:
    torch.manual_seed(0)
    norm, linear = nn.LayerNorm(K, eps=1e-3, dtype=dtype), nn.Linear(K, N, dtype=dtype)
    for part in norm.parameters():
        nn.init.normal_(part)
    return norm, linear


@needs_core
@pytest.mark.parametrize("mixed", [False, True])
def test_layers_of_any_shape_and_order(mixed: bool) -> None:
    """A batch of steps, time first in memory; the core serves both, and says so in the graph."""
    norm, linear = layers(24, 40)
    x = torch.randn(9, 5, 24).transpose(0, 1).requires_grad_()
    residual = torch.randn(40, 9, 5).permute(2, 1, 0)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        for norms in (norm, None):
            y = normed_linear(x, norms, linear, "gelu")
            wanted = F.gelu(linear(x if norms is None else norm(x)))
            assert "Product" in y.grad_fn.name()
            assert y.dtype == wanted.dtype
            assert y.shape == (5, 9, 40)
            torch.testing.assert_close(y, wanted, atol=0.02 if mixed else 2e-6, rtol=0.02 if mixed else 0)
        y, wanted = added_linear(residual, x, linear), residual + linear(x)
        assert "Product" in y.grad_fn.name()
        torch.testing.assert_close(y, wanted, atol=0.02 if mixed else 2e-6, rtol=0)
        given = torch.randn(3, 24).bfloat16()
        if mixed:  # what an operator under autocast left
            torch.testing.assert_close(normed_linear(given, None, linear), linear(given), atol=0.02, rtol=0)
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape


@needs_core
def test_dropout_draws_what_it_draws_alone() -> None:
    _, linear = layers(24, 40)
    x, a, dropout = torch.randn(2, 9, 40), torch.randn(2, 9, 24), Dropout(0.3)
    torch.manual_seed(3)
    wanted = x + dropout(linear(a))
    torch.manual_seed(3)
    y = dropout.add(x, a, linear)
    assert "Product" in y.grad_fn.name()
    torch.testing.assert_close(y, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(dropout.eval().add(x, a, linear), x + linear(a), atol=1e-6, rtol=0)
    rare = Dropout(0.001)  # too near 0 for 16 bits
    torch.manual_seed(3)
    wanted = x + rare(linear(a))
    torch.manual_seed(3)
    torch.testing.assert_close(rare.add(x, a, linear), wanted, atol=1e-6, rtol=0)


@needs_core
@pytest.mark.parametrize("parts", ["norm", "gelu", "norm without bias", "dropout"])
def test_derivatives_of_every_order(parts: str) -> None:
    options, inputs = make(3, 6, 5, parts, torch.float64)
    given = [part for part in inputs if part is not None]

    def function(*some: Tensor) -> Tensor:
        rest = iter(some)
        return native.Product.apply(options, torch.float64, *(None if part is None else next(rest) for part in inputs))

    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given)


@needs_core
def test_derivatives_that_nobody_wants_are_not_there() -> None:
    norm, linear = layers(24, 40)
    for wanted in ([0], [1], [2], [3], [4], [1, 2]):
        x = torch.randn(6, 24)
        inputs = [x, linear.weight, linear.bias, norm.weight, norm.bias]
        for at, part in enumerate(inputs):
            part.requires_grad_(at in wanted)
        some = [inputs[at] for at in wanted]
        y, expected = normed_linear(x, norm, linear, "gelu"), F.gelu(linear(norm(x)))
        found = torch.autograd.grad(y.sum(), some)
        torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), some), atol=1e-5, rtol=1e-5)


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_threads_give_the_same_bits(dtype: torch.dtype) -> None:
    options, inputs = make(300, 70, 130, "gelu", torch.float32)
    before, results = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        for _ in range(3):
            y = native.Product.apply(options, dtype, *inputs)
            results.append([y, *gradients(y, inputs, torch.ones_like(y))])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))


@needs_core
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 2e-14)])
def test_gelu_keeps_its_digits_in_the_tail(dtype: torch.dtype, tolerance: float) -> None:
    """Relative to x Phi(x), which torch's 1 + erf loses; 1e-6 where e^(-x^2/2) of a rounded square has no more."""
    x = torch.cat([torch.linspace(-8, 8, 2000), torch.logspace(-20, 0, 200), -torch.logspace(-20, 0, 200)]).to(dtype)
    one, wide = torch.ones(1, 1, dtype=dtype), x.double()
    options = Affine(gelu=True)
    y, _, slope, _, _ = native.forward(options, dtype, x[:, None], one, None, None, None, None, keep=True)
    phi = 0.5 * torch.erfc(-wide / 2**0.5)
    bell = (-0.5 * wide.square()).exp() / (2 * torch.pi) ** 0.5
    for found, expected in ((y, wide * phi), (slope, phi + wide * bell)):
        assert (found.flatten().double() - expected).abs().max() < tolerance
    assert ((y.flatten().double() - wide * phi) / (wide * phi)).abs().max() < 4 * tolerance


@needs_core
def test_gelu_of_bfloat16_is_off_by_its_rounding() -> None:
    x = torch.cat([torch.linspace(-8, 8, 2000), torch.tensor([-1e3, 1e3])]).bfloat16()
    y, _, slope, _, _ = native.forward(
        Affine(gelu=True), torch.bfloat16, x[:, None], torch.ones(1, 1), None, None, None, None, keep=True
    )
    wide = x.double()
    phi, bell = 0.5 * torch.erfc(-wide / 2**0.5), (-0.5 * wide.square()).exp() / (2 * torch.pi) ** 0.5
    torch.testing.assert_close(y.flatten().double(), wide * phi, atol=3e-5, rtol=2**-8)
    torch.testing.assert_close(slope.flatten().double(), phi + wide * bell, atol=1e-4, rtol=2**-8)


@needs_core
def test_strange_numbers_stay_in_their_row() -> None:
    norm, linear = layers(24, 40)
    with torch.no_grad():
        for M in (3, 20):
            x = torch.randn(M, 24)
            plain = normed_linear(x, norm, linear, "gelu")
            x[1, 3] = torch.nan
            found = normed_linear(x, norm, linear, "gelu")
            assert found[1].isnan().all()
            assert torch.equal(found[[0, 2]], plain[[0, 2]])
        large = torch.tensor([[torch.inf], [1e30], [-1e30], [-torch.inf]])
        y = native.forward(Affine(gelu=True), torch.float32, large, torch.ones(1, 1), None, None, None, None, keep=True)
    assert y[0].flatten()[:3].tolist() == [torch.inf, large[1].item(), 0]
    assert y[0][3].isnan()  # as torch's
    assert y[2].flatten()[1:3].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["avx512", "avx2", "baseline"])
@pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")
def test_the_other_instruction_sets(name: str) -> None:
    """In a process of its own, for the choice is made once."""
    code = (
        f"import sys, torch; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_dense import PARTS, check;"
        "from elman.kernels.native import instruction_set; print(instruction_set());"
        "[check(M, 33, 70, parts, torch.float64, 1e-13) for M in (1, 7, 97) for parts in PARTS];"
        "[check(M, 33, 70, parts, torch.float32, 4e-6) for M in (1, 7, 97) for parts in PARTS]"
    )
    environment = {**os.environ, "ELMAN_INSTRUCTION_SET": name}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    if instruction_set() == "avx512_bf16":
        assert result.stdout.split() == [name]

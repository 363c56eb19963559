"""Recurrent dropout, zoneout, peepholes and layer normalization: compiled as read, and read as the papers write."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from elman.errors import UserError
from elman.kernels import BACKENDS, QUIET, CellState, Noise, Trajectory, Weights, choose, variations
from elman.kernels.native import IN_CORE, instruction_set
from elman.kernels.native import kernel_of as NATIVE
from elman.kernels.reference import kernel_of as REFERENCE

built = pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")

OF_EVERY_CELL = ("recurrent", "zoneout", "expected", "normalized", "all")
OF_THE_LSTM = ("zoneout_cell", "expected_cell", "peepholes", "peepholes zoneout_cell", "normalized peepholes")
OF_THE_LSTM += ("projected", "projected expected", "projected all")
CASES = [(cell, kind) for cell in IN_CORE for kind in OF_EVERY_CELL] + [("lstm", kind) for kind in OF_THE_LSTM]
SIZES = [(1, 1, 5), (7, 3, 17), (33, 13, 5), (7, 13, 64), (2, 1, 17), (0, 2, 5), (3, 0, 5)]  # T, B, H

Inputs = tuple[Tensor, CellState, Weights]


def make(
    cell: str, kind: str, T: int, B: int, D: int, H: int, bias: bool = True, dtype=torch.float64
) -> tuple[Inputs, Noise]:
    """An input, a state and weights, all wanting gradients, and the noise of that kind."""
    generator = torch.Generator().manual_seed(T + 10 * B + 100 * H)
    draw = partial(torch.randn, generator=generator, dtype=dtype)
    G, P, lstm = len(IN_CORE[cell].rows) * H, H // 2 + 1 if "projected" in kind else H, cell == "lstm"
    normalized, peepholes = ("all" in kind or word in kind for word in ("normalized", "peepholes"))
    own: dict[str, Tensor] = {}
    if normalized:
        own = {"gain_ih": 1 + draw(G) / 4, "gain_hh": 1 + draw(G) / 4}
        if lstm:
            own |= {"gain_cell": 1 + draw(H) / 4} | ({"bias_cell": draw(H) / 4} if bias else {})
    if peepholes and lstm:
        own["weight_peephole"] = draw(3 * H)
    weights = Weights(
        draw(G, D) / D**0.5,
        draw(G, P) / P**0.5,
        draw(G) / 2 if bias else None,
        draw(G) / 2 if bias else None,
        draw(P, H) / H**0.5 if "projected" in kind else None,
        **own,
    )
    state = (draw(B, P), draw(B, H)) if lstm else (draw(B, P),)
    x = draw(T, B, D)
    for tensor in leaves(x, state, weights):
        tensor.requires_grad_()

    def coins(*shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) < 0.3).to(dtype)

    noise = Noise(
        (1 - coins(B, P)) / 0.7 if kind == "recurrent" or "all" in kind else None,
        coins(T, B, P) if kind == "zoneout" or "all" in kind else None,
        coins(T, B, H) if lstm and ("zoneout_cell" in kind or "all" in kind) else None,
    )
    if "expected" in kind:
        shares = [torch.full((1, 1, 1), p, dtype=dtype).expand(T, B, size) for p, size in ((0.2, P), (0.4, H))]
        noise = Noise(None, shares[0], shares[1] if "cell" in kind else None)
    return (x, state, weights), noise


def leaves(x: Tensor, state: CellState, weights: Weights) -> list[Tensor]:
    return [tensor for tensor in (x, *state, *weights) if tensor is not None]


def gradients(result: Trajectory, wanted: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a loss in which every state has its own weight."""
    outputs = [part for part in (result.h, *(result.others or ()), *result.final) if part is not None]
    generator = torch.Generator().manual_seed(0)
    loss = sum((part.double() * torch.randn(part.shape, generator=generator)).sum() for part in outputs)
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def some_masks(T: int, B: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(0, T + 1, (B,), generator=generator)
    lengths[:2] = torch.tensor([T, 0])[:B]
    return {"lengths": lengths, "resets": torch.rand(T, B, generator=generator) < 0.3}


def assert_equal(result: Trajectory, expected: Trajectory, inputs: Inputs, tolerance: float) -> None:
    """The states, and every gradient relative to the largest of its entries."""
    pairs = [(result.h, expected.h), *zip(result.final, expected.final, strict=True)]
    pairs += zip(result.others or (), expected.others or (), strict=True)
    wanted = leaves(*inputs)
    pairs += zip(gradients(result, wanted), gradients(expected, wanted), strict=True)
    for ours, theirs in pairs:
        scale = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
        torch.testing.assert_close(ours, theirs, atol=tolerance * scale, rtol=0)


def weights_are_normalized(kind: str) -> bool:
    return "all" in kind or "normalized" in kind


@built
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("cell", "kind"), CASES)
@pytest.mark.parametrize(("T", "B", "H"), SIZES)
@pytest.mark.parametrize(("reverse", "masked"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_native_kernels_equal_the_reference(
    cell: str, kind: str, T: int, B: int, H: int, reverse: bool, masked: bool, dtype: torch.dtype, tolerance: float
):
    inputs, noise = make(cell, kind, T, B, 3, H, bias=not (reverse and masked), dtype=dtype)
    options = {"reverse": reverse, "noise": noise} | (some_masks(T, B) if masked else {})
    if dtype == torch.float32 and weights_are_normalized(kind):
        tolerance *= 10  # a small variance among few units enlarges what is rounded
    assert_equal(NATIVE(cell)(*inputs, **options), REFERENCE(cell)(*inputs, **options), inputs, tolerance)


@built
@pytest.mark.parametrize(("cell", "kind"), [case for case in CASES if case[0] != "elman_relu"])
@pytest.mark.parametrize("reverse", [False, True])
def test_bfloat16_is_no_further_from_the_truth_than_the_reference(cell: str, kind: str, reverse: bool):
    inputs, noise = make(cell, kind, 20, 6, 3, 40, dtype=torch.float32)
    options = {"reverse": reverse, "noise": noise} | some_masks(20, 6)
    truth = REFERENCE(cell)(*inputs, **options)
    wanted, errors = leaves(*inputs), []
    expected = (truth.h, *truth.final, *gradients(truth, wanted))
    for kernels in (NATIVE, REFERENCE):
        with torch.autocast("cpu", torch.bfloat16):
            result = kernels(cell)(*inputs, **options)
            found = (result.h, *result.final, *gradients(result, wanted))
        errors.append([(a - b).norm().item() / b.norm().item() for a, b in zip(found, expected, strict=True)])
        if kernels is NATIVE:
            assert result.h.dtype == torch.bfloat16
            assert all(part.dtype == torch.float32 for part in result.final)
    for ours, theirs in zip(*errors, strict=True):
        assert ours < 1.5 * theirs + 0.005


@built
@pytest.mark.parametrize(("cell", "kind"), CASES)
def test_the_number_of_threads_changes_no_bit(cell: str, kind: str):
    inputs, noise = make(cell, kind, 20, 9, 3, 96, dtype=torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(NATIVE(cell)(*inputs, noise=noise).h)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("kernels", [REFERENCE, pytest.param(NATIVE, marks=built)], ids=["reference", "native"])
@pytest.mark.parametrize(("cell", "kind"), CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives(kernels, cell: str, kind: str, reverse: bool):
    (x, state, weights), noise = make(cell, kind, 3, 2, 1, 3)
    n, present = len(state), [name for name, part in weights._asdict().items() if part is not None]
    options = {"reverse": reverse, "noise": noise, "lengths": torch.tensor([2, 3])}
    options["resets"] = torch.tensor([[0, 0], [1, 0], [0, 1]]).bool()

    def function(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        result = kernels(cell)(x, rest[:n], Weights(**dict(zip(present, rest[n:], strict=True))), **options)
        return tuple(part for part in (result.h, *(result.others or ()), *result.final) if part is not None)

    inputs = leaves(x, state, weights)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("kernels", [REFERENCE, pytest.param(NATIVE, marks=built)], ids=["reference", "native"])
@pytest.mark.parametrize(("cell", "kind"), CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_leaves_no_trace(kernels, cell: str, kind: str, reverse: bool):
    (x, state, weights), noise = make(cell, kind, 5, 4, 3, 5)
    masks = some_masks(5, 4)
    padding = (torch.arange(5)[:, None] >= masks["lengths"])[..., None]
    results = []
    for junk in (0.0, float("nan")):
        filled = x.detach().masked_fill(padding, junk).requires_grad_()
        own = noise if "expected" in kind else Noise(noise[0], *(_fill(part, padding, junk) for part in noise[1:]))
        result = kernels(cell)(filled, state, weights, reverse=reverse, noise=own, **masks)
        results.append((result.h, *result.final, *gradients(result, leaves(filled, state, weights))))
    torch.testing.assert_close(*results, atol=0, rtol=0)
    assert not results[1][len(state) + 1].masked_select(padding).any()


def _fill(part: Tensor | None, where: Tensor, value: float) -> Tensor | None:
    return None if part is None else part.masked_fill(where, value)


def normal(sums: list[float]) -> list[float]:
    mean = sum(sums) / len(sums)
    variance = sum((a - mean) ** 2 for a in sums) / len(sums)
    return [(a - mean) / (variance + 1e-5) ** 0.5 for a in sums]


def sigmoid(a: float) -> float:
    return float(torch.sigmoid(torch.tensor(a, dtype=torch.float64)))


def tanh(a: float) -> float:
    return float(torch.tanh(torch.tensor(a, dtype=torch.float64)))


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_the_reference_is_what_the_papers_write(cell: str):
    """All variations at once, number by number, for one row."""
    T, D, H = 3, 2, 4
    (x, state, weights), noise = make(cell, "all", T, 1, D, H)
    expected = REFERENCE(cell)(x, state, weights, noise=noise)
    given = {name: part.tolist() for name, part in weights._asdict().items() if part is not None}
    mask, zoned = noise.recurrent[0].tolist(), noise.zoneout[:, 0].tolist()
    h = state[0][0].tolist()
    c = state[-1][0].tolist()
    units = range(H)
    for t in range(T):
        in_x = normal([sum(w * v for w, v in zip(row, x[t, 0].tolist(), strict=True)) for row in given["weight_ih"]])
        in_h = normal([sum(w * m * v for w, m, v in zip(row, mask, h, strict=True)) for row in given["weight_hh"]])
        in_x = [a * g + b for a, g, b in zip(in_x, given["gain_ih"], given["bias_ih"], strict=True)]
        in_h = [a * g + b for a, g, b in zip(in_h, given["gain_hh"], given["bias_hh"], strict=True)]
        both = [a + b for a, b in zip(in_x, in_h, strict=True)]
        if cell == "elman":
            new = [tanh(a) for a in both]
        elif cell == "gru":
            r, z = [sigmoid(a) for a in both[:H]], [sigmoid(a) for a in both[H : 2 * H]]
            n = [tanh(in_x[2 * H + u] + r[u] * in_h[2 * H + u]) for u in units]
            new = [(1 - z[u]) * n[u] + z[u] * h[u] for u in units]
        else:
            p, kept = given["weight_peephole"], noise.zoneout_cell[t, 0].tolist()
            i = [sigmoid(both[u] + p[u] * c[u]) for u in units]
            f = [sigmoid(both[H + u] + p[H + u] * c[u]) for u in units]
            c_new = [f[u] * c[u] + i[u] * tanh(both[2 * H + u]) for u in units]
            o = [sigmoid(both[3 * H + u] + p[2 * H + u] * c_new[u]) for u in units]
            hat = normal(c_new)
            new = [o[u] * tanh(hat[u] * given["gain_cell"][u] + given["bias_cell"][u]) for u in units]
            c = [c[u] if kept[u] else c_new[u] for u in units]
            seen, by_hand = expected.others[0][t, 0], torch.tensor(c, dtype=torch.float64)
            torch.testing.assert_close(seen, by_hand, atol=1e-12, rtol=0)
        h = [h[u] if zoned[t][u] else new[u] for u in units]
        torch.testing.assert_close(expected.h[t, 0], torch.tensor(h, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("cell", IN_CORE)
def test_what_keeps_all_keeps_the_state_and_what_keeps_nothing_is_the_plain_cell(cell: str):
    (x, state, weights), _ = make(cell, "plain", 4, 3, 2, 5)
    for name in ("reference", "native") if instruction_set() else ("reference",):
        kernel = BACKENDS[name].kernel(cell)
        ones = torch.ones(4, 3, 5, dtype=torch.float64)
        held = kernel(x, state, weights, noise=Noise(None, ones, ones if cell == "lstm" else None))
        for part, before in zip(held.final, state, strict=True):
            assert torch.equal(part, before)
        plain = kernel(x, state, weights)
        free = kernel(x, state, weights, noise=Noise(ones[0], 0 * ones, 0 * ones if cell == "lstm" else None))
        torch.testing.assert_close(free.h, plain.h, atol=1e-12, rtol=0)


def test_the_choice_knows_the_variations():
    (_, _, weights), noise = make("lstm", "all", 1, 1, 1, 1)
    names = variations(weights, noise)
    assert names == ("recurrent dropout", "zoneout", "zoneout of the cell", "peepholes", "layer normalization")
    assert variations(make("lstm", "projected", 1, 1, 1, 1)[0][2], QUIET) == ("projection",)
    assert variations(make("gru", "plain", 1, 1, 1, 1)[0][2], QUIET) == ()
    with pytest.raises(UserError, match=r"'torch' cannot serve this lstm call on cpu: .* no peepholes; .*'reference'"):
        choose("lstm", "cpu", "torch", variations=("peepholes",))
    assert choose("gru", "meta", variations=("zoneout",)) == "reference"
    if instruction_set():
        with torch.no_grad():
            assert choose("lstm", "cpu", size=(2, 8, 64), whole=True, variations=names) == "native"


@built
@pytest.mark.parametrize(("cell", "kind"), CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_traced_is_read_natively_too(cell: str, kind: str, masked: bool):
    inputs, noise = make(cell, kind, 5, 4, 3, 7)
    options = {"noise": noise} | (some_masks(5, 4) if masked else {})
    expected = NATIVE(cell)(*inputs, **options)
    with FlopCounterMode(display=False):  # it sees all that torch does
        assert choose(cell, "cpu", variations=variations(inputs[2], noise)) == "native"
        result = NATIVE(cell)(*inputs, **options)
        assert_equal(result, expected, inputs, 1e-12)


@built
@pytest.mark.parametrize("name", Noise._fields)
def test_who_changes_the_noise_before_backward_hears_of_it(name: str):
    inputs, noise = make("lstm", "all", 3, 2, 2, 5)
    result = NATIVE("lstm")(*inputs, noise=noise)
    getattr(noise, name).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(result, leaves(*inputs))


@built
@pytest.mark.parametrize(
    ("cell", "kind", "wrong"),
    [
        ("lstm", "all", {"weight_peephole": torch.zeros(4)}),
        ("lstm", "projected", {"weight_hr": torch.zeros(3, 5)}),  # float32
        ("lstm", "projected", {"weight_hh": torch.zeros(20, 5, dtype=torch.float64)}),
        ("lstm", "projected", {"zoneout": torch.zeros(2, 3, 5, dtype=torch.float64)}),
        ("gru", "plain", {"weight_hr": torch.zeros(5, 5, dtype=torch.float64)}),
        ("gru", "all", {"gain_hh": torch.zeros(3)}),
        ("gru", "all", {"gain_ih": None}),
        ("gru", "plain", {"weight_peephole": torch.zeros(15, dtype=torch.float64)}),
        ("gru", "plain", {"recurrent": torch.zeros(3, 4)}),
        ("gru", "plain", {"zoneout": torch.zeros(1, 3, 5)}),
        ("gru", "plain", {"zoneout_cell": torch.zeros(2, 3, 5, dtype=torch.float64)}),
    ],
)
def test_what_does_not_fit_is_refused(cell: str, kind: str, wrong: dict[str, Tensor]):
    (x, state, weights), noise = make(cell, kind, 2, 3, 2, 5)
    (name,) = wrong
    weights = weights._replace(**wrong) if name in Weights._fields else weights
    noise = noise._replace(**wrong) if name in Noise._fields else noise
    with pytest.raises(ValueError, match=f"{name}.*: expected"):
        NATIVE(cell)(x, state, weights, noise=noise)

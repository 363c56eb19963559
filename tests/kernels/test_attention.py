"""Attention's backends against the formula, one row, one head and one step at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.kernels.attention.backends import BACKENDS
from elman.kernels.attention.backends import attend as attend_call
from elman.kernels.attention.seam import Attended, AttentionCall
from elman.kernels.attention.sight import Sight, from_right_aligned

SHAPES = [
    # B, T, N, G, D, window, steps read before by each row
    (1, 1, 1, 1, 4, None, [0]),
    (1, 7, 4, 4, 16, None, [0]),
    (3, 7, 4, 2, 6, None, [0, 3, 11]),
    (3, 33, 3, 1, 32, 12, [0, 5, 40]),
    (2, 5, 2, 2, 64, 9, [8, 23]),
    (2, 33, 2, 1, 8, 1, [3, 0]),
    (1, 1, 5, 5, 2, 4, [17]),
]


def attend(*arguments: Any, backend: str | None = None, **options: Any) -> Attended:
    return attend_call(AttentionCall(*arguments, **options), backend)


class Entry:
    """A key and a value that a row has read."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        self.key, self.value = key, value


def turned(x: Tensor, gain: Tensor | None, angle: Tensor | None) -> Tensor:
    """One query or key (D,), normalised and turned."""
    if gain is not None:
        x = (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * gain
    if angle is None:
        return x
    half = len(x) // 2
    pairs = torch.complex(x[:half], x[half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((pairs.real, pairs.imag))


def by_hand(case: dict[str, Any]) -> tuple[Tensor, dict[tuple[int, int, int], Entry]]:
    """The outputs, and the entries that are alive after the call, by row, head and position."""
    q, k, v, sight = case["queries"], case["keys"], case["values"], case["sight"]
    (B, T, N, D), G = q.shape, k.shape[2]
    before, alive = sight.position.tolist(), {}
    rows = []
    for b in range(B):
        rows.append([])
        for g in range(G):
            memory = case["memory"]
            slots, modulus = memory[0].shape[2], 10**9 if sight.window is None else sight.window - 1
            entries = {
                p: Entry(*(part[b, g, p % modulus] for part in memory))
                for p in range(max(0, before[b] - min(slots, modulus)), before[b])
            }
            position = before[b]
            for t in range(T):
                real = sight.lengths is None or t < sight.lengths[b]
                if sight.resets is not None and sight.resets[b, t]:
                    entries, position = {}, 0
                angle = None if case["angles"] is None else case["angles"][b, t]
                here = Entry(turned(k[b, t, g], case["gains"][1], angle), v[b, t, g])
                seen = {p: e for p, e in entries.items() if sight.window is None or position - p < sight.window}
                seen = [*seen.values(), here]
                for n in range(g * (N // G), (g + 1) * (N // G)):
                    query = turned(q[b, t, n], case["gains"][0], angle)
                    scores = torch.stack([query @ e.key for e in seen]) / math.sqrt(D)
                    mixed = scores.softmax(0) @ torch.stack([e.value for e in seen])
                    rows[-1].append((t, n, mixed))
                if real:
                    entries[position] = here
                    position += 1
            entries = {p: e for p, e in entries.items() if position - p <= modulus}
            alive |= {(b, g, p): entry for p, entry in entries.items()}
        ordered = sorted(rows[-1], key=lambda found: found[:2])
        rows[-1] = torch.stack([mixed for _, _, mixed in ordered]).view(T, N, D)
    return torch.stack(rows), alive


Case = dict[str, Any]


def drawn(
    shape: tuple[Any, ...], *, resets: bool = False, lengths: bool = False, plain: bool = False
) -> dict[str, Any]:
    """A case in float64, all of whose tensors need gradients."""
    B, T, N, G, D, window, before = shape
    torch.manual_seed(T + D)
    modulus = 10**9 if window is None else window - 1
    slots = min(max(before), modulus)
    normal = lambda *sizes: torch.randn(sizes, dtype=torch.float64).requires_grad_()  # noqa: E731
    qkv = normal(B, T, N + 2 * G, D)
    angles = None if plain else torch.randn(B, T, D // 2, dtype=torch.float64)
    return {
        "queries": qkv[:, :, :N],
        "keys": qkv[:, :, N : N + G],
        "values": qkv[:, :, N + G :],
        "memory": (normal(B, G, slots, D), normal(B, G, slots, D)),
        "sight": Sight(
            window=window,
            position=torch.tensor(before),
            resets=torch.rand(B, T) < 0.2 if resets else None,
            lengths=torch.randint(0, T + 1, (B,)) if lengths else None,
        ),
        "gains": (None, None) if plain else (normal(D), normal(D)),
        "angles": angles,
        "rotation": None if angles is None else (angles.cos(), angles.sin()),
        "qkv": qkv,
    }


def differentiated(case: dict[str, Any]) -> list[Tensor]:
    return [case["qkv"], *case["memory"], *(gain for gain in case["gains"] if gain is not None)]


def call(case: dict[str, Any], backend: str) -> Any:
    arguments = [case[name] for name in ("queries", "keys", "values", "memory", "sight")]
    return attend(*arguments, rotation=case["rotation"], gains=case["gains"], backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"resets": True}, {"resets": True, "lengths": True}, {"plain": True}])
@pytest.mark.parametrize("shape", SHAPES)
def test_backends_against_the_formula(shape, options, backend):
    case = drawn(shape, **options)
    sight = case["sight"]
    y, memory = call(case, backend)
    expected, alive = by_hand(case)
    real = torch.ones(y.shape[:2], dtype=torch.bool)
    if sight.lengths is not None:
        real = torch.arange(y.shape[1]) < sight.lengths[:, None]
        assert y.isfinite().all()
    torch.testing.assert_close(y[real], expected[real], rtol=0, atol=1e-11)
    modulus = 10**9 if sight.window is None else sight.window - 1
    found, wanted = [y[real].flatten()], [expected[real].flatten()]
    for (b, g, p), entry in alive.items():
        found += [memory[0][b, g, p % modulus], memory[1][b, g, p % modulus]]
        wanted += [entry.key, entry.value]
    found, wanted = torch.cat(found), torch.cat(wanted)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)

    direction = torch.randn_like(found)
    inputs = differentiated(case)
    got = torch.autograd.grad(found, inputs, direction, materialize_grads=True)
    for gradient, right in zip(
        got, torch.autograd.grad(wanted, inputs, direction, materialize_grads=True), strict=True
    ):
        torch.testing.assert_close(gradient, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("T", "S", "N", "G"), [(1, 7, 2, 2), (5, 1, 4, 2), (7, 33, 3, 1)])
def test_attention_to_other_keys_sees_all_real_ones(T, S, N, G, backend):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, steps, heads, 8, dtype=torch.float64) for steps, heads in ((T, N), (S, G), (S, G)))
    lengths = torch.tensor([S, 1, max(S - 2, 1)])
    for b, length in enumerate(lengths):
        k[b, length:], v[b, length:] = 1e3, 1e3
    y, memory = attend(q, k, v, None, Sight(causal=False, lengths=lengths), backend=backend)
    assert memory is None
    for b, length in enumerate(lengths.tolist()):
        for n in range(N):
            weights = (q[b, :, n] @ k[b, :length, n // (N // G)].T / math.sqrt(8)).softmax(-1)
            torch.testing.assert_close(y[b, :, n], weights @ v[b, :length, n // (N // G)], rtol=0, atol=1e-12)
    whole, _ = attend(q, k, v, None, Sight(causal=False), backend=backend)
    torch.testing.assert_close(whole[0], y[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_multiplies_the_weights(backend):
    case = drawn((2, 5, 2, 2, 4, 4, [2, 9]))
    kept = (torch.rand(2, 2, 5, 3 + 5) < 0.7) / 0.7
    arguments = [case[name] for name in ("queries", "keys", "values", "memory", "sight")]
    given_kept = lambda kept, name: attend(*arguments, rotation=case["rotation"], kept=kept.double(), backend=name).y  # noqa: E731
    torch.testing.assert_close(given_kept(kept, backend), given_kept(kept, "reference"), rtol=0, atol=1e-11)
    ones = torch.ones_like(kept)
    whole = attend(*arguments, rotation=case["rotation"], backend=backend).y
    torch.testing.assert_close(given_kept(ones, backend), whole, rtol=0, atol=1e-11)
    assert not given_kept(torch.zeros_like(kept), backend).any()


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("backend", BACKENDS)
def test_reading_in_pieces_is_reading_whole(backend, data):
    B, T = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    window = data.draw(st.none() | st.integers(1, 6))
    resets = torch.tensor(data.draw(st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=B, max_size=B)))
    cut = data.draw(st.integers(0, T))
    torch.manual_seed(0)
    q, k, v = torch.randn(3, B, T, 2, 4, dtype=torch.float64)

    def read(steps: slice, memory: Any, position: Tensor) -> tuple[Any, Tensor]:
        sight = Sight(window=window, position=position, resets=resets[:, steps])
        found = attend(q[:, steps], k[:, steps], v[:, steps], memory, sight, backend=backend)
        for reset in resets[:, steps].unbind(1):
            position = torch.where(reset, 1, position + 1)
        return found, position

    empty = torch.zeros(2, B, 2, 0, 4, dtype=torch.float64).unbind()
    fresh = torch.zeros(B, dtype=torch.int64)
    whole, _ = read(slice(None), empty, fresh)
    first, position = read(slice(cut), empty, fresh)
    second, _ = read(slice(cut, None), first.memory, position)
    torch.testing.assert_close(torch.cat((first.y, second.y), dim=1), whole.y, rtol=0, atol=1e-12)
    for mine, right in zip(second.memory, whole.memory, strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=1e-12)


def test_a_memory_of_earlier_builds_becomes_a_ring():
    """Those builds kept the newest entry last."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 9, 2, 4, dtype=torch.float64)
    for window in (4, None):
        empty = torch.zeros(2, 2, 2, 0, 4, dtype=torch.float64).unbind()
        resets = torch.zeros(2, 9, dtype=torch.bool)
        resets[1, 7] = True
        sight = Sight(window=window, position=torch.zeros(2, dtype=torch.int64), resets=resets)
        ring = attend(q, k, v, empty, sight).memory
        position, slots = torch.tensor([9, 2]), 9 if window is None else 3
        rows = k.transpose(1, 2)[:, :, -slots:]
        found = from_right_aligned(rows, position)
        torch.testing.assert_close(found[0], ring[0][0], rtol=0, atol=0)
        torch.testing.assert_close(found[1, :, :2], ring[0][1, :, :2], rtol=0, atol=0)
        assert not found[1, :, 2:].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_keys_of_a_wider_type_are_rounded_to_that_of_the_queries(backend):
    """As under autocast, where a decoder's queries are bfloat16 and the keys of its source stay float32."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, steps, 2, 8, requires_grad=True) for steps in (5, 7, 7))
    sight, low = Sight(causal=False, lengths=torch.tensor([7, 3])), q.bfloat16()
    y, _ = attend(low, k, v, None, sight, backend=backend)
    wanted, _ = attend(low.float(), k, v, None, sight, backend="reference")
    torch.testing.assert_close(y.float(), wanted, rtol=0, atol=0.05)
    direction = torch.randn_like(wanted)
    got = torch.autograd.grad(y.float(), (q, k, v), direction)
    for gradient, right in zip(got, torch.autograd.grad(wanted, (q, k, v), direction), strict=True):
        torch.testing.assert_close(gradient, right, rtol=0, atol=0.05)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman.nn
from elman.errors import UserError
from elman.lens import Intervention, hold, jacobian_product, step_jacobian
from elman.lens.jacobian import jacobian_of, singular_values, spectral_radius, steps_of
from elman.models import LanguageModel
from elman.models.recurrent import RecurrentLM
from elman.state import leaves

RECURRENT = ["elman", "gru", "lstm", "mingru", "slstm", "recomputed"]
VOCABULARY = 11

Make = Callable[..., LanguageModel]


@pytest.mark.parametrize("name", RECURRENT)
def test_nothing_is_kept_where_a_document_begins(make: Make, name: str) -> None:
    model = make(name).eval()
    tokens = torch.tensor([3, 7])
    with torch.no_grad():
        _, state = model.read(torch.randint(VOCABULARY, (2, 5)))
    plain, found = (
        step_jacobian(model, tokens, state, 1, resets=resets) for resets in (None, torch.tensor([False, True]))
    )
    np.testing.assert_array_equal(found.matrices[0], plain.matrices[0])
    assert plain.spectral_radius[1] > 0
    assert (found.matrices[1] == 0).all()
    assert (found.singular_values[1] == 0).all()
    assert found.spectral_radius[1] == 0


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", RECURRENT)
def test_it_equals_finite_differences(make: Make, name: str, layer: int) -> None:
    model = make(name).eval()
    tokens = torch.tensor([3, 7])
    with torch.no_grad():
        _, state = model.read(torch.randint(VOCABULARY, (2, 5)))
    found = step_jacobian(model, tokens, state, layer)
    size = sum(leaf.shape[1] for leaf in leaves(state[layer]))
    assert found.matrices.shape == (2, size, size)
    for row in range(2):
        before = [leaf[row : row + 1] for leaf in leaves(state)]

        def step(change: torch.Tensor, before=before, row=row) -> torch.Tensor:
            """The layer's memory after the step, where `change` (M,) is added to it before."""
            per = len(before) // 2
            parts = list(before)
            for index, piece in enumerate(
                change.split([part.shape[1] for part in before[layer * per : layer * per + per]])
            ):
                parts[layer * per + index] = parts[layer * per + index] + piece
            layers = [tuple(parts[start : start + per]) for start in (0, per)]
            memory = tuple(pair if per > 1 else pair[0] for pair in layers)
            with torch.no_grad():
                _, after = model.read(tokens[row : row + 1, None], memory)
            return torch.cat(list(leaves(after[layer])), dim=1)[0]

        small = 1e-6
        for unit in range(size):
            change = torch.zeros(size, dtype=torch.float64)
            change[unit] = small
            expected = (step(change) - step(-change)) / (2 * small)
            np.testing.assert_allclose(found.matrices[row, :, unit], expected, atol=1e-8)
    expected = np.linalg.svd(found.matrices, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, expected, atol=1e-10)
    radii = np.abs(np.linalg.eigvals(found.matrices)).max(1)
    np.testing.assert_allclose(found.spectral_radius, radii, rtol=2e-3)


VARIED = [
    ("elman", {"layer_norm": True}),
    ("gru", {"layer_norm": True, "zoneout": 0.2}),
    ("lstm", {"layer_norm": True, "zoneout": 0.1, "zoneout_cell": 0.3, "peepholes": True}),
    ("lstm", {"recurrent_dropout": 0.5, "weight_dropout": 0.5}),
    ("slstm", {"zoneout": 0.2}),
    ("mingru", {"layer_norm": True, "zoneout": 0.2}),
]


def check_own_step(model: Any, tokens: torch.Tensor, state: Any, layer: int) -> None:
    """The layer's own step has the Jacobian of the whole model, at a reset too."""
    steps, memory = steps_of(model.eval(), tokens, state, layer)
    assert steps.layers is not None
    for begins in (None, torch.tensor([False]), torch.tensor([True])):
        own, whole = (jacobian_of(one, tokens, memory, layer, begins) for one in (steps, steps._replace(layers=None)))
        torch.testing.assert_close(own, whole, rtol=0, atol=1e-12)
        assert own.any() or begins


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(("name", "options"), VARIED)
def test_the_own_step_of_a_layer_is_enough(make: Make, name: str, options: dict[str, Any], layer: int) -> None:
    model = make(name, **options).train()
    with torch.no_grad():
        _, state = model.read(torch.randint(VOCABULARY, (1, 5)))
    check_own_step(model, torch.tensor([3]), state, layer)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["lstm", "gru", "slstm"])
def test_what_is_held_depends_on_nothing(make: Make, name: str, layer: int) -> None:
    gate = "f" if name != "gru" else "z"
    ones = [Intervention(layer=2, gate=gate, unit=1, value=0.3), Intervention(layer=2, state="h", unit=0, value=0.5)]
    model = hold(make(name).eval(), ones)
    with torch.no_grad():
        _, state = model.read(torch.randint(VOCABULARY, (1, 5)))
    check_own_step(model, torch.tensor([3]), state, layer)
    found = step_jacobian(model, torch.tensor([3]), state, layer)
    assert found.matrices[0, 0].any() == (layer == 0)
    every = [Intervention(layer=1, state=one, value=0.5) for one in ("h", "c")[: len(list(leaves(state[0])))]]
    assert not step_jacobian(hold(model, every[:1]), torch.tensor([3]), state, 0).matrices[0, :8].any()


@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {"proj_size": 3}), ("GRU", {}), ("GRU", {"reset_after": False}), ("SLSTM", {})]
)
def test_the_own_step_of_a_layer_that_reads_both_ways(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = getattr(elman.nn, kind)(3, 5, num_layers=2, bidirectional=True, zoneout=0.2, **options).double()
    x = torch.randn(1, 3, dtype=torch.float64)
    with torch.no_grad():
        _, state = layer(torch.randn(4, 1, 3, dtype=torch.float64))
    for place in range(4):
        steps, memory = steps_of(layer.eval(), x, state, place)
        own, whole = (jacobian_of(one, x, memory, place, None) for one in (steps, steps._replace(layers=None)))
        torch.testing.assert_close(own, whole, rtol=0, atol=1e-12)


def test_a_model_of_somebodys_own_is_taken_as_a_whole(make: Make) -> None:
    """Its memory after a step may be more than that of its layers: here it is twice as much."""

    class Twice(RecurrentLM):
        def read(self, tokens: Any, state: Any = None, **options: Any) -> Any:
            hidden, after = super().read(tokens, state, **options)
            return hidden, tuple(2 * one for one in after)

    model = make("elman")
    tokens, state = torch.tensor([3]), model.initial_state(1)
    plain = step_jacobian(model, tokens, state).matrices
    model.__class__ = Twice
    np.testing.assert_allclose(step_jacobian(model, tokens, state).matrices, 2 * plain, rtol=1e-12)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 12), scale=st.floats(1e-3, 1e3))
def test_the_spectral_radius_is_that_of_the_eigenvalues(seed: int, size: int, scale: float) -> None:
    matrix = scale * np.random.default_rng(seed).standard_normal((size, size))
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert spectral_radius(torch.from_numpy(matrix)) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_singular_values_of_short_floats_are_those_of_the_same_matrix(size: int) -> None:
    """Down to what the floats can tell of the largest."""
    rng = np.random.default_rng(size)
    sides = [np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(2)]
    matrix = torch.from_numpy(sides[0] @ np.diag(np.geomspace(3, 3e-6, size)) @ sides[1]).float().double()
    exact = torch.linalg.svdvals(matrix)
    found = singular_values(matrix, torch.float32)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=0)
    for scale in (1e200, 1e-200):  # a product that exploded, or vanished
        torch.testing.assert_close(singular_values(scale * matrix, torch.float32), scale * found, rtol=1e-4, atol=0)
    torch.testing.assert_close(found[: size // 2 + 1], exact[: size // 2 + 1], rtol=1e-9, atol=0)


def test_a_nilpotent_matrix_has_none() -> None:
    assert spectral_radius(torch.tensor([[0.0, 1.0], [0.0, 0.0]])) == 0


def test_a_memory_that_grows_has_no_step_jacobian(make: Make) -> None:
    model = make("rotary")
    with pytest.raises(UserError, match="recurrent model"):
        step_jacobian(model, torch.tensor([1]), model.initial_state(1))


def test_no_such_layer(make: Make) -> None:
    model = make("gru")
    with pytest.raises(UserError, match="expected 0 to 1, got 2"):
        step_jacobian(model, torch.tensor([1]), model.initial_state(1), layer=2)


@pytest.mark.parametrize("size", [5, 64])
def test_the_product_of_a_linear_network_is_a_power_of_its_matrix(size: int) -> None:
    """W = U diag(s) Uᵀ has the singular values s^k after k steps; where all inputs are 0, tanh has slope 1."""
    rng = np.random.default_rng(size)
    values = np.sort(rng.uniform(0.2, 1.1, size))[::-1]
    turned, _ = np.linalg.qr(rng.standard_normal((size, size)))
    layer = elman.nn.Elman(2, size, bias=False).double()
    layer.weight_hh_l0.data = torch.from_numpy(turned @ np.diag(values) @ turned.T)
    state = torch.zeros(1, 1, size, dtype=torch.float64)
    found = jacobian_product(layer, torch.zeros(33, 2, dtype=torch.float64), state, steps=[1, 7, 33])
    assert found.steps.tolist() == [1, 7, 33]
    kept = values ** found.steps[:, None]
    resolved = kept > found.resolution[:, None]
    np.testing.assert_allclose(found.singular_values[resolved], kept[resolved], rtol=1e-2)
    np.testing.assert_allclose(found.largest, values[0] ** found.steps, rtol=1e-10)
    np.testing.assert_allclose(found.median[:2], np.median(kept, axis=1)[:2], rtol=1e-7)
    assert np.isnan(found.smallest[-1]) == (kept[-1, -1] <= found.resolution[-1])


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("T", [1, 7, 33])
def test_the_product_is_the_jacobian_of_many_steps(make: Make, name: str, layer: int, T: int) -> None:
    """By one derivative through all steps; nothing is kept beyond the place where a document begins."""
    model = make(name).eval()
    generator = torch.Generator().manual_seed(T)
    tokens = torch.randint(VOCABULARY, (T + 5,), generator=generator)
    with torch.no_grad():
        _, state = model.read(tokens[None, :5])
    parts = list(leaves(state))
    per = len(parts) // 2
    own = [part.shape[1] for part in parts[layer * per : layer * per + per]]

    def through(memory: torch.Tensor) -> torch.Tensor:
        every = [*parts]
        every[layer * per : layer * per + per] = [piece[None] for piece in memory.split(own)]
        layers = [tuple(every[start : start + per]) for start in (0, per)]
        _, after = model.read(tokens[None, 5:], like(state, layers))
        return torch.cat(list(leaves(after[layer])), dim=1)[0]

    before = torch.cat(parts[layer * per : layer * per + per], dim=1)[0]
    expected = torch.linalg.svdvals(torch.autograd.functional.jacobian(through, before))
    found = jacobian_product(model, tokens[5:], state, layer)
    assert found.steps[0] == 1
    last = jacobian_product(model, tokens[5:], state, layer, steps=[T])
    np.testing.assert_allclose(last.singular_values[0], expected, rtol=1e-6, atol=10 * last.resolution[0])
    alone = step_jacobian(model, tokens[5:6], state, layer)
    np.testing.assert_allclose(found.singular_values[0], alone.singular_values[0], rtol=1e-9, atol=1e-14)
    resets = torch.zeros(T, dtype=torch.bool)
    resets[-1] = True
    assert (jacobian_product(model, tokens[5:], state, layer, resets=resets, steps=[T]).singular_values == 0).all()


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a_first_jacobian_that_is_known_is_not_computed_again(make: Make, name: str) -> None:
    model, tokens = make(name).eval(), torch.tensor([3, 7, 1, 4])
    first = step_jacobian(model, tokens[:1], model.initial_state(1), 1)
    plain = jacobian_product(model, tokens, model.initial_state(1), 1)
    known = jacobian_product(model, tokens, model.initial_state(1), 1, first=first)
    np.testing.assert_allclose(known.singular_values, plain.singular_values, rtol=1e-9, atol=1e-15)
    halved = replace(first, matrices=first.matrices / 2, singular_values=first.singular_values / 2)
    found = jacobian_product(model, tokens, model.initial_state(1), 1, first=halved)
    np.testing.assert_allclose(2 * found.singular_values, plain.singular_values, rtol=1e-9, atol=1e-15)


def like(state, layers):
    """The layers' memories in the form of a state."""
    return tuple(
        type(one)(*parts) if hasattr(one, "_fields") else parts if isinstance(one, tuple) else parts[0]
        for one, parts in zip(state, layers, strict=True)
    )


@pytest.mark.parametrize("steps", [[], [0, 1], [4]])
def test_a_product_needs_its_tokens_and_one_row(make: Make, steps: list[int]) -> None:
    model = make("gru").eval()
    with pytest.raises(UserError, match="steps: expected some from 1 to 3"):
        jacobian_product(model, torch.tensor([1, 2, 3]), model.initial_state(1), steps=steps)
    with pytest.raises(UserError, match="one row, got 2 rows"):
        jacobian_product(model, torch.tensor([1, 2, 3]), model.initial_state(2))

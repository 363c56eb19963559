from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman.nn
from elman.errors import UserError
from elman.lens import jacobian_product, step_jacobian
from elman.lens.jacobian import spectral_radius
from elman.models import LanguageModel
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


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 12), scale=st.floats(1e-3, 1e3))
def test_the_spectral_radius_is_that_of_the_eigenvalues(seed: int, size: int, scale: float) -> None:
    matrix = scale * np.random.default_rng(seed).standard_normal((size, size))
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert spectral_radius(torch.from_numpy(matrix)) == pytest.approx(expected, rel=5e-3)


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

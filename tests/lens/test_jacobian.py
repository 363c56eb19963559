from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import UserError
from elman.lens import step_jacobian
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

"""The runner's numbers and draws are elman's."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman.decode.uniforms
from elman.decode.sampling import sample
from elman_runner.sampling import Drawing, draw, uniforms


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9), st.integers(0, 999), st.integers(0, 10**6))
def test_numbers(seed: int, row: int, number: int, step: int) -> None:
    ours = islice(elman.decode.uniforms.uniforms(seed, row, number, step), 40)
    assert list(islice(uniforms(seed, row, number, step), 40)) == list(ours)


@given(
    st.lists(st.sampled_from([-np.inf, -3.0, 0.0, 1.0, 1.5, 20.0]), min_size=1, max_size=9).filter(
        lambda x: max(x) > -9
    ),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1),
)
def test_draws(
    logits: list[float], u: float, temperature: float, k: int | None, p: float | None, floor: float | None
) -> None:
    x = np.array(logits, np.float32)
    expected = sample(
        torch.from_numpy(x)[None],
        temperature=temperature,
        top_k=k,
        top_p=p,
        min_p=floor,
        uniform=torch.tensor([u], dtype=torch.double),
    )
    assert draw(x, u, Drawing(temperature, k, p, floor)) == int(expected)


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 2.0}, {"min_p": float("nan")}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: expected "):
        Drawing(**wrong)  # type: ignore[arg-type]

"""What `elman inspect` says of the truncation that a run was trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import elman
from elman.inspection import truncation as looking
from elman.lens import truncation
from elman.tasks.language_modelling.subject import open_subject


@pytest.mark.parametrize("k2", [4, 16])
def test_the_cosine_of_a_run_is_that_of_its_own_k1_and_k2(
    k2: int, train: Callable[..., Path], plain_text: Path, tmp_path: Path
) -> None:
    subject = open_subject(elman.load(train(plain_text, tmp_path / "run", "k1=4", f"k2={k2}")), None)
    inputs, targets, resets = subject.excerpt
    own = truncation(subject.model, inputs, targets, resets=resets, windows=[k2], stride=4)
    expected = f"every 4 steps through the last {k2} steps, "
    expected += f"whose cosine with the whole one is {own.cosine[0]:.3f} at the trained weights"
    assert looking.look(subject).lines[-1].endswith(expected)


def test_a_gradient_of_zero_is_compared_with_nothing(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*given: object, **options: object) -> object:
        found = truncation(*given, **options)  # type: ignore[arg-type]
        return replace(found, cosine=np.zeros(len(found.windows)), gradient=np.zeros(len(found.gradient)))

    monkeypatch.setattr(looking, "truncation", nothing)
    found = looking.look(open_subject(elman.load(runs["lstm"]), None))
    assert found.lines == ["the whole gradient is zero: there is nothing to compare with"]
    assert found.numbers["smallest_windows"] == {}


def test_the_whole_of_the_steps_is_no_window_that_is_recommended(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanishing(*given: object, **options: object) -> object:
        found = truncation(*given, **options)  # type: ignore[arg-type]
        short = found.windows < found.windows.max()
        return replace(found, cosine=np.where(short, np.where(found.windows >= 8, 0.95, 0.5), 1.0))

    monkeypatch.setattr(looking, "truncation", vanishing)
    subject = open_subject(elman.load(runs["lstm"]), None)
    steps = subject.excerpt.inputs.shape[1]
    assert looking.look(subject).lines[:2] == [
        "cut every 8 steps, a gradient has a cosine of at least 0.9 with the whole one",
        f"of the windows that were tried, none shorter than the whole {steps} steps keeps a cosine of at least 0.99",
    ]

"""What `elman inspect` says of a gradient against the lag, and how it is marked where attention is bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.inspection.gradients import reach
from elman.inspection.windows import window_marks
from elman.lens import fit_decay, jacobian_product
from elman.lens.decay import WORDS
from elman.lens.gradient_flow import Flow
from elman.report import number
from elman.tasks.language_modelling.subject import open_subject
from inspecting import inspect


def test_words_horizon_rate_and_shares_are_of_one_curve(runs: dict[str, Path]) -> None:
    found = inspect(runs["lstm"], parts=["gradients"])
    numbers = found.numbers["gradients"]["trained"]["gradients"]
    for name, flow in numbers.items():
        median = np.array(flow["quantiles"]["0.5"])
        decay = fit_decay(np.array(flow["lags"]), median)
        [line] = [line for line in found.lines if line.startswith(f"gradient by {name}: ")]
        assert line.startswith(f"gradient by {name}: trained {decay.words}; untrained ")
        assert (flow["horizon"], flow["verdict"], flow["end"]) == (decay.horizon, decay.verdict, decay.end)
        assert flow["rate"] == pytest.approx(decay.rate, rel=1e-4)
        assert flow["left"]["10"] == pytest.approx(median[flow["lags"].index(10)] / median[0], rel=1e-4)
        assert str(flow["lags"][-1]) in flow["left"]
    html = found.html()
    assert WORDS in html
    assert "steps back in each layer" not in html
    horizon = numbers["input"]["horizon"]
    assert f">trained: 1 % at lag {horizon}</text>" in html


@pytest.mark.parametrize(
    ("median", "sentence"),
    [
        (
            0.9 ** np.arange(200),
            "The token read 30 steps ago still changes the prediction of the next token: the gradient by it is 4.2 % "
            "of that by the last token; 100 steps ago, the gradient is 0.0027 %",
        ),
        (
            0.99 ** np.arange(51),
            "The token read 50 steps ago still changes the prediction of the next token: the gradient by it is 61 % of "
            "that by the last token",
        ),
        (
            2.0 ** np.arange(11),
            "The token read 10 steps ago still changes the prediction of the next token: the gradient by it is "
            "100,000 % of that by the last token",
        ),
        (
            0.001 ** np.arange(4),
            "The token read 1 step ago hardly changes the prediction of the next token: the gradient by it is 0.1 % of "
            "that by the last token; 3 steps ago, the gradient is 1e-7 %",
        ),
        (
            np.array([2.0, 0, 0, 0]),
            "The token read 1 step ago does not change the prediction of the next token: the gradient by it is 0 % of "
            "that by the last token; 3 steps ago, the gradient is 0 %",
        ),
        (np.zeros(5), None),
        (np.array([0, 1.0, 0.5]), None),
        (np.array([1.0, np.nan, 0.5]), None),
    ],
)
def test_the_reach_is_a_sentence(median: np.ndarray, sentence: str | None) -> None:
    """Of three rows, the middle one counts."""
    flow = Flow("input", np.arange(len(median)), np.stack([median, 0 * median, 3 * median], axis=1))
    assert reach(flow) == ("" if sentence is None else f"{sentence} (medians over 3 windows of the text).")


def test_a_report_begins_with_the_reach_where_gradients_are_looked_at(runs: dict[str, Path]) -> None:
    found = inspect(runs["lstm"], parts=["gradients", "clipping"])
    left = found.numbers["gradients"]["trained"]["gradients"]["input"]["left"]
    [near] = [int(found.lines[0].split()[3])]
    assert left[str(near)] >= 0.01 or near == 1
    assert found.lines[0].startswith(f"The token read {near} step")
    assert found.report.text.startswith(found.lines[0])
    assert f"<p>{found.lines[0]}" in found.html()
    assert not inspect(runs["lstm"], parts=["clipping"]).lines[0].startswith("The token read")


def test_steps_of_a_bounded_window_are_marked_and_explained(runs: dict[str, Path]) -> None:
    """Two layers of a window of 8: seven steps back in one, fourteen in two."""
    found = inspect(runs["transformer"], parts=["gradients"])
    flow = found.numbers["gradients"]["trained"]["gradients"]["input"]
    assert flow["end"] == 15
    html = found.html()
    assert (
        "Attention looks 7 steps back in each layer. A gradient passes from lag 8 on through at least 2 layers" in html
    )
    assert "From lag 15 on the gradient is zero." in html
    [figure] = found.report.chapters[0].figures
    assert [name for _, name in figure.legend] == ["trained"]  # before training the gradient is zero, which no line is
    assert found.numbers["gradients"]["untrained"]["gradients"]["input"]["verdict"] == "none"
    assert "untrained no gradient reaches back at all (every layer begins by passing on what it is given" in html
    assert ">2 layers</text>" in html
    assert ">nothing</text>" in html


@pytest.mark.parametrize(
    ("window", "layers", "longest", "marks"),
    [
        (64, 4, 199, [(64, "2 layers"), (127, "3 layers"), (190, "4 layers")]),
        (64, 1, 199, [(64, "nothing")]),
        (64, 4, 63, []),
        (None, 4, 199, []),
        (1, 3, 9, [(1, "nothing")]),
    ],
)
def test_marks_of_a_window(window: int | None, layers: int, longest: int, marks: list[tuple[int, str]]) -> None:
    found, caption = window_marks(window, layers, longest)
    assert [(mark.x, mark.text) for mark in found] == marks
    assert bool(caption) == bool(marks)
    for lag, text in marks:
        said = (
            f"rom lag {lag} on the gradient is zero."
            if text == "nothing"
            else f"from lag {lag} on through at least {text}"
        )
        assert said in caption
    assert ("is zero" in caption) == (bool(marks) and marks[-1][1] == "nothing")
    assert ("passes" in caption) == any("layers" in text for _, text in marks)


def test_the_product_of_jacobians_is_told_as_it_is(runs: dict[str, Path]) -> None:
    """The words, the numbers and the lens agree, and the first step of a product is a step."""
    found = inspect(runs["lstm"], parts=["gradients"])
    subject = open_subject(elman.load(runs["lstm"]), None)
    windows = subject.windows(32, 265)
    past = (windows.shape[1] - 1) * 64 // 264
    for key, model in zip(("trained", "untrained"), subject.models.values(), strict=True):
        with torch.no_grad():
            _, state = model.read(windows[:1, :past])
        for layer, numbers in enumerate(found.numbers["gradients"][key]["jacobian_products"]):
            lens = jacobian_product(model, windows[0, past : past + 64], state, layer)
            assert numbers["layer"] == layer + 1
            assert numbers["steps"] == lens.steps.tolist() == [1, 2, 4, 8, 16, 32, 64]
            np.testing.assert_allclose(numbers["largest"], lens.largest, rtol=1e-3)
            np.testing.assert_allclose(np.array(numbers["median"], float), lens.median, rtol=1e-2)
    lines = [line for line in found.lines if line.startswith("product of 64 Jacobians of layer ")]
    assert len(lines) == 2
    largest = found.numbers["gradients"]["trained"]["jacobian_products"][0]["largest"][-1]
    assert f"largest singular value: trained {number(largest)}, by an even factor of " in lines[0]
    titles = [figure.title for figure in found.report.chapters[0].figures]
    assert "Product of Jacobians of layer 2: singular values" in titles

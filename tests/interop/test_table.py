"""`elman interop`, and docs/en/reference/interop.md."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import numpy as np
import pytest

from elman.cli import completion, run
from elman.interop import CONVENTIONS, from_arrays, to_arrays
from elman.interop.words import array_in_words, describe
from elman.nn import LSTM

PAGE = Path(__file__).parents[2] / "docs" / "en" / "reference" / "interop.md"


def test_the_page_runs_and_has_the_table_of_the_program() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 10
    assert found.failed == 0
    table = PAGE.read_text(encoding="utf-8").partition("\n| convention |")[2].partition("\n\n")[0].splitlines()
    assert table[2:] == [f"| {' | '.join(describe(row).values())} |" for row in CONVENTIONS.values()]


def test_the_command_lists_every_convention(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["interop"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(CONVENTIONS) == completion.conventions()
    assert run(["interop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["convention"] == "torch.RNN"


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_command_shows_the_arrays_of_a_convention(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["interop", name]) == 0
    out = capsys.readouterr().out
    for array in CONVENTIONS[name].arrays:
        shown = array_in_words(CONVENTIONS[name], array)[0]
        assert f"  {shown} " in out
    assert "names      " in out
    assert run(["interop", name, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["arrays"]) == len(CONVENTIONS[name].arrays)


@pytest.mark.parametrize("name", [name for name in CONVENTIONS if name != "tensorflow.BlockLSTM"])
def test_shapes_are_those_that_the_converter_takes(name: str) -> None:
    """With D = 2, H = 3 and one direction, from arrays of these shapes there is a layer."""
    convention = CONVENTIONS[name]
    arrays = {}
    for array in convention.arrays:
        if array.fields != ("weight_hr",):
            full, shape, _ = array_in_words(convention, array)
            shape = re.sub(r"(\d*)H", lambda found: str(3 * int(found[1] or 1)), shape.replace("D", "2"))
            sizes = shape.replace("1 or 2", "1").strip("(,)").split(", ")
            arrays[full] = np.ones([sum(map(int, size.split("+"))) for size in sizes])
    layer = from_arrays(convention, arrays)
    assert (layer.input_size, layer.hidden_size) == (2, 3)
    assert {key: part.shape for key, part in to_arrays(layer, convention).items()} == {
        key: part.shape for key, part in arrays.items()
    }


def test_a_projection_is_shown_too() -> None:
    paddle = CONVENTIONS["paddle.LSTM"]
    name, shape, _ = array_in_words(paddle, paddle.arrays[-1])
    assert (name, shape) == ("0.cell.weight_ho", "(H, P)")
    assert to_arrays(LSTM(2, 3, proj_size=1), paddle)[name].shape == (3, 1)


def test_an_unknown_convention_is_a_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["interop", "keras.LTSM"]) == 2
    assert "did you mean 'keras.LSTM'?" in capsys.readouterr().err

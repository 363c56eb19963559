"""Layers of elman, made of other frameworks' arrays, against the numbers that those frameworks gave (record.py)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import recordings
from elman.errors import UserError
from elman.interop import CONVENTIONS, Convention, convention_named, from_arrays, to_arrays
from elman.nn import Recurrent

CASES = recordings.read()
CHANGES = {"without the clip": {"cell_clip": None}, "with peepholes": {"cell_clip": None}}
REFUSED = "tensorflow.BlockLSTM as it is"
every_case = pytest.mark.parametrize("case", [case for case in CASES if case != REFUSED])
TOLERANCE = {"atol": 3e-6, "rtol": 0}


def convention_of(case: str) -> Convention:
    name, _, variation = case.partition(" ")
    return convention_named(name, **CHANGES.get(variation, {}))


def layer_of(case: str) -> Recurrent:
    return from_arrays(convention_of(case), CASES[case]["weights"])


def read(layer: Recurrent, case: str, lengths: list[int] | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
    given = CASES[case]
    state = tuple(torch.from_numpy(given[name].copy()) for name in ("h", "c") if name in given)
    layer.batch_first = True
    with torch.no_grad():
        y, final = layer(torch.from_numpy(given["x"].copy()), state if len(state) > 1 else state[0], lengths=lengths)
    return y.numpy(), [part.numpy() for part in (final if isinstance(final, tuple) else (final,))]


def finals(case: str, end: str) -> list[np.ndarray]:
    return [CASES[case][f"{name}_n{end}"] for name in ("h", "c") if f"{name}_n{end}" in CASES[case]]


def test_every_row_was_run_but_those_of_the_torch_that_is_here() -> None:
    recorded = {case.partition(" ")[0] for case in CASES}
    assert recorded == {name for name in CONVENTIONS if not name.startswith("torch.")}
    for case, given in CASES.items():
        assert convention_of(case).version.endswith(f" {given['version']}")


@every_case
def test_a_layer_of_the_arrays_gives_the_framework_s_numbers(case: str) -> None:
    layer = layer_of(case)
    y, final = read(layer, case)
    np.testing.assert_allclose(y, CASES[case]["y"], **TOLERANCE)
    for ours, theirs in zip(final, finals(case, ""), strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)
    # What is compared is no accident: biases that are not zero, sizes that differ, states that matter.
    assert layer.input_size != layer.hidden_size
    assert y.shape[1] >= 5
    assert all(array.any() for array in CASES[case]["weights"].values())
    assert np.abs(CASES[case]["h"]).min() > 0


@every_case
def test_arrays_come_out_as_they_went_in(case: str) -> None:
    arrays = CASES[case]["weights"]
    out = to_arrays(layer_of(case), convention_of(case))
    for name, value in out.items():
        assert value.flags.c_contiguous
        given = next((arrays[path + name] for path in ("", "cell/", "cell.") if path + name in arrays), None)
        if given is None:  # a second bias, which may be left out
            assert not value.any()
            continue
        assert value.dtype == given.dtype
        np.testing.assert_array_equal(value.view(np.uint32), np.ascontiguousarray(given).view(np.uint32))
    assert len(out) >= len(arrays) / 2  # Paddle has two names for an array
    assert out.folds == ()


def test_a_clip_is_refused_for_it_changes_the_numbers() -> None:
    with pytest.raises(UserError, match=r"^tensorflow.BlockLSTM has no equal in elman: c is clipped to ±3 .*; where a"):
        from_arrays("tensorflow.BlockLSTM", CASES[REFUSED]["weights"])
    layer = from_arrays(convention_named("tensorflow.BlockLSTM", cell_clip=None), CASES[REFUSED]["weights"])
    y, (_, c) = read(layer, REFUSED)
    assert np.abs(CASES[REFUSED]["c"]).max() > 3 > np.abs(CASES[REFUSED]["c_n"]).max()
    assert np.abs(c - CASES[REFUSED]["c_n"]).max() > 0.01
    assert np.abs(y - CASES[REFUSED]["y"]).max() > 0.01
    with pytest.raises(UserError, match=r"^tensorflow.BlockLSTM has no equal of this LSTM: c is clipped"):
        to_arrays(layer, "tensorflow.BlockLSTM")


@pytest.mark.parametrize("case", [case for case in CASES if "lengths" in CASES[case]])
def test_lengths_and_what_a_framework_does_with_padding(case: str) -> None:
    given, convention, layer = CASES[case], convention_of(case), layer_of(case)
    lengths = given["lengths"].astype(int)
    assert {0, 1, given["x"].shape[1]} <= {*lengths}
    y, final = read(layer, case, lengths.tolist())
    real = np.arange(y.shape[1]) < lengths[:, None]
    np.testing.assert_allclose(y[real], given["y_lengths"][real], **TOLERANCE)
    there = lengths > 0
    for ours, theirs in zip(final, finals(case, "_lengths"), strict=True):
        np.testing.assert_allclose(ours[:, there], theirs[:, there], **TOLERANCE)
    assert not y[~real].any()

    theirs, (h, *_) = given["y_lengths"], finals(case, "_lengths")
    if "projected" in case:  # with projections, Paddle's outputs at the padding are none of the three
        assert theirs[~real].all()
        return
    for row, length in enumerate(lengths):
        if convention.padding == "zero" or (convention.padding == "repeat" and layer.bidirectional):
            assert not theirs[row, length:].any()
        elif convention.padding == "repeat" and length:
            np.testing.assert_array_equal(theirs[row, length:], theirs[row, [length - 1] * (len(real.T) - length)])
        elif convention.padding == "read" and not layer.bidirectional:
            np.testing.assert_array_equal(theirs[row], given["y"][row])
        if length == 0 and not layer.bidirectional:
            expected = {"initial": given["h"], "zero": np.zeros_like(h), "read": given["h_n"]}[str(convention.empty)]
            np.testing.assert_array_equal(h[:, row], expected[:, row])
            np.testing.assert_array_equal(final[0][:, row], given["h"][:, row])

"""Out of elman into every framework and in again, for drawn sizes, stacks, directions and numbers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman import nn
from elman.interop import CONVENTIONS, Convention, convention_named, from_arrays, to_arrays
from elman.nn import Recurrent

PAGE = Path(__file__).parents[2] / "docs" / "en" / "reference" / "interop.md"
ROWS = [convention_named(name, cell_clip=None) for name in CONVENTIONS]
DTYPES = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-12}


def layer_of(rows: list[Convention], D: int, H: int, dtype: str, seed: int, **options: Any) -> Recurrent:
    """A layer of the conventions' kind; b_hh of n is 0 where one has no place for it."""
    convention = rows[0]
    torch.manual_seed(seed)
    cell = convention.specification
    layer: Recurrent = getattr(nn, cell.layer)(D, H, dtype=getattr(torch, dtype), **convention.options, **options)
    inside_reset = convention.cell == "gru" and any(r.reset_after and ("bias_hh", "n") not in r.held for r in rows)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.normal_(std=0.5)
            if inside_reset and "bias_hh" in name:
                parameter[cell.rows_of("n", H)] = 0
    return layer


def bits(arrays: Any) -> dict[str, bytes]:
    return {name: np.asarray(part).tobytes() for name, part in arrays.items()}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Convention, Convention, Recurrent, str]:
    """A convention, another one of the same cell, and a layer that both can hold."""
    convention, dtype = draw(st.sampled_from(ROWS)), draw(st.sampled_from([*DTYPES]))
    other = draw(st.sampled_from([row for row in ROWS if row.specification.name == convention.specification.name]))
    namings = [row.namings[0] for row in (convention, other)]
    options = {
        "bidirectional": draw(st.booleans()) and all(naming.both for naming in namings),
        "num_layers": draw(st.integers(1, 3)) if all("{layer}" in naming.forward for naming in namings) else 1,
        "bias": draw(st.booleans()),
    }
    sizes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return (
        convention,
        other,
        layer_of([convention, other], *sizes, dtype, draw(st.integers(0, 2**31)), **options),
        dtype,
    )


def assert_equal(layer: Recurrent, again: Recurrent, folds: tuple[str, ...], dtype: str) -> None:
    """Equal in every bit; after a fold, in outputs and states up to rounding."""
    if not folds:
        assert bits(again.state_dict()) == bits(layer.state_dict())
        return
    x, lengths = torch.randn(6, 3, layer.input_size, dtype=torch.float64), [6, 0, 2]
    ours, theirs = (copy.deepcopy(each).double()(x, lengths=lengths) for each in (layer, again))
    torch.testing.assert_close(theirs, ours, atol=DTYPES[dtype], rtol=0)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_out_and_in_again_is_equal_in_every_bit_or_the_fold_is_recorded(
    case: tuple[Convention, Convention, Recurrent, str],
) -> None:
    convention, _, layer, dtype = case
    arrays = to_arrays(layer, convention)
    assert all(array.flags.c_contiguous and array.dtype == dtype for array in arrays.values())
    again = from_arrays(convention, arrays)
    assert_equal(layer, again, arrays.folds, dtype)
    twice = to_arrays(again, convention)
    assert bits(twice) == bits(arrays)
    assert twice.folds == ()


@settings(max_examples=150, deadline=None)
@given(cases())
def test_from_one_framework_into_another_and_back(case: tuple[Convention, Convention, Recurrent, str]) -> None:
    convention, other, layer, dtype = case
    here = from_arrays(convention, to_arrays(layer, convention))
    there = to_arrays(here, other)
    back = to_arrays(from_arrays(other, there), convention)
    assert_equal(here, from_arrays(convention, back), there.folds + back.folds, dtype)
    if not there.folds + back.folds:
        assert bits(back) == bits(to_arrays(here, convention))


WHOLE = {
    "torch": "`--to torch`; `elman import`",
    "keras": "`--to keras`; `elman import`",
    "flax.linen": "`--to flax`",
    "onnx": "`--to onnx`; `elman import`",
}


def test_the_page_says_what_comes_back_from_each_framework() -> None:
    frameworks: dict[str, dict[str, list[str]]] = {}
    for row in ROWS:
        framework, _, kind = row.name.rpartition(".")
        folds = to_arrays(layer_of([row], 2, 3, "float32", 0), row).folds
        said = folds[0].replace("_l0", "").replace("bias", "b") if folds else ""
        frameworks.setdefault(framework, {}).setdefault(said, []).append(kind)
    rows = []
    for framework, found in frameworks.items():
        folded = [f"{', '.join(kinds)}: {said}" for said, kinds in found.items() if said]
        columns = [framework, ", ".join(found.get("", [])) or "-", "; ".join(folded) or "-", WHOLE.get(framework, "-")]
        rows.append(f"| {' | '.join(columns)} |")
    assert len(rows) >= 8
    page = PAGE.read_text(encoding="utf-8").splitlines()
    begin = page.index("| framework | every bit comes back | folded, and said | whole models |") + 2
    assert page[begin : begin + len(rows)] == rows, "\n".join(rows)

"""Out of elman into every framework and in again, for drawn sizes, stacks, directions and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elman import nn
from elman.interop import CONVENTIONS, Convention, convention_named, from_arrays, to_arrays
from elman.nn import Recurrent

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
ROWS = [convention_named(name, cell_clip=None) for name in CONVENTIONS]
DTYPES = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-12}


def layer_of(convention: Convention, D: int, H: int, dtype: str, seed: int, **options: Any) -> Recurrent:
    """A layer of the convention's kind; b_hh of n is 0 where the convention has no place for it."""
    torch.manual_seed(seed)
    cell = convention.specification
    layer: Recurrent = getattr(nn, cell.layer)(D, H, dtype=getattr(torch, dtype), **convention.options, **options)
    inside_reset = convention.cell == "gru" and convention.reset_after and ("bias_hh", "n") not in convention.held
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.normal_(std=0.5)
            if inside_reset and "bias_hh" in name:
                parameter[cell.rows_of("n", H)] = 0
    return layer


def bits(arrays: Any) -> dict[str, bytes]:
    return {name: np.asarray(part).tobytes() for name, part in arrays.items()}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Convention, Recurrent, str]:
    convention, dtype = draw(st.sampled_from(ROWS)), draw(st.sampled_from([*DTYPES]))
    naming = convention.namings[0]
    options = {
        "bidirectional": draw(st.booleans()) and naming.both is not None,
        "num_layers": draw(st.integers(1, 3)) if "{layer}" in naming.forward else 1,
        "bias": draw(st.booleans()),
    }
    sizes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return convention, layer_of(convention, *sizes, dtype, draw(st.integers(0, 2**31)), **options), dtype


@settings(max_examples=150, deadline=None)
@given(cases())
def test_out_and_in_again_is_equal_in_every_bit_or_the_fold_is_recorded(case: tuple[Convention, Recurrent, str]) -> None:
    convention, layer, dtype = case
    arrays = to_arrays(layer, convention)
    assert all(array.flags.c_contiguous and array.dtype == dtype for array in arrays.values())
    again = from_arrays(convention, arrays)
    if not arrays.folds:
        assert bits(again.state_dict()) == bits(layer.state_dict())
    else:
        x, lengths = torch.randn(6, 3, layer.input_size, dtype=torch.float64), [6, 0, 2]
        ours, theirs = (each.double()(x, lengths=lengths) for each in (layer, again))
        torch.testing.assert_close(theirs, ours, atol=DTYPES[dtype], rtol=0)
    twice = to_arrays(from_arrays(convention, arrays), convention)
    assert bits(twice) == bits(arrays)
    assert twice.folds == ()


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from(ROWS))
def test_from_one_framework_into_another_and_back(case: tuple[Convention, Recurrent, str], other: Convention) -> None:
    """Where nothing is folded on the way, the arrays of the first come back in every bit."""
    convention, layer, _ = case
    here = from_arrays(convention, to_arrays(layer, convention))
    assume(other.specification.name == convention.specification.name)
    assume(layer.num_layers == 1 or "{layer}" in other.namings[0].forward)
    assume(not layer.bidirectional or other.namings[0].both)
    inside = [f"bias_hh{end}" for end in ("_l0", "_l0_reverse") if hasattr(here, f"bias_hh{end}")]
    if other.cell == "gru" and other.reset_after and ("bias_hh", "n") not in other.held:
        H = here.hidden_sizes[0]
        assume(not any(getattr(here, name)[2 * H :].any() for name in inside))
    there = to_arrays(here, other)
    assume(not there.folds)
    assert bits(to_arrays(from_arrays(other, there), convention)) == bits(to_arrays(here, convention))


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
        folds = to_arrays(layer_of(row, 2, 3, "float32", 0), row).folds
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

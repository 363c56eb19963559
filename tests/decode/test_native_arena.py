"""The core's arena against the readable one, and every row of it against itself alone, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.decode.arena import Arena, Draw, RowMemory, StateRows, WrittenRows, arena_of
from elman.decode.native_arena import NativeRows, why_not_native
from elman.decode.sampling import sample
from elman.errors import UserError
from elman.kernels.native import instruction_set
from elman.models import RecurrentLM, build
from elman.nn import GRU, Elman
from elman.state import leaves

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the compiled core was not built")

CELLS: dict[str, dict[str, Any]] = {
    "elman": {"model": "elman"},
    "relu": {"model": "elman"},
    "gru": {"model": "gru"},
    "lstm": {"model": "lstm"},
}
FORMS: dict[str, dict[str, Any]] = {
    "one layer": {"num_layers": 1, "embedding_size": 7},
    "two layers": {"num_layers": 2, "embedding_size": 3},
    "residual": {"num_layers": 3, "residual": True},
    "tied": {"num_layers": 2, "tied": True, "embedding_size": 9},
    "tied, residual": {"num_layers": 2, "tied": True, "residual": True},
}


def model_of(cell: str, form: str, H: int, V: int, dtype: torch.dtype = torch.float64) -> RecurrentLM:
    torch.manual_seed(H + V)
    made = build({"vocab_size": V, "hidden_size": H, **CELLS[cell], **FORMS[form]}).to(dtype).eval()
    assert isinstance(made, RecurrentLM)
    if cell == "relu":  # no setting of a model
        others = [Elman(x.input_size, x.hidden_size, nonlinearity="relu", dtype=dtype) for x in made.layers]  # type: ignore[arg-type]
        made.layers = torch.nn.ModuleList(others)
    for parameter in made.parameters():  # large enough that texts differ, and small enough that rounding does not grow
        torch.nn.init.normal_(parameter, std=0.7 / H**0.5)
    return made


def texts(rows: int, longest: int, V: int) -> list[list[int]]:
    """The first as long as the longest; some are empty."""
    random = np.random.default_rng(rows + longest)
    lengths = [longest, *random.integers(0, longest + 1, rows - 1)]
    return [random.integers(0, V, length).tolist() for length in lengths]


def started(arena: Arena, given: list[list[int]], first: int = 0) -> list[int]:
    """Slots which have read a token, and then the texts in two calls."""
    slots = [arena.admit(None) for _ in given]
    arena.read(slots, [[1]] * len(given))
    arena.read(slots, [text[:first] for text in given])
    arena.read(slots, [text[first:] for text in given])
    return slots


def everything(arena: Arena, slots: list[int]) -> list[Tensor]:
    """Of each row in turn: its state, its hidden state and its logits."""
    rows = [arena.row(slot) for slot in slots]
    return [
        torch.cat([x.reshape(-1) for x in (*leaves(row.state), row.hidden, arena.logits([slot])) if x is not None])
        for row, slot in zip(rows, slots, strict=True)
    ]


def draws(rows: int, steps: int, seed: int = 0) -> list[Draw]:
    """Rows with other filters, one after the other."""
    numbers = np.random.default_rng(seed).random((rows, steps))
    options: list[dict[str, Any]] = [{}, {"temperature": 0.6, "top_k": 3}, {"top_p": 0.7}, {"min_p": 0.1, "top_p": 0.9}]
    return [Draw(numbers[r], **options[r % len(options)]) for r in range(rows)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("H", "V"), [(5, 97), (64, 5)])
@pytest.mark.parametrize(("B", "T"), [(1, 33), (3, 7), (64, 1)])
def test_it_is_equal_to_the_reference(cell: str, form: str, H: int, V: int, B: int, T: int) -> None:
    model, given = model_of(cell, form, H, V), texts(B, T, V)
    found: list[tuple[list[Tensor], WrittenRows, list[Tensor], list[np.ndarray]]] = []
    for arena in (NativeRows(model), StateRows(model)):
        slots = started(arena, given, first=T // 2)
        read = everything(arena, slots)
        written = arena.write(slots, draws(B, T), T, banned=[2], end=3)
        found.append((read, written, everything(arena, slots), arena.score(slots, given)))
    native, reference = found
    for place in (0, 2):
        for ours, expected in zip(native[place], reference[place], strict=True):  # type: ignore[arg-type]
            torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    assert (native[1].tokens == reference[1].tokens).all()
    assert (native[1].counts == reference[1].counts).all()
    np.testing.assert_allclose(native[1].log_probabilities, reference[1].log_probabilities, rtol=0, atol=1e-12)
    for ours, expected in zip(native[3], reference[3], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_is_the_same_bits_alone_and_among_others(cell: str, form: str, int8: bool) -> None:
    """However its tokens are split over calls, read and written."""
    B, T, model = 64, 130, model_of(cell, form, 37, 41, torch.float32)
    arena, given, drawn = NativeRows(model, int8=int8), texts(B, T, 41), draws(B, 9)
    slots = started(arena, given, first=11)
    together = everything(arena, slots)
    written = arena.write(slots, drawn, 9, end=3)
    after = everything(arena, slots)
    for r in (0, 1, 40, 63):
        [slot] = started(arena, [given[r]], first=50)
        for token in [5, 6]:  # a token after the other, in a slot of its own, changes nothing here
            arena.read([arena.admit(None)], [[token]])
        assert torch.equal(everything(arena, [slot])[0], together[r])
        pieces = [arena.write([slot], [Draw(drawn[r].uniforms[:4], *drawn[r].filters)], 4, end=3)]
        if pieces[0].counts[0] == 4 and pieces[0].tokens[0, 3] != 3:
            pieces.append(arena.write([slot], [Draw(drawn[r].uniforms[4:], *drawn[r].filters)], 5, end=3))
        ours = np.concatenate([piece.tokens[0, : piece.counts[0]] for piece in pieces])
        log_p = np.concatenate([piece.log_probabilities[0, : piece.counts[0]] for piece in pieces])
        assert (ours == written.tokens[r, : written.counts[r]]).all()
        assert (log_p == written.log_probabilities[r, : written.counts[r]]).all()
        assert torch.equal(everything(arena, [slot])[0], after[r])


def test_a_table_of_the_embedding_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = model_of("lstm", "residual", 37, 41, torch.float32), texts(3, 20, 41)
    folded, looked_up = NativeRows(model), None
    monkeypatch.setattr("elman.kernels.native.arena.MOST_FOLDED", 0)
    looked_up = NativeRows(model)
    for ours, expected in zip(*(everything(a, started(a, given)) for a in (folded, looked_up)), strict=True):
        assert torch.equal(ours, expected)


LOGITS = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 2.5, -math.inf, -720.0, 30.0]), st.floats(-50, 50))
UNIT = st.floats(0, 1, exclude_max=True)


@settings(max_examples=300, deadline=None)
@given(
    logits=st.lists(LOGITS, min_size=1, max_size=23),
    temperature=st.one_of(st.sampled_from([0.0, 1.0, 0.01]), st.floats(0.05, 5)),
    top_k=st.one_of(st.none(), st.integers(1, 25)),
    top_p=st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0]), UNIT),
    min_p=st.one_of(st.none(), st.sampled_from([0.0, 0.25, 1.0]), UNIT),
    uniform=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1 - 2**-53]), UNIT),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_it_draws_what_sample_draws(
    logits: list[float],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    uniform: float,
    dtype: torch.dtype,
) -> None:
    """The token, unless the number lies on a border between two: there the last bit of e^x decides."""
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    row = torch.tensor([logits], dtype=dtype)
    found = drawn_by_core(row[0], Draw(np.array([uniform]), **options))
    if row.max() == -math.inf:
        assert found is None
        return
    near = [uniform, *(min(max(uniform + shift, 0), 1 - 2**-53) for shift in (-1e-12, 1e-12))]
    shifts = [0.0] if top_p is None or temperature == 0 else [0.0, -1e-12, 1e-12]
    expected = set()
    for shift in shifts:
        changed = options | ({} if top_p is None else {"top_p": min(max(top_p + shift, 0.0), 1.0)})
        expected |= {int(sample(row, uniform=torch.tensor([u], dtype=torch.double), **changed)) for u in near}
    assert found in expected


@pytest.mark.parametrize("top_p", [None, 0.25, 0.5])
@pytest.mark.parametrize("top_k", [None, 1, 3])
@pytest.mark.parametrize("uniform", [0.0, 0.25, 0.4999999999999999, 0.5, 0.75, 1 - 2**-53])
def test_ties_and_borders_are_those_of_sample(uniform: float, top_k: int | None, top_p: float | None) -> None:
    """Probabilities that are powers of two have no last bit to differ in."""
    for logits in ([0.0, 0.0], [0.0] * 4, [-math.inf, 0.0, 0.0, -math.inf, 0.0, 0.0], [0.0] * 3, [-745.0, 0.0]):
        row = torch.tensor([logits], dtype=torch.float64)
        options: dict[str, Any] = {"top_k": top_k, "top_p": top_p}
        expected = int(sample(row, uniform=torch.tensor([uniform], dtype=torch.double), **options))
        assert drawn_by_core(row[0], Draw(np.array([uniform]), **options)) == expected


def drawn_by_core(logits: Tensor, draw: Draw) -> int | None:
    """By a model whose logits these are."""
    model = build({"model": "elman", "vocab_size": len(logits), "hidden_size": 1}).to(logits.dtype).eval()
    with torch.no_grad():
        model.decoder.weight.zero_()
        model.decoder.bias.copy_(logits)
    arena = NativeRows(model)
    written = arena.write(started(arena, [[]] if len(logits) > 1 else []), [draw], 1) if len(logits) > 1 else None
    if written is None:
        slot = arena.admit(RowMemory(model.initial_state(1), torch.zeros(1, 1, dtype=logits.dtype)))
        written = arena.write([slot], [draw], 1)
    return int(written.tokens[0, 0]) if written.counts[0] else None


def test_weights_of_one_byte_are_those_of_a_model_with_rounded_weights() -> None:
    """But for the states, which the products read with 14 bits."""
    model = model_of("lstm", "two layers", 64, 97, torch.float32)
    given = texts(3, 33, 97)
    native = NativeRows(model, int8=True)
    ours = everything(native, started(native, given))
    with torch.no_grad():
        table = model.embedding.weight @ model.layers[0].weight_ih_l0.T
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and name not in ("embedding.weight", "layers.0.weight_ih_l0"):
                scale = weight.abs().amax(1, keepdim=True) / 127
                weight.copy_((weight / scale).round() * scale)
    torch.testing.assert_close(table, model.embedding.weight @ model.layers[0].weight_ih_l0.T)
    reference = StateRows(model)
    for found, expected in zip(ours, everything(reference, started(reference, given)), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)
        assert not torch.equal(found, expected)


def test_what_the_core_does_not_know_goes_to_the_reference() -> None:
    others: list[dict[str, Any]] = [
        {"model": "gru", "layer_norm": True},
        {"model": "lstm", "peepholes": True},
        {"model": "lstm", "zoneout": 0.1},
        {"model": "slstm"},
    ]
    for own in others:
        model = build({"vocab_size": 5, "hidden_size": 8, **own}).eval()
        assert why_not_native(model)
        assert isinstance(arena_of(model), StateRows)
        with pytest.raises(UserError, match="int8"):
            arena_of(model, int8=True)
    plain = build({"vocab_size": 5, "hidden_size": 8, "model": "gru"}).eval()
    assert isinstance(arena_of(plain), NativeRows)
    assert isinstance(arena_of(plain.bfloat16()), StateRows)
    plain.float().layers[0] = GRU(8, 8, reset_after=False)
    assert isinstance(arena_of(plain), StateRows)
    plain.layers[0] = GRU(8, 8)
    assert isinstance(arena_of(plain), NativeRows)
    plain.layers[0].register_forward_hook(lambda *_: None)
    assert isinstance(arena_of(plain), StateRows)


def test_a_token_beyond_the_vocabulary_is_said() -> None:
    arena = arena_of(model_of("gru", "one layer", 5, 7))
    with pytest.raises(UserError, match="from 0 to 6"):
        arena.read([arena.admit(None)], [[1, 7]])


def test_later_changes_of_the_model_do_not_reach_it() -> None:
    model = model_of("gru", "residual", 5, 7)
    arena = arena_of(model)
    before = everything(arena, started(arena, [[1, 2]]))
    torch.nn.init.zeros_(model.embedding.weight)
    torch.nn.init.zeros_(model.decoder.weight)
    assert torch.equal(everything(arena, started(arena, [[1, 2]]))[0], before[0])
